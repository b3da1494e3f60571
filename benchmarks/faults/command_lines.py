"""`python -m benchmarks.faults.command_lines`: bad command lines by command, as docs/command_lines.md has them.

Each line runs in this process. The right answer is exit code 2, one line `error: ...` on stderr, nothing on stdout, and
no file written or changed.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import importlib
import io
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NamedTuple, NoReturn
from unittest import mock

from tfcnn.cli.parser import run_main
from tfcnn.config import Config, flag_of, rules_of

SECONDS = 40  # for a line, until it counts as one that runs for ever
DIGITS = "9" * 300
MANY_DIGITS = "9" * 5000  # more than Python reads
LONG = "n" * 300  # more than a file system takes as a name

NUMBERS = ("nan", "inf", "-inf", "-1", "", "ten", DIGITS, MANY_DIGITS, "1e400")
WHOLE_NUMBERS = (*NUMBERS, "1.5", "0x10")
PATHS = ("", "loop", "loop/x", LONG, f"{LONG}/x", "a_file/x", "NUL\0")


class BadLine(NamedTuple):
    """A command line that is to be refused."""

    command: str
    arguments: tuple[str, ...]
    says: str  # the message has these words

    def __str__(self) -> str:
        shown = [word if len(word) < 40 else f"{word[:8]}...({len(word)})" for word in self.arguments]
        return " ".join([self.command, *map(repr, shown)])


class Answer(NamedTuple):
    """What a line led to; `code` is None where an exception came out or the time was over."""

    code: int | None
    out: str
    error: str
    trace: str

    @property
    def refused(self) -> bool:
        """Whether it is the right answer."""
        one_line = self.error.startswith("error: ") and self.error.count("\n") == 1
        return self.code == 2 and self.out == "" and one_line


def all_lines() -> list[BadLine]:
    """Every bad line, each once."""
    lines = [*_flags_of_config(), *_numbers(), *_paths(), *_images_and_runs(), *_others()]
    return list(dict.fromkeys(lines))


def _flags_of_config() -> Iterator[BadLine]:
    """Numbers, texts and choices of tfcnn.train, and some of them for the commands that share the flags."""
    for field in dataclasses.fields(Config):
        flag = flag_of(field.name)
        kind = str(field.type).removesuffix(" | None")
        rules = rules_of(field)
        if kind in ("int", "float"):
            values = WHOLE_NUMBERS if kind == "int" else NUMBERS
            yield from (BadLine("tfcnn.train", (f"{flag}={value}",), flag) for value in values)
            if field.name in ("epochs", "batch_size", "lr"):
                for command in ("tuning.search", "tuning.scale"):
                    yield from (BadLine(command, (f"{flag}={value}",), flag) for value in values)
        elif rules.choices:
            yield from (BadLine("tfcnn.train", (f"{flag}={value}",), flag) for value in ("", "nope", LONG))
        elif kind == "str":
            yield BadLine("tfcnn.train", (f"{flag}=",), flag)
        else:
            yield BadLine("tfcnn.train", (f"{flag}=",), "")
    yield from (
        BadLine("tfcnn.train", (f"--time={value}",), "--time") for value in ("0s", "1e308h", "nanm", "9", "-1m")
    )
    for value in ("0-3", "5", "9-3", f"1-{MANY_DIGITS}", "1.5-2"):
        yield BadLine("tfcnn.train", (f"--profile={value}",), "--profile")
    for value in ("1", "1,1", "nan,1,1", "1e9,1,1", "a,b,c"):
        yield BadLine("tfcnn.train", (f"--compound={value}",), "--compound")
    for value in ("nope", "rand-", "rand-n2", "rand-m11", "rand-m9-n9", f"rand-m{MANY_DIGITS}", "rand-m9-w0", LONG):
        yield BadLine("tfcnn.train", (f"--aa={value}",), "--aa")
    for flag in ("--scale", "--ratio"):
        for value in ("1", "0,1", "1,0.5", "nan,1", "a,b", "0.1,0.2,0.3", f"0.5,{DIGITS}"):
            yield BadLine("tfcnn.train", (f"{flag}={value}",), flag)
    for words in (("3",), ("1", "1"), ("0", "-1"), ("0", "x"), ("0", "1", "--seed=2"), ("0", "1", "--resume")):
        yield BadLine("tfcnn.train", ("--seeds", *words), "--seeds")
    for value in ("a/b", "..", "", "NUL\0"):
        yield BadLine("tfcnn.train", ("--name", value), "")
    for flag in ("--freeze", "--steps-per-execution"):
        yield from (BadLine("tfcnn.train", (f"{flag}={value}",), flag) for value in ("-1", "1.5", MANY_DIGITS, "x"))
    for value in ("stem", "1a=2", "input_shape=3", "num_classes=3", f"a={'(' * 5000}"):
        yield BadLine("tfcnn.train", ("--arch-args", value), "--arch-args")


def _numbers() -> Iterator[BadLine]:
    """Numbers of the other commands' flags."""
    for flag in ("--image-size", "--width", "--depth", "--phi"):
        values = WHOLE_NUMBERS if flag == "--image-size" else NUMBERS
        yield from (BadLine("tfcnn.describe", (f"{flag}={value}",), flag) for value in values)
    counts = {
        "tfcnn.describe": ("--channels", "--classes", "--batch-size"),
        "tuning.search": ("--trials", "--workers"),
        "tuning.scale": ("--seeds",),
    }
    for command, flags in counts.items():
        for flag in flags:
            yield from (BadLine(command, (f"{flag}={value}",), flag) for value in (*WHOLE_NUMBERS, "0"))
    for value in (*NUMBERS, "1.5", "0x10"):
        yield BadLine("tfcnn.visualize", ("run", "--what=filters", "--channels", value), "--channels")
    for value in (*WHOLE_NUMBERS, "0"):
        yield BadLine("tfcnn.predict", ("run", "image.png", f"--top={value}"), "--top")
    for flag in ("--sparsity", "--bits", "--epochs", "--lr"):
        values = NUMBERS if flag in ("--sparsity", "--lr") else WHOLE_NUMBERS
        yield from (BadLine("tfcnn.compress", ("run", f"{flag}={value}"), flag) for value in values)
    for flag in ("--port", "--max-batch", "--max-delay", "--timeout", "--max-body", "--max-pixels"):
        yield from (BadLine("tfcnn.serve", ("run", f"{flag}={value}"), flag) for value in NUMBERS)
    for flag in ("--step", "--tolerance"):
        yield from (BadLine("tuning.scale", (f"{flag}={value}",), flag) for value in (*NUMBERS, "0", "1.5"))
    yield from (BadLine("tuning.scale", (f"--step={value}",), "--step") for value in ("1e-9", "1e-300", "0.0001"))
    for flag in ("--widths", "--sizes"):
        yield from (BadLine("tuning.scale", ("--tradeoff", flag, value), flag) for value in ("nan", "0", DIGITS, "x"))
    for cost in ("parameters", "macs", "memory", "latency"):
        flag = f"--budget-{cost}"
        yield from (
            BadLine("tuning.search", (f"{flag}={value}",), flag) for value in ("", "nan", "inf", "0", "-1M", "M")
        )
    for flag in ("--input", "--kernel", "--stride", "--padding", "--dilation", "--output-padding"):
        numbers = {"--input": "32", "--kernel": "3"}
        for value in ("nan", "1.5", "-1", "", "x", MANY_DIGITS):
            arguments = tuple(f"{name}={text}" for name, text in (numbers | {flag: value}).items())
            yield BadLine("tfcnn.arithmetic", arguments, "")
    for flag in ("--epoch", "--count", "--image-size", "--seed"):
        values = (*WHOLE_NUMBERS, "0") if flag in ("--count", "--image-size") else WHOLE_NUMBERS
        yield from (BadLine("pipelines.show", ("--stats", f"{flag}={value}"), flag) for value in values)
    for flag in ("--mixup", "--cutmix"):
        yield from (BadLine("pipelines.show", ("--stats", f"{flag}={value}"), flag) for value in NUMBERS)


def _paths() -> Iterator[BadLine]:
    """Paths that are no paths, lead nowhere or to something else."""
    for path in (*PATHS, "taken"):
        yield BadLine("tfcnn.train", ("--out", path), "")
        yield BadLine("tfcnn.pretrained", ("--arch", "squeezenet1_1", "--out", path), "")
        yield BadLine("tuning.search", ("--study", path), "")
        yield BadLine("tuning.scale", ("--study", path), "")
    for path in (*PATHS, "taken", "a_file", "nowhere"):
        yield BadLine("tfcnn.train", ("--resume", "--out", path), "")
        for command in (
            "tfcnn.evaluate",
            "tfcnn.export",
            "tfcnn.compress",
            "tfcnn.serve",
            "tfcnn.compare",
            "tuning.report",
            "tuning.best",
        ):
            yield BadLine(command, (path,), "")
        yield BadLine("tfcnn.predict", (path, "image.png"), "")
        yield BadLine("tfcnn.visualize", (path, "--what", "filters"), "")
        yield BadLine("tfcnn.describe", (path,), "")
        yield BadLine("tuning.rerun", (path, "0"), "")
        yield BadLine("tfcnn.train", ("--weights", path), "")
        yield BadLine("tfcnn.pretrained", ("--weights", path), "")
    for path in (*PATHS, "nowhere", "taken", "a_file", "rubbish.npz", "rubbish.csv", "nowhere.csv"):
        dataset = path if path in ("", "NUL\0") else f"./{path}"
        for command in ("tfcnn.train", "tuning.search", "tuning.scale"):
            yield BadLine(command, ("--arch", "lenet5", "--dataset", dataset), "")
        yield BadLine("pipelines.show", ("--stats", "--dataset", dataset), "")
    for path in (*PATHS, "taken", "nowhere/x.png", "batch.xyz"):
        yield BadLine("pipelines.show", ("--out", path), "")
    for path in (*PATHS, "taken", "nowhere.py:space", "a_file:space", "a_file"):
        yield BadLine("tuning.search", ("--space", path), "")


def _images_and_runs() -> Iterator[BadLine]:
    """What a finished run is given."""
    for path in (*PATHS, "taken", "nowhere", "a_file"):
        yield BadLine("tfcnn.predict", ("run", path), "")
        yield BadLine("tfcnn.visualize", ("run", "--images", path), "")
    for path in (*PATHS, "a_file"):
        yield BadLine("tfcnn.visualize", ("run", "--what", "filters", "--out", path), "")
    for path in (*PATHS, "taken", "a_file"):
        yield BadLine("tfcnn.compare", ("run", "--out", path), "")
        yield BadLine("tfcnn.export", ("run", "--out", path), "")
        yield BadLine("tfcnn.compress", ("run", "--out", path), "")
        yield BadLine("tfcnn.describe", ("--arch", "lenet5", "--field", path), "")
        yield BadLine("tfcnn.arithmetic", ("--input=8", "--kernel=3", "--figure", path), "")
    for line, says in (
        (("run",), "--images"),
        (("run", "--what", "nope"), "look"),
        (("run", "--what", "filters", "--layer", "nope"), "layer"),
        (("run", "--what", "filters", "--layer", "logits"), "maps"),
        (("run", "--what", "filters", "--channels", "6"), "channels"),
        (("run", "--what", "filters", "--class", "nope"), "class"),
        (("run", "--what", "filters", "--arch", "lenet5"), "RUN"),
        (("--what", "filters", "--arch", "unet", "--weights", "imagenet"), "--arch"),
        (("--what", "filters"), "RUN"),
    ):
        yield BadLine("tfcnn.visualize", line, says)
    for value in ("", "tset", LONG):
        yield BadLine("tfcnn.evaluate", ("run", f"--split={value}"), "split")
        yield BadLine("tfcnn.export", ("run", f"--format={value}"), "format")
        yield BadLine("tfcnn.compress", ("run", f"--scope={value}"), "scope")
        yield BadLine("tfcnn.compare", ("run", f"--format={value}"), "format")
        yield BadLine("tfcnn.describe", (f"--format={value}",), "format")


def _others() -> Iterator[BadLine]:
    """Words in the wrong place, names that do not exist, costs that are known beforehand."""
    commands = ("tfcnn", "tfcnn.train", "tfcnn.pretrained", "tfcnn.describe", "pipelines.show", "tuning.search")
    for command in (*commands, "tuning.scale"):
        yield BadLine(command, ("--nope",), "--nope")
        yield BadLine(command, ("word",), "word")
    yield BadLine("tfcnn.visualize", ("--nope",), "--nope")
    for command in (
        "tfcnn.evaluate",
        "tfcnn.compare",
        "tfcnn.predict",
        "tfcnn.export",
        "tfcnn.compress",
        "tfcnn.arithmetic",
    ):
        yield BadLine(command, (), "required")
        yield BadLine(command, ("--nope",), "")
    for command in ("tuning.report", "tuning.best", "tuning.rerun"):
        yield BadLine(command, (), "required")
    for command in ("tfcnn.train", "tfcnn.pretrained", "tfcnn.describe", "tuning.search", "tuning.scale"):
        yield from (BadLine(command, ("--arch", name), "rchitecture") for name in ("mobilnet", "../x", LONG))
    for flag, value in (("--sampler", "x"), ("--pruner", "x"), ("--objective", "x"), ("--objective", ",")):
        yield BadLine("tuning.search", (flag, value), "")
    yield BadLine("pipelines.show", (), "--out")
    for flag in ("--task", "--split", "--aa", "--on-bad-image"):
        yield BadLine("pipelines.show", ("--stats", f"{flag}=x"), flag)
    yield BadLine("tfcnn.train", ("--image-size", "100000"), "--image-size")
    yield BadLine("tfcnn.pretrained", ("--arch", "unet"), "--arch")
    for values in (("--mean=0.5",), ("--mean=2", "--std=1"), ("--mean=0.5", "--std=0")):
        yield BadLine("tfcnn.pretrained", values, "--std" if values[-1] == "--std=0" else "--mean")
    yield BadLine("tfcnn.train", ("--image-size", "16384", "--batch-size", "1024"), "memory")
    yield BadLine("tuning.search", ("--image-size", "100000"), "--image-size")
    yield BadLine("pipelines.show", ("--image-size", "100000", "--stats"), "--image-size")
    yield BadLine("tfcnn.train", ("--arch", "unet", "--dataset", "shapes", "--arch-args", "levels=30"), "at most 8")
    yield BadLine("tfcnn.train", ("--width", "16", "--phi", "10"), "memory")


def make_folder(folder: Path, run: Path) -> None:
    """Fill the folder in which the lines run: what stands in the way of a path, rubbish, and a finished run."""
    (folder / "taken").mkdir(parents=True)
    (folder / "taken" / "note").write_text("mine")
    (folder / "a_file").write_text("mine")
    (folder / "loop").symlink_to("loop")
    (folder / "rubbish.npz").write_bytes(b"PK\3\4 rubbish")
    (folder / "rubbish.csv").write_text("nothing of use\n")
    shutil.copytree(run, folder / "run")


def contents(folder: Path) -> dict[Path, bytes]:
    """The files of a folder and what is in them."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def answer(line: BadLine) -> Answer:
    """Run a line in this process and in its present folder."""
    out = io.StringIO()
    error = io.StringIO()
    code: int | None = None
    trace = ""
    with (
        mock.patch("sys.argv", [line.command, *line.arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(error),
        _limit_time(SECONDS),
    ):
        try:
            code = _call(line)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except BaseException:
            trace = traceback.format_exc()
    return Answer(code, out.getvalue(), error.getvalue(), trace)


def _call(line: BadLine) -> int:
    name = line.command if line.command != "tfcnn" else "tfcnn.__main__"
    if line.command in ("tfcnn.export", "tfcnn.arithmetic", "tfcnn.visualize"):
        name += ".__main__"
    module = importlib.import_module(name)
    if line.command == "pipelines.show":
        return module.main(list(line.arguments))
    return run_main(module.main)


class TimeOver(BaseException):
    """A line runs for ever."""


@contextlib.contextmanager
def _limit_time(seconds: int) -> Iterator[None]:
    """Within this context TimeOver is raised after so many seconds, where the system has such a signal."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise TimeOver

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def table(answers: list[tuple[BadLine, Answer]]) -> str:
    """A row for each command, as Markdown."""
    rows = ["| command | lines | exit codes | tracebacks |", "|---|---:|---|---:|"]
    for command in dict.fromkeys(line.command for line, _ in answers):
        of_command = [answer for line, answer in answers if line.command == command]
        codes = collections.Counter(str(answer.code) for answer in of_command)
        words = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
        rows.append(f"| {command} | {len(of_command)} | {words} | {sum(bool(a.trace) for a in of_command)} |")
    rows.append(f"| all | {len(answers)} | | {sum(bool(answer.trace) for _, answer in answers)} |")
    return "\n".join(rows)


def main() -> None:
    from tfcnn import train

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with contextlib.redirect_stdout(io.StringIO()):
            run = train.run(
                Config(arch="lenet5", width=0.25, epochs=1, warmup_epochs=0, out=str(folder / "run-of-all"))
            )
        make_folder(folder / "here", run.path)
        os.chdir(folder / "here")
        before = contents(Path("."))
        answers = []
        for line in all_lines():
            answers.append((line, answer(line)))
            if not answers[-1][1].refused:
                print(line, answers[-1][1]._replace(trace=answers[-1][1].trace[-600:]), file=sys.stderr, flush=True)
        changed = contents(Path(".")) != before
        os.chdir("/")
    print(table(answers))
    print(f"\nrefused in one line: {sum(answer.refused for _, answer in answers)} of {len(answers)}")
    print(f"files written or changed: {'yes' if changed else 'none'}")


if __name__ == "__main__":
    main()
