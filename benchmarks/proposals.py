"""Recall, number and cost of the proposals of selective search on `boxes`.

    python -m benchmarks.proposals [--images 200] > docs/proposals.md

Proposes regions in the first test scenes of each difficulty, and prints as Markdown: the share of the true boxes that a
proposal meets at an IoU of 0.5, 0.7 and 0.9; the proposals and the CPU time of an image; and the recall where only the
first 10, 50, 100, 500 and 2,000 proposals of each image are kept.
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import numpy as np

from pipelines.embedded import scenes
from pipelines.embedded.boxes import bounds
from tfcnn.detection.boxes import box_iou
from tfcnn.detection.proposals import selective_search
from tfcnn.tables import as_markdown

HEAD = """# Region proposals

Written by `python -m benchmarks.proposals --images {images}`: selective search (`tfcnn.detection.proposals`) on the
first {images} test scenes of `boxes`, 96×96 pixels. Recall is the share of the true boxes that a proposal covers at
that IoU or above."""
WHY = """
## Why 2,000 proposals

Recall with only the first proposals of each image:
"""
AFTER = """
R-CNN keeps 2,000 proposals of a photograph. No detector finds an object that no proposal covers, so this recall bounds
that of the detector. It grows more and more slowly with the number of proposals, while the time of R-CNN, which runs
its network on each of them, grows in proportion. These scenes have at most {most} proposals each."""
THRESHOLDS = (0.5, 0.7, 0.9)
KEPT = (10, 50, 100, 500, 2000)
TEST = list(scenes.SIZES).index("test")


class Result(NamedTuple):
    """The proposals of one difficulty."""

    best: dict[int, np.ndarray]  # number kept -> largest IoU of each true box, over all images
    counts: list[int]  # proposals of each image
    seconds: float  # of CPU, an image


def measure(config: scenes.Difficulty, images: int) -> Result:
    best: dict[int, list[np.ndarray]] = {kept: [] for kept in KEPT}
    counts = []
    seconds = 0.0
    for number in range(images):
        scene = scenes.scene(config, TEST, number)
        truth = np.array(bounds(scene), "float64")[:, [1, 0, 3, 2]]
        before = time.process_time()
        proposals = selective_search(scene.image)
        seconds += time.process_time() - before
        counts.append(len(proposals))
        ious = box_iou(proposals.astype("float64"), truth)
        for kept in KEPT:
            best[kept].append(ious[:kept].max(axis=0))
    return Result({kept: np.concatenate(parts) for kept, parts in best.items()}, counts, seconds / images)


def recall(ious: np.ndarray, threshold: float) -> str:
    return f"{(ious >= threshold).mean():.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=scenes.SIZES["test"], help="of each difficulty [%(default)s]")
    images = parser.parse_args().images
    selective_search(scenes.scene(scenes.DIFFICULTIES[0], TEST, 0).image)  # imports scikit-image
    configs = {config.name: config for config in scenes.DIFFICULTIES}
    results = {name: measure(configs[name], images) for name in ("easy", "medium", "hard")}
    print(HEAD.format(images=images))
    columns = ["", *(f"recall at {threshold}" for threshold in THRESHOLDS), "proposals an image", "CPU ms an image"]
    rows = []
    for name, result in results.items():
        recalls = [recall(result.best[KEPT[-1]], threshold) for threshold in THRESHOLDS]
        rows.append([name, *recalls, f"{np.mean(result.counts):.0f}", f"{1000 * result.seconds:.0f}"])
    print(f"\n{as_markdown(columns, rows, words=[0])}")
    print(WHY)
    rows = [
        [name, str(threshold), *(recall(result.best[kept], threshold) for kept in KEPT)]
        for name, result in results.items()
        for threshold in THRESHOLDS[:2]
    ]
    print(as_markdown(["", "IoU", *(f"{kept:,}" for kept in KEPT)], rows, words=[0]))
    print(AFTER.format(most=max(max(result.counts) for result in results.values())))


if __name__ == "__main__":
    main()
