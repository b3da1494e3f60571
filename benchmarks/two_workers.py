"""What a second process adds: `python -m benchmarks.two_workers [--networks N ...] [--rounds N]`; Linux, two cores.

One process on one core trains with batches of 32, then two processes with batches of 64, on a core each
(`--distribution multiworker`, gradients over the loopback), in turn. The efficiency is the images a second of the two
over twice those of the one. Writes docs/large_runs.md, which also has what eight GPUs would exchange.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import tfcnn
from benchmarks.ratio import compare
from benchmarks.training_runs import ROOT, read_rows
from tfcnn.arithmetic.collectives import ring_bytes
from tfcnn.tables import as_markdown
from tfcnn.training.batch_statistics import batch_norms

PAGE = ROOT / "docs" / "large_runs.md"
NETWORKS = {"lenet5": "--width 4", "resnet20": "", "mobilenet": "", "vgg11": "--width 0.5"}
EPOCHS = 3  # the first is left out: it traces the step
BATCH = 32  # of a process
GPUS = 8
GPU_BATCH = 128  # images of a GPU
GPU_SPEED = 100e12  # operations a second: a third of an A100's peak in bfloat16, 312e12
LINKS = {"PCIe 4, 25 GB/s": 25e9, "NVLink 3, 300 GB/s": 300e9, "Ethernet, 12.5 GB/s": 12.5e9}
ON_PAPER = ("resnet50", "mobilenet", "efficientnet_b0", "vgg16")


def free_ports() -> list[int]:
    """Two ports that nobody listens on."""
    with socket.socket() as first, socket.socket() as second:
        for server in (first, second):
            server.bind(("127.0.0.1", 0))
        return [server.getsockname()[1] for server in (first, second)]


def train(network: str, workers: int, folder: Path) -> float:
    """Images a second of all processes together, the median of the epochs after the first."""
    flags = ["--arch", network, *NETWORKS[network].split(), "--batch-size", str(BATCH * workers)]
    flags += ["--epochs", str(EPOCHS), "--out", str(folder)]
    addresses = [f"127.0.0.1:{port}" for port in free_ports()][:workers]
    processes = []
    for index in range(workers):
        environment = dict(os.environ)
        if workers > 1:
            task = {"type": "worker", "index": index}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
        command = ["taskset", "-c", str(index), sys.executable, "-m", "tfcnn.train", *flags]
        command += ["--distribution", "multiworker"] if workers > 1 else []
        processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL))
    codes = [process.wait() for process in processes]
    if any(codes):
        raise SystemExit(f"{network} with {workers} processes ended with {codes}")
    return statistics.median(float(row["images_per_second"]) for row in read_rows(folder / "history.csv")[1:])


def measure(network: str, rounds: int) -> list[str]:
    """A line of the table of two processes."""
    speeds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for workers, measured in speeds.items():
                measured.append(train(network, workers, Path(folder) / f"{number}-{workers}"))
        config = json.loads((Path(folder) / "0-1" / "config.json").read_text())
    ratio = compare(speeds[2], [2 * speed for speed in speeds[1]])
    size = 4 * config["cost"]["parameters"]
    one, two = (statistics.median(measured) for measured in speeds.values())
    spread = f"{ratio.low:.0%} ... {ratio.high:.0%}"
    norms = str(len(batch_norms(tfcnn.build(network))))
    return [network, f"{size / 1e6:.2f}", norms, f"{one:,.0f}", f"{two:,.0f}", f"{ratio.ratio:.0%}", spread]


def on_paper(arch: str) -> list[str]:
    """A line of the table of eight GPUs: the exchange, and the efficiency where nothing of it is hidden."""
    cost = tfcnn.cost.cost_table(tfcnn.build(arch))
    size = 4 * cost.params
    step = GPU_BATCH * 3 * 2 * cost.macs / GPU_SPEED
    exchange = ring_bytes(size, GPUS)
    efficiencies = [f"{step / (step + exchange / speed):.0%}" for speed in LINKS.values()]
    return [arch, f"{size / 1e6:,.1f}", f"{exchange / 1e6:,.1f}", f"{1e3 * step:.0f}", *efficiencies]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rows = [measure(network, arguments.rounds) for network in arguments.networks]
    head = ["network", "gradients, MB", "batch norms", "images/s of one", "of two", "efficiency", "middle half"]
    paper_head = ["network", "gradients, MB", "a GPU sends, MB", "step, ms", *LINKS]
    PAGE.write_text(
        "# Large runs\n\nWritten by `python -m benchmarks.two_workers`.\n\n## Two processes on two cores\n\n"
        "One process on one core against two, each on its core, that sum their gradients over the loopback\n"
        f"(`--distribution multiworker`), {BATCH} images of `digits` a process, in turn, {arguments.rounds} rounds.\n"
        "Efficiency is the images a second of the two over twice those of the one. Two cores share the cache and the\n"
        "memory, which one process has alone. Each batch norm waits for two exchanges a step, one after another; the\n"
        f"gradients of all weights are one.\n\n{as_markdown(head, rows, words=[0])}\n\n"
        "## Eight GPUs, on paper\n\n"
        "What each of eight sends in a ring, 2 (N - 1) / N of the gradients (Patarasuk & Yuan 2009), float32, and the\n"
        f"efficiency if no sum overlaps with the backward pass. A step is three forward passes of {GPU_BATCH} images\n"
        f"of the paper's size, at {GPU_SPEED / 1e12:.0f} TFLOP/s.\n\n"
        f"{as_markdown(paper_head, [on_paper(arch) for arch in ON_PAPER], words=[0])}\n"
    )


if __name__ == "__main__":
    main()
