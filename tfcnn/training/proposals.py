"""The proposals of a data set's images, computed once and kept in the run directory."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from tfcnn.detection.pixels import to_pixels
from tfcnn.detection.proposals import search_all
from tfcnn.errors import first_line
from tfcnn.files import writing
from tfcnn.training.progress import duration

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_FILES = 60.0  # of what is done so far
Value = TypeVar("Value")
Box = dict[str, np.ndarray]


class Images(Protocol):
    """What is read of `tfcnn.training.regions.RegionData`, which stands above."""

    @property
    def sizes(self) -> dict[str, int]: ...

    @property
    def image_shape(self) -> tuple[int, ...]: ...

    @property
    def mean(self) -> tuple[float, ...]: ...

    @property
    def std(self) -> tuple[float, ...]: ...

    @property
    def fingerprint(self) -> str: ...

    def images(self, split: str) -> Any:
        """The batches of a split in its order: images, and their boxes and classes."""


class Proposals:
    """Proposals by split, in the order of its images, and what follows from them.

    Attributes:
        path: the file that keeps them; None: they stay in memory.
    """

    def __init__(self) -> None:
        self.path: Path | None = None
        self._regions: dict[str, list[np.ndarray]] = {}
        self._values: dict[Hashable, Any] = {}

    def keep_in(self, path: Path, data: Images) -> None:
        """Keep them in a file, and read those of the same images that an earlier process has left in it."""
        self.path = path
        if self._regions:  # of the steps that measured the speed
            self._write(data)
        if not path.exists():
            return
        try:
            with path.open("rb") as file, np.load(file) as arrays:
                if arrays["fingerprint"] == _fingerprint(data):
                    splits = [name for name in arrays.files if name in data.sizes]
                    self._regions |= {split: _split(arrays[split], arrays[f"{split}_counts"]) for split in splits}
                    return
                problem = "is of other images"
        except Exception as error:  # NumPy and zipfile have one for each kind of damage
            problem = f"cannot be read: {first_line(error)}"
        print(f"warning: '{path}' {problem}; it is written again", file=sys.stderr)

    def of(self, data: Images, split: str) -> list[np.ndarray]:
        """The regions float32 (r, 4) of each image of a split, as x1, y1, x2, y2 in pixels at the network's size."""
        regions = self._regions.setdefault(split, [])
        size = data.sizes[split]
        if len(regions) < size:
            started = time.monotonic()
            first = len(regions)
            lines = files = started
            try:
                for row in search_all(_pixels(data, split, first)):
                    regions.append(row)
                    now = time.monotonic()
                    if now - lines >= SECONDS_BETWEEN_LINES:
                        lines = now
                        left = (now - started) / (len(regions) - first) * (size - len(regions))
                        print(
                            f"proposals  {len(regions):,} of {size:,} {split} images, {duration(left)} left", flush=True
                        )
                    if now - files >= SECONDS_BETWEEN_FILES:
                        files = now
                        self._write(data)
            finally:
                self._write(data)
            mean = np.mean([len(row) for row in regions])
            seconds = duration(time.monotonic() - started)
            print(f"proposals  {mean:.0f} for each of {size:,} {split} images, in {seconds}", flush=True)
        return regions

    def put(self, split: str, regions: list[np.ndarray]) -> None:
        """Set the regions float32 (r, 4) of each image of a split, in place of those of selective search."""
        self._regions[split] = regions

    def truths(self, data: Images, split: str) -> list[Box]:
        """The true "boxes" float32 (n, 4) and "labels" int32 (n,) of each image, without padding."""

        def collect() -> list[Box]:
            rows = []
            for _, targets in data.images(split).as_numpy_iterator():
                for boxes, labels in zip(targets["boxes"], targets["labels"], strict=True):
                    rows.append({"boxes": boxes[labels >= 0], "labels": labels[labels >= 0]})
            return rows

        return self.once(("truths", split), collect)

    def once(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """What `compute` returned the first time that it was asked for under this key."""
        if key not in self._values:
            self._values[key] = compute()
        return self._values[key]

    def _write(self, data: Images) -> None:
        if self.path is None:
            return
        arrays: dict[str, Any] = {"fingerprint": _fingerprint(data)}
        for split, regions in self._regions.items():
            arrays[split] = np.concatenate([np.zeros((0, 4), "float32"), *regions])
            arrays[f"{split}_counts"] = [len(row) for row in regions]
        with writing(self.path) as path, path.open("wb") as file:
            np.savez_compressed(file, **arrays)


def _fingerprint(data: Images) -> str:
    """Of the images and their size."""
    return f"{data.fingerprint} {data.image_shape}"


def _pixels(data: Images, split: str, first: int) -> Iterator[np.ndarray]:
    """The images of a split from number `first` on, uint8 (height, width, 3)."""
    number = 0
    for images, _ in data.images(split).as_numpy_iterator():
        for image in images:
            if number >= first:
                yield to_pixels(image, data.mean, data.std)
            number += 1


def _split(rows: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    """The rows of each image."""
    return np.split(rows, np.cumsum(counts)[:-1]) if len(counts) else []
