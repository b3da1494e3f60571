"""Writes docs/journeys.md, what four users type and see: `python -m docs.journeys [--only student ...]`.

The commands run one after the other in a temporary folder with `photos`, 200 windows of photographs that ship with
scikit-image and scikit-learn, and `scan.png`, a handwritten digit. With --only the other journeys stay as they are in
the page. Needs requirements-dev.txt and requirements-imagenet.txt.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks.fine_tuning import find_photograph

ROOT = Path(__file__).resolve().parents[1]
PAGE = Path(__file__).with_suffix(".md")
INTRODUCTION = """# Four users

Written by `python -m docs.journeys`: what each types, and what is printed. `photos` holds 200 windows of four
photographs that ship with scikit-image and scikit-learn. They overlap: accuracies of 100 % are of images that were seen
in part.
"""
CLASSES = ("brick", "chelsea", "coffee", "grass")
EACH = 50  # windows of a class
SIDE = 96  # pixels of a window
FIRST, LAST = 4, 7  # lines that stand of a longer output


class Journey(NamedTuple):
    """What a user wants, and the commands in their order."""

    title: str
    purpose: str
    commands: tuple[str, ...]


JOURNEYS = {
    "student": Journey(
        "A student with homework",
        "Trains a first network, says how good it is and what it confuses, and reads a scan.",
        (
            "python -m tfcnn.describe --arch lenet5",
            "python -m tfcnn.train --arch lenet5 --name homework",
            "python -m tfcnn.evaluate runs/homework",
            "python -m tfcnn.predict runs/homework scan.png",
        ),
    ),
    "teacher": Journey(
        "A teacher with 200 photographs",
        "Sorts them into a folder for each class, and wants a network that tells them apart.",
        (
            "python -m pipelines.show --dataset photos --stats",
            "python -m tfcnn.train --arch squeezenet1_1 --weights imagenet --dataset photos --epochs 4 --name photos",
            "python -m tfcnn.predict runs/photos photos/coffee/7.png photos/grass/7.png --cam --out heat",
        ),
    ),
    "practitioner": Journey(
        "A practitioner who fine-tunes",
        "Compares a head alone with the whole network, and ships the better one.",
        (
            "python -m tfcnn.train --arch squeezenet1_1 --weights imagenet --dataset photos --epochs 4 "
            "--freeze backbone --name head",
            "python -m tfcnn.train --arch squeezenet1_1 --weights imagenet --dataset photos --epochs 4 --name all",
            "python -m tfcnn.compare runs/head runs/all",
            "python -m tfcnn.evaluate runs/all --split validation",
            "python -m tfcnn.export runs/all --format savedmodel,litert,onnx --quantize int8",
        ),
    ),
    "researcher": Journey(
        "A researcher with 20 runs",
        "Asks which of four learning rates is the best, over five seeds.",
        (
            *(
                f"python -m tfcnn.train --arch lenet5 --epochs 3 --lr {rate} --seeds 0 1 2 3 4 --name lr{rate}"
                for rate in ("0.001", "0.003", "0.01", "0.03")
            ),
            "python -m tfcnn.compare runs/*",
        ),
    ),
}


def write_photos(folder: Path) -> None:
    """Windows of photographs, `EACH` a class, at random."""
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        with Image.open(find_photograph(name)) as picture:
            colour = picture.convert("RGB")
        for number in range(EACH):
            left, top = (int(rng.integers(side - SIDE + 1)) for side in colour.size)
            colour.crop((left, top, left + SIDE, top + SIDE)).save(folder / name / f"{number}.png")


def run(command: str, folder: Path) -> str:
    """What a command prints in a folder, shortened. Raises subprocess.CalledProcessError."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    lines = [line.replace(str(folder), ".").rstrip() for line in done.stdout.strip().splitlines()]
    if len(lines) > FIRST + LAST + 1:
        lines = [*lines[:FIRST], "...", *lines[-LAST:]]
    return "\n".join(lines)


def write_journey(journey: Journey) -> str:
    """The part of the page for a journey, whose commands are run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder / "photos")
        shutil.copy(ROOT / "tests" / "scans" / "digit-3.png", folder / "scan.png")
        outputs = [f"$ {command}\n{run(command, folder)}\n" for command in journey.commands]
    return f"## {journey.title}\n\n{journey.purpose}\n\n```text\n" + "\n".join(outputs) + "```\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=list(JOURNEYS), default=list(JOURNEYS))
    chosen = parser.parse_args().only
    present = re.findall(r"^## .*?(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL) if PAGE.exists() else []
    parts = {part.splitlines()[0]: part.rstrip() + "\n" for part in present}
    for name in chosen:
        parts[f"## {JOURNEYS[name].title}"] = write_journey(JOURNEYS[name])
    titles = [f"## {journey.title}" for journey in JOURNEYS.values()]
    PAGE.write_text("\n".join([INTRODUCTION, *(parts[title] for title in titles if title in parts)]))


if __name__ == "__main__":
    main()
