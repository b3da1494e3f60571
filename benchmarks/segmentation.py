"""The choices of the segmentation tutorial, measured: `python -m benchmarks.segmentation [--seeds N]`.

Every run is `python -m tfcnn.train --dataset shapes/easy` (96 pixels, seven classes, a background of three quarters)
for the same number of steps, from fresh weights but for the stages of FCN. A row for each seed goes to
benchmarks/segmentation.csv, which then becomes docs/segmentation.md; rows that are there are not trained again, and
without --seeds nothing is trained.

    levels     U-Net with a level more or less
    up         U-Net's way up: transposed convolution, interpolation and convolution, or unpooling
    stride     VGG-16 down-sampled by 32, or by 8 with dilated convolutions, scored at one pixel in eight
    stages     FCN-8s through FCN-32s and FCN-16s, each from the weights of the last, or FCN-8s at once
    loss       U-Net by cross-entropy, soft Dice, or their sum
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.training_runs import ROOT, append_row, cells_of_scores, read_rows, train
from tfcnn.tables import as_markdown

TABLE = Path(__file__).with_suffix(".csv")
PAGE = ROOT / "docs" / "segmentation.md"
EPOCHS = 15  # of 100 steps
COMMON = "--dataset shapes/easy --batch-size 8 --lr 0.0015 --loss dice_ce"
UNET = "--arch unet --width 0.125 --arch-args batch_norm=True dropout=0.0"
VGG = "--width 0.0625 --arch-args batch_norm=True dropout=0.0"
FCN = f"{VGG} form=same"
STAGED = "--head-epochs 0 --layer-decay 1"  # as fresh weights, but for those that are loaded


class Variant(NamedTuple):
    """One answer to a question.

    Attributes:
        name: in the table.
        runs: the flags of each run; those after the first start from the weights of the one before.
        epochs: of each run.
    """

    name: str
    runs: tuple[str, ...]
    epochs: tuple[int, ...] = (EPOCHS,)


QUESTIONS = {
    "levels": tuple(Variant(f"{levels} levels", (f"{UNET} levels={levels}",)) for levels in (3, 4, 5)),
    "up": (
        Variant("transposed", (f"{UNET} levels=4",)),
        *(Variant(way, (f"{UNET} levels=4 decoder={way}",)) for way in ("upsampling", "unpooling")),
    ),
    "stride": (
        Variant("32, by poolings (fcn32s)", (f"--arch fcn32s {FCN}",)),
        Variant("8, by dilation (dilated_vgg16)", (f"--arch dilated_vgg16 {VGG}",)),
    ),
    "stages": (
        Variant("FCN-8s at once", (f"--arch fcn8s {FCN}",)),
        Variant(
            "FCN-32s, 16s, 8s",
            (f"--arch fcn32s {FCN}", f"--arch fcn16s {FCN} {STAGED}", f"--arch fcn8s {FCN} {STAGED}"),
            (7, 4, 4),
        ),
    ),
    "loss": (
        *(Variant(loss, (f"{UNET} levels=4 --loss {loss}",)) for loss in ("cross_entropy", "dice")),
        Variant("dice_ce", (f"{UNET} levels=4",)),
    ),
}


def measure(question: str, variant: Variant, seed: int, folder: Path) -> dict[str, Any]:
    """Train a variant; its row of the table."""
    weights: list[str] = []
    results = []
    for number, (flags, epochs) in enumerate(zip(variant.runs, variant.epochs, strict=True)):
        run = folder / str(number)
        results.append(
            train([*COMMON.split(), *flags.split(), "--epochs", str(epochs), "--seed", str(seed), *weights], run)
        )
        weights = ["--weights", str(run / "model.keras")]
    last = results[-1]
    facts = json.loads((run / "config.json").read_text())
    return {
        "question": question,
        "variant": variant.name,
        "seed": seed,
        "mean_iou": f"{last['test_mean_iou']:.4f}",
        "parameters": facts["cost"]["parameters"],
        "macs": facts["cost"]["macs"],
        "cpu_seconds": f"{sum(result['cpu_seconds'] for result in results):.0f}",
    }


def measured_before(variant: Variant, seed: int) -> dict[str, str] | None:
    """The row of the same runs, which another question may have asked for."""
    rows = {(row["question"], row["variant"], int(row["seed"])): row for row in read_rows(TABLE)}
    for question, variants in QUESTIONS.items():
        for other in variants:
            row = rows.get((question, other.name, seed))
            if row and (other.runs, other.epochs) == (variant.runs, variant.epochs):
                return row
    return None


def summarise(question: str, rows: list[dict[str, str]]) -> list[list[str]]:
    """A line of the page for each variant of a question that has rows."""
    lines = []
    for variant in QUESTIONS[question]:
        runs = [row for row in rows if (row["question"], row["variant"]) == (question, variant.name)]
        if runs:
            scores = [100 * float(row["mean_iou"]) for row in runs]
            lines.append(
                [
                    variant.name,
                    *cells_of_scores(scores, "{:.1f}"),
                    f"{int(runs[0]['parameters']):,}",
                    f"{int(runs[0]['macs']) / 1e6:,.0f}",
                    f"{statistics.mean(float(row['cpu_seconds']) for row in runs) / 60:.1f}",
                ]
            )
    return lines


def commands_of(variant: Variant) -> list[str]:
    """The commands of a variant's runs, as lines of Markdown."""
    lines = []
    weights = ""
    for number, (flags, epochs) in enumerate(zip(variant.runs, variant.epochs, strict=True)):
        out = f" --out runs/stage{number + 1}" if len(variant.runs) > 1 else ""
        lines.append(f"    python -m tfcnn.train {COMMON} {flags} --epochs {epochs}{weights}{out}\n")
        weights = f" --weights runs/stage{number + 1}/model.keras"
    return lines


def write_page(rows: list[dict[str, str]]) -> None:
    """Write docs/segmentation.md."""
    questions = {
        line.split()[0]: line.split(maxsplit=1)[1]
        for line in (__doc__ or "").splitlines()
        if line.startswith("    ") and line.split()[0] in QUESTIONS
    }
    head = ["", "seeds 0, 1, ...", "mean IoU, %", "deviation", "parameters", "million MACs", "CPU minutes"]
    parts = [
        "# Choices in segmentation\n\nWritten by `python -m benchmarks.segmentation` from benchmarks/segmentation.csv: "
        f"mean IoU on the test images of\n`shapes/easy` at 96 pixels after {EPOCHS} epochs of 100 steps, best epoch by "
        f"validation. All runs share\n`{COMMON}`;\na mask of background alone has 12.3 %. CPU minutes are those of all "
        f"threads, loading and export included.\n"
    ]
    for question, text in questions.items():
        lines = summarise(question, rows)
        if lines:
            parts.append(f"\n## {text}\n\n{as_markdown(head, lines, words=[0, 1])}\n")
            parts += ["\nThe last row:\n\n", *commands_of(QUESTIONS[question][-1])]
    PAGE.write_text("".join(parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--questions", nargs="+", default=list(QUESTIONS), choices=list(QUESTIONS))
    parser.add_argument("--seeds", type=int, default=0)
    arguments = parser.parse_args()
    for seed in range(arguments.seeds):
        for question in arguments.questions:
            for variant in QUESTIONS[question]:
                done = {(row["question"], row["variant"], int(row["seed"])) for row in read_rows(TABLE)}
                if (question, variant.name, seed) not in done:
                    before = measured_before(variant, seed)
                    with tempfile.TemporaryDirectory() as folder:
                        row = before or measure(question, variant, seed, Path(folder))
                    append_row(TABLE, row | {"question": question, "variant": variant.name})
    write_page(read_rows(TABLE))


if __name__ == "__main__":
    main()
