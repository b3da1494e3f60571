"""Regions that may hold an object: selective search (Uijlings et al., 2013). NumPy, SciPy, and scikit-image.

The image is cut into segments three times (Felzenszwalb and Huttenlocher, 2004), more coarsely each time. Each time the
two most similar neighbours are joined until one segment is left, and each segment on the way is a proposal.

Differences from the paper: similarity is measured in one colour space, Lab, and in one way, as the sum of all four
kinds. The paper orders the proposals by their place in the hierarchy times a random number; here the order is fixed,
and a box of several segmentations moves up as its smallest random place would.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import os
import threading
import time
from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from tfcnn.errors import BadInput

# Scale (a larger one gives larger segments) and sigma of the blur; chosen on the validation scenes of `boxes`.
SEGMENTATIONS = ((50.0, 0.4), (50.0, 0.8), (100.0, 0.8))
SMALLEST_SEGMENT = 20  # pixels
COLOUR_BINS = 25  # a channel
DIRECTIONS = 8
TEXTURE_BINS = 10  # a direction and channel
STEEPEST = 25.0  # slope of Lab in the last bin of texture
FEW = 16  # images that this process searches itself: others take a second or two to start
IDLE = 30  # seconds until a process without work ends
COLOURS = 3 * COLOUR_BINS
BINS = COLOURS + 3 * DIRECTIONS * TEXTURE_BINS


def selective_search(image: np.ndarray, smallest: float = 8, most: int = 2000) -> np.ndarray:
    """The boxes of an image that may hold an object, whatever its class.

    Args:
        image: uint8 (h, w, 3), red, green, blue.
        smallest: width and height of the smallest box in pixels.
        most: number of boxes.

    Returns:
        float32 (n, 4) as x1, y1, x2, y2 in pixels, no box twice, the most probable first.

    Raises:
        BadInput: scikit-image is not installed.
        ValueError: another kind of array.
    """
    try:
        from skimage.color import rgb2lab
        from skimage.segmentation import felzenszwalb
    except ImportError as error:
        raise BadInput(
            "selective search needs scikit-image, which is not installed: pip install -r requirements-detection.txt"
        ) from error
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"an image of selective search is uint8 (h, w, 3), got {image.dtype} {image.shape}")
    lab = rgb2lab(image)
    bins = np.concatenate([_colour_bins(lab), _texture_bins(lab)], axis=-1)
    weights: dict[tuple[float, ...], float] = {}
    for scale, sigma in SEGMENTATIONS:
        segments = felzenszwalb(image, scale, sigma, SMALLEST_SEGMENT, channel_axis=-1)
        boxes = _Grouping(segments, bins).join_all()
        for place, box in enumerate(map(tuple, boxes[::-1].tolist()), start=1):
            weights[box] = weights.get(box, 0) + 1 / place
    ranked = np.array(sorted(weights, key=lambda box: (-weights[box], box)), "float32")
    is_large = np.all(ranked[:, 2:] - ranked[:, :2] >= smallest, axis=1)
    return ranked[is_large][:most]


def search_all(images: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The proposals of each image as `selective_search` finds them, in their order, by a process on each core.

    Threads gain a seventh on two cores, because the grouping is Python. joblib's processes do not import the user's
    program again, as those of multiprocessing do, so that a script needs no `if __name__ == "__main__"`.
    """
    yield from map(selective_search, itertools.islice(images, FEW))
    rest = list(itertools.islice(images, 1))
    if rest:
        import joblib

        tasks = (joblib.delayed(_search_of)(os.getpid(), image) for image in itertools.chain(rest, images))
        with joblib.parallel_config("loky", n_jobs=-1, max_nbytes=None, idle_worker_timeout=IDLE):
            yield from joblib.Parallel(return_as="generator")(tasks)


def _search_of(parent: int, image: np.ndarray) -> np.ndarray:
    """`selective_search` in a process that ends with its parent."""
    _end_with(parent)
    return selective_search(image)


@functools.cache
def _end_with(parent: int) -> None:
    """End this process soon after its parent, which may be killed and say nothing; joblib's processes would stay."""

    def watch() -> None:
        while _is_child_of(parent):
            time.sleep(1)
        os._exit(1)

    if _is_child_of(parent):  # joblib computes in the parent itself where there is one core
        threading.Thread(target=watch, daemon=True).start()


def _is_child_of(parent: int) -> bool:
    """Whether that process is the parent, and alive: Windows keeps the number of a parent that has ended."""
    import psutil

    process = psutil.Process().parent()
    return process is not None and process.pid == parent


def _colour_bins(lab: np.ndarray) -> np.ndarray:
    """The bins of each pixel's colour in a common histogram: (h, w, 3), 0 ... 3 * COLOUR_BINS - 1."""
    return _bins((lab + np.array([0, 128, 128])) / [100, 256, 256], COLOUR_BINS)


def _texture_bins(lab: np.ndarray) -> np.ndarray:
    """The bins of each pixel's Gaussian derivatives in 8 directions: (h, w, 24), after those of colour."""
    across = ndimage.gaussian_filter(lab, (1, 1, 0), (0, 1, 0))
    down = ndimage.gaussian_filter(lab, (1, 1, 0), (1, 0, 0))
    angles = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
    slopes = across[..., None] * np.cos(angles) + down[..., None] * np.sin(angles)
    return COLOURS + _bins(slopes.reshape(*lab.shape[:2], -1) / STEEPEST, TEXTURE_BINS)


def _bins(shares: np.ndarray, count: int) -> np.ndarray:
    """0 ... count - 1 for shares of 0 ... 1 in the first channel, count ... 2 * count - 1 in the second, ..."""
    return np.clip(shares * count, 0, count - 1).astype("int64") + count * np.arange(shares.shape[-1])


class _Grouping:
    """The segments of an image, those that joining makes after them, and what their similarity is made of."""

    def __init__(self, segments: np.ndarray, bins: np.ndarray) -> None:
        count = segments.max() + 1
        self.area = segments.size
        self.sizes = np.zeros(2 * count - 1)
        self.sizes[:count] = np.bincount(segments.ravel())
        self.boxes = np.zeros((2 * count - 1, 4))
        self.boxes[:count] = [
            (columns.start, rows.start, columns.stop, rows.stop) for rows, columns in ndimage.find_objects(segments + 1)
        ]
        self.histograms = np.zeros((2 * count - 1, BINS), "float32")
        self.histograms[:count] = _histograms(segments, bins) / self.sizes[:count, None]
        self.neighbours = _neighbours(segments, count)

    def join_all(self) -> np.ndarray:
        """Join until one segment is left: the boxes (n, 4) in the order of their making, the last the image's."""
        queue = []
        for first, neighbours in enumerate(self.neighbours):
            later = [second for second in sorted(neighbours) if second > first]
            queue += [
                (-similarity, first, second)
                for similarity, second in zip(self.similarities(first, later), later, strict=True)
            ]
        heapq.heapify(queue)
        while queue:
            _, first, second = heapq.heappop(queue)
            if self.neighbours[first] and self.neighbours[second]:
                new = self.join(first, second)
                around = sorted(self.neighbours[new])
                for similarity, other in zip(self.similarities(new, around), around, strict=True):
                    heapq.heappush(queue, (-similarity, other, new))
        return self.boxes

    def join(self, first: int, second: int) -> int:
        """The number of the segment that replaces two."""
        new = len(self.neighbours)
        sizes = self.sizes[[first, second]]
        self.sizes[new] = sizes.sum()
        self.histograms[new] = sizes @ self.histograms[[first, second]] / sizes.sum()
        self.boxes[new, :2] = np.minimum(self.boxes[first, :2], self.boxes[second, :2])
        self.boxes[new, 2:] = np.maximum(self.boxes[first, 2:], self.boxes[second, 2:])
        around = (self.neighbours[first] | self.neighbours[second]) - {first, second}
        for other in around:
            self.neighbours[other] -= {first, second}
            self.neighbours[other].add(new)
        self.neighbours[first] = set()
        self.neighbours[second] = set()
        self.neighbours.append(around)
        return new

    def similarities(self, segment: int, others: list[int]) -> list[float]:
        """Of colour, texture, size and fill: section 3.2, equations 1 to 6."""
        common = np.minimum(self.histograms[others], self.histograms[segment]).sum(axis=1)
        sizes = self.sizes[others] + self.sizes[segment]
        corner = np.minimum(self.boxes[others, :2], self.boxes[segment, :2])
        sides = np.maximum(self.boxes[others, 2:], self.boxes[segment, 2:]) - corner
        holes = sides.prod(axis=1) - sizes
        return (common + 2 - (sizes + holes) / self.area).tolist()


def _histograms(segments: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """(segments, BINS): a pixel adds 1 to its segment's histogram of colour, and 1 to that of texture."""
    count = segments.max() + 1
    places = segments[..., None] * BINS + bins
    counts = np.bincount(places.ravel(), minlength=count * BINS).reshape(count, BINS)
    return counts * np.repeat([1 / 3, 1 / (3 * DIRECTIONS)], [COLOURS, BINS - COLOURS])


def _neighbours(segments: np.ndarray, count: int) -> list[set[int]]:
    """For each segment those that share an edge of a pixel with it."""
    pairs = np.concatenate(
        [
            np.stack([segments[1:].ravel(), segments[:-1].ravel()], axis=1),
            np.stack([segments[:, 1:].ravel(), segments[:, :-1].ravel()], axis=1),
        ]
    )
    pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    neighbours: list[set[int]] = [set() for _ in range(count)]
    for first, second in pairs.tolist():
        neighbours[first].add(second)
        neighbours[second].add(first)
    return neighbours
