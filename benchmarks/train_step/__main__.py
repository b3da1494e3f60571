"""The speed of a training step: `python -m benchmarks.train_step [--networks N ...] [--rounds N]`.

Contenders, each in its process, on the same random batches, with AdamW and the loss of the default recipe:

    fit         Keras' model.fit; keras.applications' network where it has it, else ours of Keras' layers
    ours        tfcnn.train's steps, in float32 and with --precision mixed_bfloat16
    PyTorch     timm's or torchvision's network where they have it, eager, channels last; bfloat16 by torch.autocast
    compiled    the same under torch.compile, which needs a C++ compiler
    product     a product of two 4096x4096 matrices by TensorFlow, in float32 and in bfloat16
    sum         the sum of two arrays of 256 MiB by NumPy on all cores, for the bandwidth of the memory

Rounds are interleaved, a second of each contender a round, so that what else the machine does meets them alike. The
rows of a network are written to benchmarks/train_step.csv as soon as they are measured, then docs/training_step.md; a
network that has rows of as many rounds is not measured again, and without --networks nothing is. All networks take
hours on two cores. PyTorch comes with `make test-torch`; without it its contenders are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.contenders import Child, interleave, is_installed, serve
from benchmarks.train_step import machine, page, steps
from benchmarks.train_step.networks import ROWS, Row
from benchmarks.training_runs import ROOT, append_row, read_rows, remove_rows
from tfcnn.cli.startup import import_tensorflow

TABLE = ROOT / "benchmarks" / "train_step.csv"
STARTING = 2  # contenders at a time, most of which trace and compile with one thread
WARM_UP = 3  # steps before the first that is timed
SECONDS = 1.0  # a contender's part of a round
PRECISIONS = ("float32", "bfloat16")
OF_TORCH = ("PyTorch", "compiled")
CONTENDERS = (
    ("fit", "float32"),
    *((name, precision) for name in ("ours", *OF_TORCH) for precision in PRECISIONS),
    *(("product", precision) for precision in PRECISIONS),
    ("sum", "float32"),
)


def run_contender(row: Row, contender: str, precision: str) -> None:
    """Prepare a contender, and repeat as often as each line on standard input says."""
    if contender in ("product", "sum"):
        repeat = machine.prepare_product(precision) if contender == "product" else machine.prepare_sum()
        repeat(1)
        serve(repeat)
        return
    prepare = steps.prepare_torch if contender in OF_TORCH else steps.prepare_keras
    prepared = prepare(row, contender, precision)
    prepared.steps(WARM_UP)
    serve(prepared.steps, prepared.parameters, prepared.imported)


def measure(name: str, rounds: int) -> list[dict[str, Any]]:
    """The rows of a network, one for each contender whose library is installed."""
    row = ROWS[name]
    contenders = [each for each in CONTENDERS if each[0] not in OF_TORCH or is_installed("torch")]
    with contextlib.ExitStack() as stack:

        def start(contender: tuple[str, str]) -> Child:
            child = Child("benchmarks.train_step", ["--serve", name, *contender])
            stack.callback(child.close)
            return child

        with ThreadPoolExecutor(STARTING) as pool:
            children = dict(zip(contenders, pool.map(start, contenders), strict=True))
        interleave(children.values(), rounds, SECONDS)
    facts = row.key | {"macs": row.count_macs(), "device": describe_device()}
    return [
        facts
        | {
            "contender": contender,
            "precision": precision,
            "parameters": child.fact,
            "wall": " ".join(f"{seconds:.4g}" for seconds in child.wall),
            "cpu": " ".join(f"{seconds:.4g}" for seconds in child.cpu),
            "peak": f"{child.peak:.0f}",
        }
        for (contender, precision), child in children.items()
    ]


def describe_device() -> str:
    import_tensorflow()
    from tfcnn.training.provenance import device

    return device()


def is_measured(row: Row, rounds: int) -> bool:
    """Whether the table has rows of a network, of as many rounds."""
    rows = [each for each in read_rows(TABLE) if row.key.items() <= each.items()]
    return bool(rows) and all(len(each["wall"].split()) >= rounds for each in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=[], choices=[*ROWS, "all"], help="to measure", metavar="N")
    parser.add_argument("--rounds", type=int, default=10, help="of each network, 2 or more [%(default)s]")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        name, contender, precision = arguments.serve
        run_contender(ROWS[name], contender, precision)
        return 0
    if arguments.rounds < 2:
        parser.error(f"a middle half needs two rounds, got --rounds {arguments.rounds}")
    names = list(ROWS) if "all" in arguments.networks else arguments.networks
    failures = 0
    for name in names:
        if is_measured(ROWS[name], arguments.rounds):
            continue
        try:
            rows = measure(name, arguments.rounds)
        except SystemExit as failure:  # of a contender; the other networks are measured all the same
            print(f"{name}: {failure}", file=sys.stderr, flush=True)
            failures += 1
            continue
        remove_rows(TABLE, ROWS[name].key)
        for each in rows:
            append_row(TABLE, each)
        page.write_page(read_rows(TABLE))
    page.write_page(read_rows(TABLE))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
