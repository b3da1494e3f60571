"""Drawn figures, against outlines from their corners."""

import dataclasses
import math

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from scipy import ndimage

from pipelines.embedded import scenes
from tests.pipelines.embedded.difficulties import difficulty


def test_figures_are_balanced():
    kinds = [figure.kind for number in range(150) for figure in scenes.scene(scenes.DIFFICULTIES[0], 0, number).figures]
    np.testing.assert_allclose(np.bincount(kinds, minlength=6) / len(kinds), 1 / 6, atol=0.04)


def corners(kind):
    """The corners of a figure of radius 1 about the origin, counted from the direction of its first side."""
    if kind == "square":
        return [(s, t) for s, t in ((1, 1), (-1, 1), (-1, -1), (1, -1))], math.sqrt(0.5)
    if kind == "cross":
        arm = 0.3
        end = math.sqrt(1 - 0.09)
        quarter = [(end, -arm), (end, arm), (arm, arm)]
        turns = [(1, 0), (0, 1), (-1, 0), (0, -1)]
        return [(x * c - y * s, x * s + y * c) for c, s in turns for x, y in quarter], 1
    if kind == "triangle":
        return [(math.cos(a), math.sin(a)) for a in (math.pi / 3, math.pi, -math.pi / 3)], 1
    inner = math.cos(2 * math.pi / 5) / math.cos(math.pi / 5)
    tips = [(1 if k % 2 == 0 else inner, k * math.pi / 5) for k in range(10)]
    return [(r * math.cos(a), r * math.sin(a)) for r, a in tips], 1


def covers(figure, y, x):
    """Which points of the image a figure covers."""
    kind = scenes.FIGURES[figure.kind]
    y, x = np.broadcast_arrays(y, x)
    if kind in ("disc", "ring"):
        distance = np.hypot(y - figure.y, x - figure.x) / figure.radius
        return (distance <= 1) & (distance >= (math.sqrt(0.3) if kind == "ring" else 0))
    points, scale = corners(kind)
    cos, sin = (scale * figure.radius * f(figure.angle) for f in (math.cos, math.sin))
    outline = Outline([(figure.x + cos * u - sin * v, figure.y + sin * u + cos * v) for u, v in points])
    return outline.contains_points(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(x.shape)


AREAS = {
    "disc": math.pi,
    "square": 2,
    "triangle": 3 * math.sqrt(3) / 4,
    "star": 5 * math.sin(math.pi / 5) * math.cos(2 * math.pi / 5) / math.cos(math.pi / 5),
    "ring": 0.7 * math.pi,
    "cross": 2 * 0.6 * 2 * math.sqrt(0.91) - 0.6**2,
}
CENTRES = np.arange(96) + 0.5


@pytest.mark.parametrize("kind", range(6), ids=scenes.FIGURES)
def test_figures_have_their_area(kind):
    grid = (np.arange(-500, 500) + 0.5) / 500
    area = scenes.inside(kind, grid, grid[:, None]).mean() * 4
    assert area == pytest.approx(AREAS[scenes.FIGURES[kind]], rel=4e-3)


@pytest.mark.parametrize("name", ["easy", "medium", "hard"])
def test_masks_are_the_figures_painted_one_over_another(name):
    config = difficulty(scenes.DIFFICULTIES, name)
    kinds = set()
    for number in range(25):
        scene = scenes.scene(config, 0, number)
        painted = np.zeros((96, 96), int)
        areas = []
        for place, figure in enumerate(scene.figures, 1):
            covered = covers(figure, CENTRES[:, None], CENTRES)
            painted[covered] = place
            areas.append(covered.sum())
            kinds.add(figure.kind)
            assert config.radius[0] <= figure.radius <= config.radius[1]
        assert (painted != scene.instances).sum() <= 2  # centres within rounding of an edge
        assert 1 <= len(scene.figures) <= config.figures[1]
        visible = np.bincount(scene.instances.ravel(), minlength=len(areas) + 1)[1:]
        assert (visible + 1 >= (1 - config.occlusion) * np.array(areas)).all()
        np.testing.assert_array_equal(
            scene.classes, np.array([0, *(f.kind + 1 for f in scene.figures)])[scene.instances]
        )
    assert kinds == set(range(6))


def test_the_picture_shows_what_the_mask_says():
    """Without pattern and noise each pixel's colour tells how much of it the figure covers."""
    plain = difficulty(scenes.DIFFICULTIES, "easy", figures=(1, 1), texture=0, noise=0)
    for number in range(12):
        scene = scenes.scene(plain, 0, number)
        (figure,) = scene.figures
        image = scene.image.astype(float)
        ground = image[0, 0]
        colour = np.median(image[scene.instances == 1], axis=0)
        assert 119 <= np.linalg.norm(colour - ground) <= 201
        coverage = (image - ground) @ (colour - ground) / ((colour - ground) @ (colour - ground))
        np.testing.assert_allclose(image, ground + coverage[..., None] * (colour - ground), atol=1.5)
        area = AREAS[scenes.FIGURES[figure.kind]] * figure.radius**2
        assert coverage.sum() == pytest.approx(area, rel=0.015)
        fine = (np.arange(96 * 8) + 0.5) / 8
        share = covers(figure, fine[:, None], fine).reshape(96, 8, 96, 8).mean((1, 3))
        np.testing.assert_allclose(coverage, share, atol=0.17)
        assert 0.1 < coverage[(share > 0) & (share < 1)].mean() < 0.9  # edges are smooth


def test_texture_and_noise_are_as_strong_as_said():
    quiet = difficulty(scenes.DIFFICULTIES, "easy", texture=30, noise=0)
    noisy = dataclasses.replace(quiet, noise=10)
    for number in range(8):
        clean, loud = (scenes.scene(c, 0, number) for c in (quiet, noisy))
        ground = clean.image[~ndimage.binary_dilation(clean.instances, iterations=2)].astype(float)
        assert 20 < np.linalg.norm(ground - ground.mean(0), axis=1).max() < 62
        difference = loud.image.astype(float) - clean.image
        between = (clean.image > 40) & (clean.image < 215)  # not clipped
        assert difference[between].std() == pytest.approx(10, rel=0.05)


def figure_pixels(image):
    """What stands out from the median colour, by Otsu's threshold."""
    distance = ndimage.gaussian_filter(np.linalg.norm(image - np.median(image, axis=(0, 1)), axis=-1), 1)
    counts, edges = np.histogram(distance, 64)
    below = np.cumsum(counts)[:-1]
    total = counts.sum()
    sums = np.cumsum(counts * (edges[:-1] + edges[1:]) / 2)
    between = (sums[-1] * below - sums[:-1] * total) ** 2 / (below * (total - below))
    return distance > edges[1 + between.argmax()]


def test_scenes_are_ordered_by_difficulty():
    overlaps = {}
    for config in scenes.DIFFICULTIES:
        examples = [scenes.scene(config, 2, number) for number in range(30)]
        predicted = np.array([figure_pixels(scene.image) for scene in examples])
        true = np.array([scene.instances > 0 for scene in examples])
        overlaps[config.name] = (predicted & true).sum() / (predicted | true).sum()
    assert overlaps["easy"] > 0.9 > overlaps["hard"] + 0.15
    assert overlaps["easy"] > overlaps["medium"] > overlaps["hard"]
