"""Selective search against its definition in loops over sets of pixels."""

import subprocess
import sys

import numpy as np
import psutil
import pytest
from skimage.color import rgb2lab
from skimage.segmentation import felzenszwalb

from pipelines.embedded import boxes, scenes
from tfcnn.detection import proposals
from tfcnn.detection.boxes import box_iou
from tfcnn.detection.proposals import selective_search
from tfcnn.errors import BadInput


def picture(*rectangles, side=48):
    """Rectangles of even colour, (x1, y1, x2, y2, colour), on grey."""
    image = np.full((side, side, 3), 128, "uint8")
    for x1, y1, x2, y2, colour in rectangles:
        image[y1:y2, x1:x2] = colour
    return image


def noisy_picture():
    """Six segments or more, of which some have a texture."""
    rng = np.random.default_rng(3)
    image = picture((4, 4, 20, 16, (200, 60, 40)), (12, 10, 30, 30, (60, 180, 60)), (28, 4, 44, 40, (200, 90, 160)))
    image[30:44, 2:24:3] = (20, 20, 90)
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype("uint8")


def derivative(channel, angle):
    """Of the Gaussian of one pixel, by a sum over its offsets; the border is mirrored."""
    offsets = np.arange(-4, 5)
    bell = np.exp(-(offsets**2) / 2)
    bell /= bell.sum()
    slope = -offsets * bell
    padded = np.pad(channel, 4, mode="symmetric")
    result = np.zeros_like(channel)
    for i, dy in enumerate(offsets):
        for j, dx in enumerate(offsets):
            weight = bell[i] * slope[j] * np.cos(angle) + slope[i] * bell[j] * np.sin(angle)
            rows = slice(4 - dy, 4 - dy + len(channel))
            result += weight * padded[rows, 4 - dx : 4 - dx + channel.shape[1]]
    return result


def shares(values, bins, low, high):
    """A histogram with values outside in the bins at its ends."""
    return np.histogram(np.clip(values, low, high), bins, (low, high))[0] / len(values)


def descriptor(mask, lab, slopes):
    colour = [
        shares(lab[..., c][mask], 25, *limits) / 3 for c, limits in enumerate([(0, 100), (-128, 128), (-128, 128)])
    ]
    texture = [shares(slope[mask], 10, 0, 25) / 24 for slope in slopes]
    return np.concatenate([*colour, *texture])


def box_of(mask):
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def touch(first, second):
    grown = np.pad(first, 1)
    grown = grown[:-2, 1:-1] | grown[2:, 1:-1] | grown[1:-1, :-2] | grown[1:-1, 2:]
    return (grown & second).any()


def similarity(first, second):
    """Of two pairs of a mask and its descriptor."""
    both = first[0] | second[0]
    x1, y1, x2, y2 = box_of(both)
    common = np.minimum(first[1], second[1]).sum()
    return common + 1 - both.sum() / both.size + 1 - ((x2 - x1) * (y2 - y1) - both.sum()) / both.size


def hierarchy(segments, lab, slopes):
    """The boxes in the order of their making, by comparing all pairs at each step."""
    pieces = []
    for number in range(segments.max() + 1):
        mask = segments == number
        pieces.append((mask, descriptor(mask, lab, slopes)))
    result = [box_of(mask) for mask, _ in pieces]
    while len(pieces) > 1:
        pairs = [(a, b) for a in range(len(pieces)) for b in range(a) if touch(pieces[a][0], pieces[b][0])]
        a, b = max(pairs, key=lambda pair: similarity(pieces[pair[0]], pieces[pair[1]]))
        joined = pieces[a][0] | pieces[b][0]
        others = [piece for i, piece in enumerate(pieces) if i not in (a, b)]
        pieces = [*others, (joined, descriptor(joined, lab, slopes))]
        result.append(box_of(joined))
    return result


def test_proposals_are_those_of_the_loops():
    image = noisy_picture()
    lab = rgb2lab(image)
    slopes = [derivative(lab[..., c], np.pi / 4 * k) for c in range(3) for k in range(8)]
    weights = {}
    for scale, sigma in proposals.SEGMENTATIONS:
        segments = felzenszwalb(image, scale, sigma, proposals.SMALLEST_SEGMENT)
        for place, box in enumerate(reversed(hierarchy(segments, lab, slopes)), start=1):
            weights[box] = weights.get(box, 0) + 1 / place
    result = selective_search(image, smallest=1)
    assert {tuple(box) for box in result.tolist()} == set(weights)
    assert len(result) == len(weights) > 12
    ranks = [weights[tuple(box)] for box in result.tolist()]
    assert ranks == pytest.approx(sorted(ranks, reverse=True))


def test_even_rectangles_are_proposed_exactly():
    rectangles = [(4, 4, 16, 20, (255, 0, 0)), (20, 8, 44, 18, (0, 255, 0)), (24, 28, 36, 44, (0, 0, 255))]
    result = selective_search(picture(*rectangles))
    ious = box_iou(result.astype("float64"), np.array([r[:4] for r in rectangles], "float64"))
    assert (ious.max(axis=0) == 1).all()


def test_an_object_of_two_colours_is_proposed_whole():
    halves = [(10, 10, 20, 30, (250, 60, 60)), (20, 10, 30, 30, (250, 160, 60))]
    result = selective_search(picture(*halves))
    assert box_iou(result.astype("float64"), np.array([[10, 10, 30, 30.0]])).max() > 0.8


def test_drawn_scenes():
    config = next(config for config in scenes.DIFFICULTIES if config.name == "medium")
    best = []
    for number in range(6):
        scene = scenes.scene(config, 2, number)
        truth = np.array(boxes.bounds(scene), "float64")[:, [1, 0, 3, 2]]
        best += box_iou(selective_search(scene.image).astype("float64"), truth).max(axis=0).tolist()
    assert np.mean(np.array(best) >= 0.5) == 1
    assert np.mean(np.array(best) >= 0.7) >= 0.9


def test_boxes_are_float32_unique_and_the_same_each_time():
    image = noisy_picture()
    result = selective_search(image)
    assert result.dtype == "float32"
    assert len(np.unique(result, axis=0)) == len(result)
    np.testing.assert_array_equal(selective_search(image.copy()), result)


def test_size_and_number_are_bounded():
    image = noisy_picture()
    result = selective_search(image, smallest=12)
    assert (result[:, 2:] - result[:, :2]).min() >= 12
    assert len(result) < len(selective_search(image, smallest=1))
    np.testing.assert_array_equal(selective_search(image, smallest=12, most=5), result[:5])


def test_an_image_of_one_segment_is_one_proposal():
    assert selective_search(picture(side=9)).tolist() == [[0, 0, 9, 9]]


@pytest.mark.parametrize("image", [np.zeros((9, 9, 3)), np.zeros((9, 9), "uint8"), np.zeros((9, 9, 1), "uint8")])
def test_another_array_is_refused(image):
    with pytest.raises(ValueError, match=r"uint8 \(h, w, 3\), got"):
        selective_search(image)


def test_without_scikit_image(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(BadInput, match=r"pip install -r requirements-detection.txt"):
        selective_search(picture())


@pytest.mark.slow
def test_processes_find_the_same_in_the_same_order():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (24 + number, 32, 3), dtype="uint8") for number in range(proposals.FEW + 9)]
    found = list(proposals.search_all(iter(images)))
    assert len(found) == len(images)
    for image, regions in zip(images, found, strict=True):
        np.testing.assert_array_equal(regions, selective_search(image))


ENDLESS = """
import itertools
import numpy as np
from tfcnn.detection.proposals import search_all

for number, _ in enumerate(search_all(itertools.repeat(np.zeros((64, 64, 3), "uint8")))):
    if number == 40:
        print("found", flush=True)
"""


@pytest.mark.slow
def test_processes_end_with_a_parent_that_is_killed():
    with subprocess.Popen([sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "found\n"
        children = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    assert children
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
