"""R-CNN and Fast R-CNN on the embedded boxes: `python -m benchmarks.detection [--train] [--seeds N]`.

Each run is `python -m tfcnn.train --arch A --dataset D --seed S` in a separate process; its best model then detects the
test images here, with and without the regression of boxes. A row is appended to benchmarks/detection.csv, which becomes
docs/detection.md; without --train nothing is trained. A run whose row is there already is not repeated: remove the rows
of an architecture whose recipe changes. Times are of the processor, all threads together.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.training_runs import ROOT, append_row, read_rows, train
from tfcnn.cli.startup import import_tensorflow
from tfcnn.run_directory import RunDirectory
from tfcnn.tables import as_markdown
from tfcnn.training import recipes
from tfcnn.training.optimizers import peak_learning_rate

TABLE = Path(__file__).with_suffix(".csv")
PAGE = ROOT / "docs" / "detection.md"
ARCHS = ("fast_rcnn", "rcnn")
DATASETS = ("boxes/easy", "boxes/medium")
TIMED = 64  # images
SCORES = ("map50", "map70", "map")
MEASURED = (*SCORES, *(f"{score}_without_regression" for score in SCORES), "network_ms", "proposals_ms")
INTRODUCTION = """# Detectors

Written by `python -m benchmarks.detection` from benchmarks/detection.csv.

    python -m tfcnn.train --arch fast_rcnn --dataset boxes/easy     # or rcnn; boxes is boxes/medium
    python -m tfcnn.evaluate runs/RUN                               # mAP, precision over recall, a sheet of images
    python -m tfcnn.predict runs/RUN photo.png --out detections     # boxes with names and scores, COCO's JSON

Both score regions that selective search proposes (`tfcnn.detection.proposals`; `pip install -r
requirements-detection.txt`). Training computes them once and keeps them in the run directory, in proposals.npz.

**Fast R-CNN** (Girshick 2015) runs its network once over the image, pools the part of the map under each region
(`RoIPooling2D`), and learns classes and displacements together, in the loop of all other networks.

**R-CNN** (Girshick et al. 2013) warps each region to the network's input (`WarpRegions2D`), fine-tunes the network as a
classifier of regions, then fits a linear SVM for each class on its last features, with hard negatives mined, and a
ridge regression of the boxes on its last map. These become the weights of the layers `logits` and `boxes`, so that
model.keras is one network. A stopped run continues at its stage: proposals.npz, checkpoints/, features.npz, heads.npz.
A score is the logistic of a margin; the test loss and accuracy in metrics.json are those of the margins.

After each epoch, history.csv and the log give the mAP@.5 of the first 64 validation images, 32 for R-CNN (by the
softmax of its fine-tuning: the SVMs come later). The epoch with the highest one is kept.

Mirroring is the only augmentation, as in the papers. SavedModels take images and their regions, because selective
search is not a TensorFlow graph. `--arch-args backbone=NAME` takes another network. `--weights` loads its weights for
classification, as `--arch fast_rcnn --weights imagenet --arch-args backbone=squeezenet1_1` does, and fine-tunes them:
the layers after the backbone first, then all, lower stages more slowly. Width and depth are the weights' by default.
"""


def measure(arch: str, dataset: str, seed: int, folder: Path) -> dict[str, Any]:
    """Train into `folder`; the row of the table."""
    metrics = train(["--arch", arch, "--dataset", dataset, "--seed", str(seed)], folder)
    scores = measure_detections(RunDirectory(folder))
    return {
        "arch": arch,
        "dataset": dataset,
        "seed": seed,
        "epochs": metrics["epochs"],
        "cpu_minutes": f"{metrics['cpu_seconds'] / 60:.2f}",
        "minutes": f"{metrics['wall_seconds'] / 60:.2f}",
        **{name: scores[name] for name in MEASURED},
    }


def measure_detections(run: RunDirectory) -> dict[str, Any]:
    """The scores of a run's test images, and the times of an image."""
    from tfcnn.detection.detector import detect_all
    from tfcnn.detection.examples import read_examples
    from tfcnn.detection.metrics import mean_average_precision
    from tfcnn.evaluate import load_data_of

    facts = run.read_config()
    data = load_data_of(facts, None, None, None)
    model = run.load_model()
    started = time.process_time()
    examples = list(read_examples(data, "test"))
    row = {"proposals_ms": f"{1000 * (time.process_time() - started) / len(examples):.1f}"}
    truths = [example.truth for example in examples]
    for regression, ending in ((True, ""), (False, "_without_regression")):
        detections = detect_all(model, examples, regression)
        scores = mean_average_precision(detections, truths)
        row[f"map50{ending}"] = f"{scores['ap50']:.4f}"
        row[f"map{ending}"] = f"{scores['map']:.4f}"
        row[f"map70{ending}"] = f"{mean_average_precision(detections, truths, [0.7])['map']:.4f}"
    times = []
    for count in (TIMED, 2 * TIMED):  # the difference leaves tracing out
        started = time.process_time()
        detect_all(model, itertools.islice(itertools.cycle(examples), count))
        times.append(time.process_time() - started)
    return row | {"network_ms": f"{1000 * (times[1] - times[0]) / TIMED:.1f}"}


def mean(rows: list[dict[str, str]], column: str) -> float:
    """The mean of a column."""
    return statistics.mean(float(row[column]) for row in rows)


def score_lines(rows: list[dict[str, str]]) -> list[list[str]]:
    """A line for each architecture and data set: scores with and without the regression of boxes."""
    lines = []
    for arch, dataset, runs in groups(rows):
        columns = ("map50", "map", "map_without_regression", "map70", "map70_without_regression")
        scores = [f"{mean(runs, column):.1%}" for column in columns]
        lines.append([arch, dataset, str(len(runs)), *scores])
    return lines


def time_lines(rows: list[dict[str, str]]) -> list[list[str]]:
    """A line for each architecture and data set: minutes of the training, milliseconds of an image."""
    lines = []
    for arch, dataset, runs in groups(rows):
        network = mean(runs, "network_ms")
        proposals = mean(runs, "proposals_ms")
        minutes = [f"{mean(runs, column):.1f}" for column in ("cpu_minutes", "minutes")]
        lines.append([arch, dataset, *minutes, f"{network:.1f}", f"{proposals:.1f}", f"{network + proposals:.1f}"])
    return lines


def groups(rows: list[dict[str, str]]) -> list[tuple[str, str, list[dict[str, str]]]]:
    """The rows of each architecture and data set."""
    keys = dict.fromkeys((row["arch"], row["dataset"]) for row in rows)
    return [(*key, [row for row in rows if (row["arch"], row["dataset"]) == key]) for key in keys]


def describe(arch: str) -> str:
    """The default recipe of an architecture in words."""
    config = recipes.resolve({"arch": arch})
    arguments = ", ".join(f"{key}={value}" for key, value in config.arch_args.items())
    return (
        f"`{arch}`: {config.epochs} epochs, batches of {config.batch_size}, rate {peak_learning_rate(config):g}, "
        f"width {config.width:g}, depth {config.depth:g}, {arguments}"
    )


def write_page(rows: list[dict[str, str]]) -> None:
    """Write docs/detection.md."""
    scores = ["network", "data set", "seeds", "mAP@.5", "COCO mAP", "at regions", "mAP@.7", "at regions"]
    times = ["network", "data set", "CPU minutes", "minutes", "network ms", "proposals ms", "together ms"]
    PAGE.write_text(
        f"{INTRODUCTION}\n"
        f"{as_markdown(scores, score_lines(rows), words=[0, 1])}\n\n"
        'Of the 200 test images. "At regions" is the score before it without the regression: each box stays at its '
        "region. That of\nFast R-CNN learns with the network and is worth 3 to 5 points at IoU 0.7; that of R-CNN is "
        "linear on the last map, which\nhas 2x2 positions here, and gains less.\n\n"
        f"{as_markdown(times, time_lines(rows), words=[0, 1])}\n\n"
        "Minutes are of the whole training, proposals and evaluation included; milliseconds are processor time of an "
        "image, all\nthreads together, its decoding left out. The default recipes:\n\n"
        + "\n".join(f"* {describe(arch)}" for arch in ARCHS)
        + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train", action="store_true", help="train what the table lacks")
    parser.add_argument("--archs", nargs="+", default=ARCHS, choices=ARCHS)
    parser.add_argument("--datasets", nargs="+", default=DATASETS, choices=DATASETS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--keep", metavar="DIR", help="folder to keep the runs in [they are removed]")
    arguments = parser.parse_args()
    if arguments.train:
        import_tensorflow()
        for seed, dataset, arch in itertools.product(range(arguments.seeds), arguments.datasets, arguments.archs):
            done = {(row["arch"], row["dataset"], int(row["seed"])) for row in read_rows(TABLE)}
            if (arch, dataset, seed) not in done:
                with tempfile.TemporaryDirectory() as folder:
                    name = f"{arch}-{dataset.replace('/', '-')}-{seed}"
                    append_row(TABLE, measure(arch, dataset, seed, Path(arguments.keep or folder) / name))
    write_page(read_rows(TABLE))


if __name__ == "__main__":
    main()
