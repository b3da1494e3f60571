"""Scenes of flat figures over textured backgrounds: what `shapes` and `boxes` are drawn from.

A scene is a function of (difficulty, split, number) alone. A figure is sampled at 5×5 points a pixel: their share is
its coverage, which blends the colours, and the point in the middle decides whose pixel it is.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from scipy.ndimage import gaussian_filter

SIDE = 96  # pixels
FIGURES = ("disc", "square", "triangle", "star", "ring", "cross")
SIZES = {"train": 800, "validation": 100, "test": 200}
SEED = 96
POINTS = 5  # per pixel and axis; odd, so that one of them is the pixel's centre
TRIES = 20  # places for a figure before it is left out


@dataclasses.dataclass(eq=False, kw_only=True)  # not frozen because TFDS' own is not
class SceneConfig(tfds.core.BuilderConfig):
    """How hard the scenes are. Pairs are the least and the most; colours are points in 0 ... 255 cubed."""

    figures: tuple[int, int]  # in a scene
    radius: tuple[float, float]  # of the circle around a figure, in pixels
    contrast: tuple[float, float]  # distance of a figure's colour from that of the background
    texture: float  # how far a pattern moves the colour of what it covers
    noise: float  # standard deviation in every channel, in grey levels
    occlusion: float  # share of a figure's pixels that figures above it may hide, at most


DIFFICULTIES = (  # the first is the default
    SceneConfig(
        name="medium",
        description="2 to 6 figures, up to half hidden, patterned and noisy",
        figures=(2, 6),
        radius=(9, 22),
        contrast=(70, 160),
        texture=40,
        noise=8,
        occlusion=0.5,
    ),
    SceneConfig(
        name="easy",
        description="1 to 3 large figures that hardly overlap, in clear colours",
        figures=(1, 3),
        radius=(14, 22),
        contrast=(120, 200),
        texture=15,
        noise=3,
        occlusion=0.1,
    ),
    SceneConfig(
        name="hard",
        description="4 to 10 figures, up to 70 % hidden, in colours near that of the background",
        figures=(4, 10),
        radius=(7, 24),
        contrast=(35, 90),
        texture=60,
        noise=16,
        occlusion=0.7,
    ),
)


class Figure(NamedTuple):
    """One figure: an index into FIGURES, its centre and the radius of the circle around it in pixels, its angle."""

    kind: int
    y: float
    x: float
    radius: float
    angle: float


class Scene(NamedTuple):
    """A picture and its labels."""

    image: np.ndarray  # uint8 (96, 96, 3)
    classes: np.ndarray  # uint8 (96, 96): 0 is background, 1 + kind a figure
    instances: np.ndarray  # uint8 (96, 96): 0 is background, n the n-th figure drawn
    figures: tuple[Figure, ...]  # in drawing order: later ones lie above


def scene(config: SceneConfig, split: int, number: int) -> Scene:
    """Draw the `number`-th scene of the `split`-th split. A figure with no room within `occlusion` is left out."""
    rng = np.random.default_rng([SEED, split, number])
    ground = rng.uniform(64, 192, 3)
    image = _paint(rng, ground, config.texture, (SIDE, SIDE))
    instances = np.zeros((SIDE, SIDE), np.uint8)
    figures: list[Figure] = []
    areas: list[int] = []

    for _ in range(rng.integers(*config.figures, endpoint=True)):
        kind = int(rng.integers(len(FIGURES)))
        for _ in range(TRIES):
            radius = rng.uniform(*config.radius)
            y, x = rng.uniform(radius, SIDE - radius, 2)
            figure = Figure(kind, y, x, radius, rng.uniform(0, 2 * math.pi))
            window, coverage, mask = _rasterise(figure)
            above = instances.copy()
            above[window][mask] = len(figures) + 1
            visible = np.bincount(above.ravel(), minlength=len(figures) + 2)[1:]
            if (visible >= (1 - config.occlusion) * np.array([*areas, mask.sum()])).all():
                colour = _contrasting(rng, ground, config.contrast)
                paint = _paint(rng, colour, config.texture, mask.shape)
                image[window] += coverage[..., None] * (paint - image[window])
                instances = above
                figures.append(figure)
                areas.append(int(mask.sum()))
                break

    image += config.noise * rng.standard_normal(image.shape)
    ids = np.array([0, *(1 + figure.kind for figure in figures)], np.uint8)
    return Scene(image.round().clip(0, 255).astype(np.uint8), ids[instances], instances, tuple(figures))


def inside(kind: int, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Which points lie in a figure of radius 1 about the origin: bool, the shape of `u` and `v`."""
    match FIGURES[kind]:
        case "disc":
            return u * u + v * v <= 1
        case "ring":
            return (u * u + v * v <= 1) & (u * u + v * v >= 0.3)
        case "square":
            return np.maximum(abs(u), abs(v)) <= math.sqrt(1 / 2)
        case "cross":
            return (np.minimum(abs(u), abs(v)) <= 0.3) & (np.maximum(abs(u), abs(v)) <= math.sqrt(1 - 0.3**2))
        case "triangle":
            return _sides(3, math.cos(math.pi / 3), u, v) == 3
        case "star":  # the pentagon inside keeps to all five lines, a tip to all but the one that cuts it off
            return _sides(5, math.cos(2 * math.pi / 5), u, v) >= 4
    raise ValueError(kind)


def _sides(count: int, distance: float, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The number of lines, of `count` evenly turned ones at `distance` from the origin, that a point lies inside of."""
    angles = [2 * math.pi * k / count for k in range(count)]
    inner = [math.cos(angle) * u + math.sin(angle) * v <= distance for angle in angles]
    return np.stack(inner).sum(axis=0, dtype=np.uint8)


def _rasterise(figure: Figure) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """(window of the image, coverage of its pixels in 0 ... 1, whether the figure has their centres)."""
    rows = slice(math.floor(figure.y - figure.radius), math.ceil(figure.y + figure.radius))
    columns = slice(math.floor(figure.x - figure.radius), math.ceil(figure.x + figure.radius))
    y = (np.arange(rows.start * POINTS, rows.stop * POINTS) + 0.5) / POINTS - figure.y
    x = (np.arange(columns.start * POINTS, columns.stop * POINTS) + 0.5) / POINTS - figure.x
    cos = math.cos(figure.angle) / figure.radius
    sin = math.sin(figure.angle) / figure.radius
    points = inside(figure.kind, cos * x + sin * y[:, None], cos * y[:, None] - sin * x)
    coverage = points.reshape(rows.stop - rows.start, POINTS, columns.stop - columns.start, POINTS).sum((1, 3))
    middle = slice(POINTS // 2, None, POINTS)
    return (rows, columns), coverage / POINTS**2, points[middle, middle]


def _contrasting(rng: np.random.Generator, colour: np.ndarray, contrast: tuple[float, float]) -> np.ndarray:
    """A colour at a distance within `contrast` of another one."""
    while True:
        step = rng.standard_normal(3)
        other = colour + step * (rng.uniform(*contrast) / math.sqrt(step @ step))
        if other.min() >= 0 and other.max() <= 255:
            return other


def _paint(rng: np.random.Generator, colour: np.ndarray, texture: float, shape: tuple[int, int]) -> np.ndarray:
    """The colour under a gradient, stripes, checks or clouds: float64 (height, width, 3)."""
    step = rng.standard_normal(3)
    angle = rng.uniform(0, 2 * math.pi)
    period = rng.uniform(5, 20)
    phase = rng.uniform(0, 2 * math.pi)
    y, x = np.ogrid[: shape[0], : shape[1]]
    across = math.cos(angle) * x + math.sin(angle) * y
    along = math.cos(angle) * y - math.sin(angle) * x
    match rng.integers(4):
        case 0:
            pattern = across - across.mean()
        case 1:
            pattern = np.sin(2 * math.pi / period * across + phase)
        case 2:
            pattern = np.sin(2 * math.pi / period * across + phase) * np.sin(2 * math.pi / period * along)
        case _:
            pattern = gaussian_filter(rng.standard_normal(shape), period / 5)
    return colour + (pattern * (texture / abs(pattern).max()))[..., None] * (step / math.sqrt(step @ step))
