"""`python -m tfcnn.serve RUN...`: answer requests over HTTP with the networks of runs."""

from __future__ import annotations

import gc
import math
import sys
from collections.abc import Sequence

from tfcnn.cli.parser import Parser, parse_count, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.errors import BadInput, check_packages
from tfcnn.run_directory import RunDirectory
from tfcnn.serving.limits import MEGABYTE, Limits

PACKAGES = ("starlette", "uvicorn")
HOST = "127.0.0.1"
PORT = 8501  # of TensorFlow Serving's REST
LARGEST_PORT = 65535
LONGEST = 3600.0  # seconds
SWITCH_INTERVAL = 5e-4  # seconds until a thread gives way to another; Python's 5e-3 delays each step of a request


def name_runs(paths: Sequence[str]) -> dict[str, RunDirectory]:
    """Finished runs by the names of their folders. Raises BadInput, also for a name that two of them have."""
    runs: dict[str, RunDirectory] = {}
    for path in paths:
        run = RunDirectory.open(path).check_finished()
        name = run.path.resolve().name
        if name in runs:
            raise BadInput(f"'{runs[name].path}' and '{path}' have one name, {name}; rename a folder (RUN)")
        runs[name] = run
    return runs


def parse_port(text: str) -> int:
    """The value of --port; 0 is a free one. Raises BadInput."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) <= LARGEST_PORT):
        raise BadInput(f"--port must be a whole number from 0 to {LARGEST_PORT}, got '{text}'")
    return int(text)


def parse_seconds(flag: str, text: str, factor: float = 1.0) -> float:
    """A time in seconds from a number in units of `factor`. Raises BadInput."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number * factor <= LONGEST:
        raise BadInput(f"{flag} must be a number above 0 and at most {LONGEST / factor:g}, got '{text}'")
    return number * factor


def main() -> None:
    limits = Limits()
    parser = Parser(
        prog="python -m tfcnn.serve",
        description="Answer requests over HTTP: TensorFlow Serving's REST (/v1/models/NAME:predict), KServe's protocol "
        "version 2 (/v2), a page to drop an image on (/), metrics for Prometheus (/metrics).",
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run directory of tfcnn.train; its name is the model's")
    parser.add_argument(
        "--host", metavar="HOST", default=HOST, help=f"address to listen on [{HOST}, this machine alone]"
    )
    parser.add_argument("--port", metavar="N", default=str(PORT), help=f"port to listen on; 0: a free one [{PORT}]")
    parser.add_argument("--max-batch", metavar="N", default="32", help="examples computed at once [32]")
    parser.add_argument("--max-delay", metavar="MS", default="2", help="milliseconds that a batch waits for more [2]")
    parser.add_argument(
        "--timeout", metavar="SECONDS", default=f"{limits.seconds:g}", help=f"for an answer [{limits.seconds:g}]"
    )
    parser.add_argument(
        "--max-body", metavar="MIB", default=str(limits.body // MEGABYTE), help="size of a request [16]"
    )
    parser.add_argument(
        "--max-pixels", metavar="N", default=str(limits.pixels), help="of a request's images [32000000]"
    )
    arguments = parser.parse_args()
    port = parse_port(arguments.port)
    largest = parse_count("--max-batch", arguments.max_batch)
    delay = parse_seconds("--max-delay", arguments.max_delay, 1e-3)
    limits = limits._replace(
        body=parse_count("--max-body", arguments.max_body) * MEGABYTE,
        pixels=parse_count("--max-pixels", arguments.max_pixels),
        seconds=parse_seconds("--timeout", arguments.timeout),
    )
    runs = name_runs(arguments.runs)
    check_packages("tfcnn.serve", PACKAGES, extra="serve")
    serve(runs, arguments.host, port, limits, largest, delay)


def serve(runs: dict[str, RunDirectory], host: str, port: int, limits: Limits, largest: int, delay: float) -> None:
    """Answer requests until SIGTERM or Ctrl-C comes.

    Args:
        runs: by the names of the models.
        host, port: the address to listen on.
        limits: of a request.
        largest: the examples of a batch.
        delay: seconds that a batch waits for more examples.

    Raises:
        BadInput: an address that cannot be listened on, a run that cannot be loaded.
        KeyboardInterrupt: the signal, when what had begun is answered.
    """
    from tfcnn.serving.app import build_app
    from tfcnn.serving.network import serve_run
    from tfcnn.serving.server import DrainingServer, bind
    from tfcnn.serving.service import Service

    sys.setswitchinterval(SWITCH_INTERVAL)
    with bind(host, port) as listener:
        import_tensorflow()
        import tfcnn.trained

        networks = []
        for name, run in runs.items():
            networks.append(serve_run(name, tfcnn.trained.load(run), limits, largest))
        gc.collect()
        gc.freeze()  # to look through TensorFlow's 500,000 objects again would halt requests for 0.1 to 0.5 seconds
        service = Service(networks, limits, largest, delay)
        place = f"http://{'[' + host + ']' if ':' in host else host}:{listener.getsockname()[1]}"
        lines = [f"{network.name}  {network.facts['task']}  {place}/v1/models/{network.name}" for network in networks]
        notice = "\n".join([*lines, f"serving on {place}"])
        DrainingServer(build_app(service), service, math.ceil(limits.seconds), notice).run(sockets=[listener])


if __name__ == "__main__":
    sys.exit(run_main(main))
