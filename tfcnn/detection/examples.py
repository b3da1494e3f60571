"""Images with their regions and their truth, for detection and its scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from tfcnn.detection.pixels import to_pixels
from tfcnn.detection.proposals import selective_search


class Example(NamedTuple):
    """One example.

    Attributes:
        image: float32 (height, width, channels), standardised.
        regions: float32 (r, 4) as x1, y1, x2, y2 in its pixels.
        truth: "boxes" float32 (n, 4) and "labels" int32 (n,), without padding.
    """

    image: np.ndarray
    regions: np.ndarray
    truth: dict[str, np.ndarray]


class Images(Protocol):
    """What is read of pipelines.dataset.Data."""

    @property
    def mean(self) -> tuple[float, ...]: ...

    @property
    def std(self) -> tuple[float, ...]: ...

    def evaluation(self, split: str) -> Any: ...


@runtime_checkable
class WithProposals(Protocol):
    """Data that keep their proposals."""

    def proposals_of(self, split: str) -> list[np.ndarray]:
        """The regions float32 (r, 4) of each image of a split."""

    def images(self, split: str) -> Any:
        """The batches of a split as `Data.evaluation` of detection gives them."""


def read_examples(data: Images, split: str) -> Iterator[Example]:
    """The examples of a split of detection, with the proposals that the data keep, or computed here."""
    if isinstance(data, WithProposals):
        pairs = (pair for batch in data.images(split).as_numpy_iterator() for pair in _pairs(batch))
        for (image, truth), regions in zip(pairs, data.proposals_of(split), strict=True):
            yield Example(image, regions, truth)
        return
    for batch in data.evaluation(split).as_numpy_iterator():
        for image, truth in _pairs(batch):
            yield Example(image, selective_search(to_pixels(image, data.mean, data.std)), truth)


def _pairs(batch: tuple) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """The images of a batch with their truth."""
    images, targets = batch
    for image, boxes, labels in zip(images, targets["boxes"], targets["labels"], strict=True):
        yield image, {"boxes": boxes[labels >= 0], "labels": labels[labels >= 0]}


def pad(rows: Sequence[np.ndarray], length: int | None = None) -> np.ndarray:
    """Arrays of some rows each, then rows of -1: (batch, length, ...); default: the most that one has, at least 1."""
    most = max([1, *map(len, rows)]) if length is None else length
    padded = np.full((len(rows), most, *rows[0].shape[1:]), -1, rows[0].dtype)
    for place, values in zip(padded, rows, strict=True):
        place[: len(values)] = values
    return padded
