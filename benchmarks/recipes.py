"""What the default recipes reach on the embedded data sets: `python -m benchmarks.recipes [--archs A ...] [--seeds N]`.

Each run is `python -m tfcnn.train --arch A --dataset D --width W --seed S` in a separate process. Its row is appended
to benchmarks/recipes.csv, which then becomes docs/recipes.md; without --archs nothing is trained. A run whose row is
there already is not repeated: remove the rows of an architecture whose recipe changes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.training_runs import ROOT, append_row, cells_of_scores, has_row, read_rows, train
from tfcnn.config import Config
from tfcnn.models.registry import family_of
from tfcnn.tables import as_markdown
from tfcnn.tasks import TASKS
from tfcnn.training import recipes
from tfcnn.training.optimizers import peak_learning_rate

TABLE = Path(__file__).with_suffix(".csv")
PAGE = ROOT / "docs" / "recipes.md"


class Case(NamedTuple):
    """A network, what it learns, and a width that two cores train in minutes."""

    arch: str
    dataset: str
    width: float


CASES = (
    *(Case("unet", dataset, 0.125) for dataset in ("shapes/easy", "shapes", "shapes/hard")),
    Case("segnet", "shapes/easy", 0.25),
    *(Case(f"fcn{stride}s", "shapes/easy", 0.125) for stride in (8, 16, 32)),
    Case("deconvnet", "shapes/easy", 0.125),
    Case("dilated_vgg16", "shapes/easy", 0.0625),
    Case("conv_autoencoder", "digits", 2.0),
    Case("m5", "tones", 0.5),
    *(Case(arch, "tones", 0.25) for arch in ("m3", "m11", "m18")),
    Case("voxnet", "solids", 1.0),
    Case("unet3d", "solids", 0.125),
)


def measure(case: Case, seed: int, folder: Path) -> dict[str, Any]:
    """Train into `folder`; the row of the table: test score, wall time and processor time of the command."""
    flags = ["--arch", case.arch, "--dataset", case.dataset, "--width", str(case.width), "--seed", str(seed)]
    metrics = train(flags, folder)
    return {
        **case._asdict(),
        "seed": seed,
        "score": f"{metrics['test_' + TASKS[family_of(case.arch).task].headline.name]:.4f}",
        "epochs": metrics["epochs"],
        "seconds": f"{metrics['wall_seconds']:.0f}",
        "cpu_seconds": f"{metrics['cpu_seconds']:.0f}",
    }


def describe(arch: str) -> str:
    """What the default recipe sets for an architecture."""
    config = recipes.resolve({"arch": arch})
    values = [f"{config.epochs} epochs", f"batches of {config.batch_size}", f"rate {peak_learning_rate(config):g}"]
    values += [config.loss] if config.loss else []
    values += [f"--aa {config.aa}"] if config.aa != Config().aa else []
    return ", ".join([*values, *(f"{key}={value}" for key, value in config.arch_args.items())])


def summarise(rows: list[dict[str, Any]]) -> list[list[str]]:
    """A line of the page for each network, data set and width of the table."""
    lines = []
    for key in dict.fromkeys((row["arch"], row["dataset"], row["width"]) for row in rows):
        runs = [row for row in rows if (row["arch"], row["dataset"], row["width"]) == key]
        headline = TASKS[family_of(key[0]).task].headline
        scores = [float(row["score"]) for row in runs]
        minutes = statistics.mean(float(row["cpu_seconds"]) for row in runs) / 60
        lines.append(
            [
                *key,
                headline.label,
                *cells_of_scores(scores, headline.form),
                f"{minutes:.1f}",
                describe(key[0]),
            ]
        )
    return lines


def write_page(rows: list[dict[str, Any]]) -> None:
    """Write docs/recipes.md."""
    head = ["network", "data set", "width", "metric", "seeds 0, 1, ...", "mean", "deviation", "minutes", "recipe"]
    PAGE.write_text(
        "# Default recipes\n\n"
        "Written by `python -m benchmarks.recipes` from benchmarks/recipes.csv: what `python -m tfcnn.train --arch A "
        "--dataset D --width W`\nreaches on the test images when all other flags are left out "
        "(tfcnn/training/recipes.py). Minutes are of processor time, all\nthreads together, loading and export "
        "included; two cores that do nothing else take a little more than half of it.\n\n"
        "The context module has no row: it reads maps of class scores, and dilated_vgg16 contains it.\n\n"
        f"{as_markdown(head, summarise(rows), words=[0, 1, 3, 4, 8])}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--archs", nargs="+", default=[], help="architectures to train, or all")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    cases = [case for case in CASES if case.arch in arguments.archs or arguments.archs == ["all"]]
    for seed in range(arguments.seeds):
        for case in cases:
            key = {"arch": case.arch, "dataset": case.dataset, "width": str(case.width), "seed": str(seed)}
            if not has_row(TABLE, key):
                with tempfile.TemporaryDirectory() as folder:
                    append_row(TABLE, measure(case, seed, Path(folder) / "run"))
    write_page(read_rows(TABLE))


if __name__ == "__main__":
    main()
