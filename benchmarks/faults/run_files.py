"""Damage to the files of a finished run: `python -m benchmarks.faults.training --sweep 200`.

A file is drawn, a damage, and a command that reads the run, which is called in this process. The right outcome is the
result of the whole run, or one line that names the file.
"""

from __future__ import annotations

import collections
import contextlib
import io
import random
import re
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from tfcnn import compare, evaluate, predict, train
from tfcnn.cli.parser import run_main
from tfcnn.config import Config
from tfcnn.export import __main__ as export
from tfcnn.run_directory import RunDirectory

SCAN = Path(__file__).resolve().parents[2] / "tests" / "scans" / "digit-3.png"
COMMANDS: dict[str, tuple[Callable[[], None], tuple[str, ...]]] = {
    "evaluate": (evaluate.main, ("RUN",)),
    "predict": (predict.main, ("RUN", str(SCAN))),
    "export": (export.main, ("RUN",)),
    "compare": (compare.main, ("RUN",)),
    "--resume": (train.main, ("--resume", "--out", "RUN")),
}


def flip_a_bit(content: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(max(len(content), 1))
    return content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]


def truncate(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(max(len(content), 1))]


def empty(content: bytes, draw: random.Random) -> bytes:
    return b""


def zero(content: bytes, draw: random.Random) -> bytes:
    return bytes(len(content))


def change_a_value(content: bytes, draw: random.Random) -> bytes:
    """A number of a text file becomes something else; of another file, a byte."""
    numbers = list(re.finditer(rb"\b\d+\b", content))
    if not numbers or b"\0" in content:
        return flip_a_bit(content, draw)
    number = draw.choice(numbers)
    return content[: number.start()] + draw.choice([b"-7", b'"x"', b"null", b"1e999", b""]) + content[number.end() :]


def drop_a_line(content: bytes, draw: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    del lines[draw.randrange(len(lines))]
    return b"".join(lines)


DAMAGES = {
    "a bit flipped": flip_a_bit,
    "cut": truncate,
    "empty": empty,
    "zeroed": zero,
    "a value changed": change_a_value,
    "a line missing": drop_a_line,
}
MISSING = "missing"
FOLDER = "a folder in its place"


def call(name: str, run: Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command on a run; exit code 1 and the traceback where it raises."""
    main, arguments = COMMANDS[name]
    before = sys.argv
    sys.argv = [name, *(argument.replace("RUN", str(run)) for argument in arguments)]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            code = run_main(main)
        except BaseException:
            code = 1
            traceback.print_exc()
        finally:
            sys.argv = before
    return code, out.getvalue(), err.getvalue()


def damage(file: Path, kind: str, draw: random.Random) -> None:
    if kind in (MISSING, FOLDER):
        file.unlink()
        if kind == FOLDER:
            file.mkdir()
        return
    file.write_bytes(DAMAGES[kind](file.read_bytes(), draw))


def outcome(name: str, run: Path, expected: str) -> tuple[str, str]:
    """What a command makes of a damaged run: its kind, and what it wrote on stderr."""
    code, out, errors = call(name, run)
    if "Traceback" in errors or code == 1:
        return "TRACEBACK", errors
    if code:
        lines = errors.splitlines()
        return ("one line" if len(lines) == 1 and lines[0].startswith("error: ") else "NOT ONE LINE"), errors
    if name == "--resume":
        faults = RunDirectory(run).faults()
        return ("works" if not faults else "LEFT DAMAGED"), " ".join([*faults, errors])
    return ("works" if out.replace(str(run), "RUN") == expected else "ANOTHER RESULT"), errors


def sweep(count: int, folder: Path, seed: int = 0) -> None:
    """Print how many of `count` damages had which outcome, and each that is not right."""
    whole = folder / "whole" / "run"
    with contextlib.redirect_stdout(io.StringIO()):
        train.run(Config(arch="lenet5", width=0.25, epochs=3, out=str(whole)))
    expected = {name: call(name, whole)[1].replace(str(whole), "RUN") for name in COMMANDS}
    draw = random.Random(seed)
    files = sorted(file.relative_to(whole) for file in whole.rglob("*") if file.is_file())
    counts: dict[tuple[str, str], collections.Counter] = collections.defaultdict(collections.Counter)
    run = folder / "damaged" / "run"
    for number in range(count):
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(whole, run)
        file = draw.choice(files)
        kind = draw.choice([*DAMAGES, MISSING, FOLDER])
        name = draw.choice(list(COMMANDS))
        records = "with files.json" if draw.random() < 0.6 else "without"
        damage(run / file, kind, draw)
        if records == "without" and file.name != "files.json":
            (run / "files.json").unlink()
        result, errors = outcome(name, run, expected[name])
        counts[name, records][result] += 1
        if result.isupper():
            last = (errors.strip().splitlines() or [""])[-1]
            print(f"{number}: {name}, {records}, '{file}' {kind}: {result} {last}", file=sys.stderr, flush=True)
    print("\n| command | digests | outcome | times |\n|---|---|---|---|")
    for (name, records), results in sorted(counts.items()):
        for result, times in sorted(results.items()):
            print(f"| {name} | {records} | {result} | {times} |", flush=True)
