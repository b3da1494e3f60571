"""A server under load: `python -m benchmarks.serving [--run RUN]`, which writes the end of docs/serving.md.

Two servers of one run take turns, with batches of up to 32 examples and of 1, and 32 clients, each of which sends the
next request when it has the answer to the last. Then the first server is killed and started again under load, and ended
by SIGTERM under load. Without RUN a small MobileNet is trained. Servers and clients share the cores: ratios say more
than times.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.ratio import compare
from benchmarks.training_runs import ROOT, train
from tfcnn.tables import as_markdown

PAGE = ROOT / "docs" / "serving.md"
SCAN = ROOT / "tests" / "scans" / "digit-3.png"
FLAGS = ("--arch", "mobilenet", "--width", "0.25", "--epochs", "1", "--warmup-epochs", "0")
CONNECTIONS = 32
ROUNDS = 10
REQUESTS = 500  # of a server in a round
KILLED_AFTER = 300  # answers
LARGEST = (32, 1)  # examples of a batch
HEAD = ("largest batch", "requests", "dropped", "requests/s", "p50, ms", "p99, ms", "memory, first and last round, MB")
SECTION = "## Under load\n"
INTRODUCTION = """
Written by `python -m benchmarks.serving`: a MobileNet of a quarter of the width for images of 32 x 32 pixels; 32
clients send a PNG file and wait for the answer. Two servers and the clients share two cores; TensorFlow has one thread
in each.
"""
ENVIRONMENT = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}


class Answer(NamedTuple):
    """What came of a request: the status of HTTP, or "closed" where the connection ended before; and the seconds."""

    status: str
    seconds: float


def request_of(path: Path, name: str) -> bytes:
    """A request for the prediction of an image file, as it goes over the connection."""
    content = path.read_bytes()
    head = f"POST /v1/models/{name}:predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


class Server:
    """A server of a run, in its process.

    Args:
        run: the run directory.
        largest: examples of a batch.
        port: 0 is a free one.
    """

    def __init__(self, run: Path, largest: int, port: int = 0) -> None:
        flags = ["--port", str(port), "--max-batch", str(largest)]
        command = [sys.executable, "-m", "tfcnn.serve", str(run), *flags]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("serving on "):
                self.port = int(line.rsplit(":", 1)[1])
                return
        raise RuntimeError("the server did not start")

    def memory(self) -> float:
        """Resident memory in MB."""
        import psutil

        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGKILL)

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(number)
        code = self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


class Clients:
    """Clients that send a request again and again until there are enough answers.

    Args:
        port: of the server.
        request: the bytes to send.
        count: answers to wait for.
        again: whether a request that is not answered is sent again; otherwise its client ends.
    """

    def __init__(self, port: int, request: bytes, count: int, again: bool = False) -> None:
        self._port = port
        self._request = request
        self._left = count
        self._again = again
        self.answers: list[Answer] = []

    async def run(self) -> None:
        """Send and wait."""
        await asyncio.gather(*(self._send_all() for _ in range(CONNECTIONS)))

    async def _send_all(self) -> None:
        while self._left > 0:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                if not self._again:
                    return
                await asyncio.sleep(0.05)
                continue
            with contextlib.closing(writer):
                await self._send_over(reader, writer)
            if not self._again:
                return

    async def _send_over(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests over one connection, until it ends."""
        while self._left > 0:
            self._left -= 1
            start = time.perf_counter()
            try:
                writer.write(self._request)
                await writer.drain()
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
            except (OSError, asyncio.IncompleteReadError):
                self.answers.append(Answer("closed", time.perf_counter() - start))
                if self._again:
                    self._left += 1
                return
            status = head[9:12].decode()
            self.answers.append(Answer(status, time.perf_counter() - start))
            if b"connection: close" in head.lower():
                return


def measure(run: Path, request: bytes) -> Iterator[str]:
    """Paragraphs: both servers in turns, then the first under load to its end."""
    with Server(run, LARGEST[0]) as server:
        with Server(run, LARGEST[1]) as other:
            yield from take_turns((server, other), request)
        yield kill_under_load(run, server, request)


def take_turns(servers: Sequence[Server], request: bytes) -> Iterator[str]:
    """Paragraphs: a table of throughput, latency and memory of both servers, and their ratio."""
    seconds: list[list[float]] = [[], []]
    memory: list[list[float]] = [[], []]
    answers: list[list[Answer]] = [[], []]
    for server in servers:
        asyncio.run(Clients(server.port, request, 200).run())
    for _ in range(ROUNDS):
        for place, server in enumerate(servers):
            clients = Clients(server.port, request, REQUESTS)
            start = time.perf_counter()
            asyncio.run(clients.run())
            seconds[place].append(time.perf_counter() - start)
            memory[place].append(server.memory())
            answers[place] += clients.answers
    rows = []
    for place, largest in enumerate(LARGEST):
        times = [answer.seconds * 1e3 for answer in answers[place]]
        dropped = sum(answer.status != "200" for answer in answers[place])
        p50, p99 = np.quantile(times, [0.5, 0.99])
        rate = REQUESTS / statistics.median(seconds[place])
        both = f"{memory[place][0]:,.0f}, {memory[place][-1]:,.0f}"
        rows.append((str(largest), f"{len(times):,}", str(dropped), f"{rate:,.0f}", f"{p50:.0f}", f"{p99:.0f}", both))
    yield as_markdown(HEAD, rows, words=[])
    ratio = compare(seconds[1], seconds[0])
    longest = [np.quantile([answer.seconds for answer in of_server], 0.99) for of_server in answers]
    yield (
        f"Batches have {ratio.ratio:.1f} times the throughput of single examples (middle half of the rounds "
        f"{ratio.low:.1f} to {ratio.high:.1f}) at {longest[0] / longest[1]:.2f} times their p99."
    )


def kill_under_load(run: Path, server: Server, request: bytes) -> str:
    """A paragraph: SIGKILL and a start at the same port while clients send, then SIGTERM while clients send."""
    clients = Clients(server.port, request, 2 * REQUESTS, again=True)

    async def kill_and_start() -> tuple[float, Server]:
        sending = asyncio.create_task(clients.run())
        while len(clients.answers) < KILLED_AFTER:
            await asyncio.sleep(0.01)
        start = time.perf_counter()
        server.end(signal.SIGKILL)
        successor = await asyncio.to_thread(Server, run, LARGEST[0], server.port)
        away = time.perf_counter() - start
        await sending
        return away, successor

    away, successor = asyncio.run(kill_and_start())
    killed = Counter(answer.status for answer in clients.answers)
    clients = Clients(successor.port, request, 10**6)

    async def terminate() -> int:
        sending = asyncio.create_task(clients.run())
        while len(clients.answers) < KILLED_AFTER:
            await asyncio.sleep(0.01)
        code = await asyncio.to_thread(successor.end, signal.SIGTERM)
        await sending
        return code

    with successor:
        code = asyncio.run(terminate())
    ended = Counter(answer.status for answer in clients.answers)
    return (
        f"Killed (SIGKILL) under load and restarted on the same port, away for {away:.0f} seconds: {killed['closed']} "
        f"requests lost their connection and were sent again; all {killed['200']:,} were answered. SIGTERM under load: "
        f"{ended['200']:,} requests answered, {ended['503']} refused with 503, {ended['closed']} without an answer; "
        f"exit code {code}."
    )


def wrap(paragraph: str) -> str:
    """A paragraph in lines of the page; a table as it is."""
    return paragraph if paragraph.startswith("|") else textwrap.fill(paragraph, 120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", type=Path, metavar="RUN", help="finished run for digits [trains one]")
    run = parser.parse_args().run
    with tempfile.TemporaryDirectory() as folder:
        if run is None:
            run = Path(folder) / "run"
            train(FLAGS, run)
        paragraphs = []
        for paragraph in measure(run, request_of(SCAN, run.name)):
            print(paragraph, flush=True)
            paragraphs.append(paragraph)
    text = "\n\n".join(wrap(paragraph) for paragraph in paragraphs)
    before = PAGE.read_text().partition(SECTION)[0]
    PAGE.write_text(f"{before}{SECTION}{INTRODUCTION}\n{text}\n")


if __name__ == "__main__":
    main()
