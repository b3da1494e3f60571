"""`solids`: ball, cube, cylinder, cone, torus, pyramid, tetrahedron or cross in 32×32×32 voxels, for 3-D networks.

Each solid is turned, scaled and shifted at random; then its surface is made rough, balls are bitten out of it, and
voxels are flipped. A voxel is 255 where its centre is in the solid and 0 elsewhere. The mask has the number of the
class + 1 in the solid and 0, the background, elsewhere, and no flipped voxels. It is no substitute for scans: one solid
a volume, in empty space, no grey levels.

A support vector machine on the volume reduced to 8×8×8 is right for 54 % of the test split, on quantiles of the
distance from the centroid and the principal moments for 92 %; on `easy` for 84 % and 99 %, on `hard` for 46 % and 74 %.

Made by this repository and under its licence. `solids/easy`, `solids/medium` (the default) and `solids/hard` differ in
the numbers of `DIFFICULTIES`. Train 800, validation 100, test 200, every class equally often in each but for one.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from pipelines.embedded.generation import DrawnBuilder

SIDE = 32  # voxels
CLASSES = ("ball", "cube", "cylinder", "cone", "torus", "pyramid", "tetrahedron", "cross")
SEED = 32
CENTRES = np.indices((SIDE, SIDE, SIDE)).reshape(3, -1) + 0.5  # of the voxels: z, y, x


@dataclasses.dataclass(eq=False, kw_only=True)  # not frozen because TFDS' own is not
class SolidConfig(tfds.core.BuilderConfig):
    """How hard the solids are. Lengths in voxels."""

    radius: tuple[float, float]  # of the ball around the solid, least and most
    tilt: float  # degrees from upright, at most; 180 is any direction
    roughness: float  # how far the surface strays from its place, at most
    bites: int  # balls of a quarter of the radius taken out of it, at most
    flipped: float  # share of voxels that have the wrong value


DIFFICULTIES = (  # the first is the default
    SolidConfig(
        name="medium",
        description="any direction, a rough surface, up to 3 bites",
        radius=(9, 15),
        tilt=180,
        roughness=1,
        bites=3,
        flipped=0.002,
    ),
    SolidConfig(
        name="easy",
        description="nearly upright and whole",
        radius=(11, 15),
        tilt=30,
        roughness=0,
        bites=0,
        flipped=0,
    ),
    SolidConfig(
        name="hard",
        description="any direction, a very rough surface, up to 6 bites, small ones too, 2 % of the voxels wrong",
        radius=(8, 15),
        tilt=180,
        roughness=2,
        bites=6,
        flipped=0.02,
    ),
)


class Solids(DrawnBuilder):
    """volume uint8 (32, 32, 32, 1), 0 or 255, axes z, y, x and channel; label 0 ... 7; segmentation_mask, 0 ... 8.

    Version 1.1.0 has the masks, for segmentation. Classification reads 1.0.0, so that its runs stay valid.
    """

    VERSION = tfds.core.Version("1.0.0")
    SUPPORTED_VERSIONS: ClassVar[list[tfds.core.Version]] = [tfds.core.Version("1.1.0")]
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "volumes and labels", "1.1.0": "masks"}
    BUILDER_CONFIGS = DIFFICULTIES
    SIZES: ClassVar[dict[str, int]] = {"train": 800, "validation": 100, "test": 200}
    SUPERVISED = ("volume", "label")

    def features(self) -> dict[str, Any]:
        voxels = tfds.features.Tensor(shape=(SIDE, SIDE, SIDE, 1), dtype=np.uint8, encoding="zlib")
        features = {"volume": voxels, "label": tfds.features.ClassLabel(names=CLASSES)}
        return features | {"segmentation_mask": voxels} if self._has_masks else features

    def draw(self, split: int, number: int) -> dict[str, Any]:
        label = number % len(CLASSES)
        voxels, inside = solid(self.builder_config, label, split, number)
        example = {"volume": voxels[..., None], "label": label}
        mask = ((label + 1) * inside).astype(np.uint8)
        return example | {"segmentation_mask": mask[..., None]} if self._has_masks else example

    @property
    def _has_masks(self) -> bool:
        return self.version >= "1.1.0"


def volume(config: SolidConfig, label: int, split: int, number: int) -> np.ndarray:
    """Draw the `number`-th solid of the `split`-th split: uint8 (32, 32, 32), 0 or 255."""
    return solid(config, label, split, number)[0]


def solid(config: SolidConfig, label: int, split: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The volume of `volume`, and bool (32, 32, 32): the voxels whose centres are in the solid."""
    rng = np.random.default_rng([SEED, split, number])
    radius = rng.uniform(*config.radius)
    middle = rng.uniform(radius, SIDE - radius, (3, 1))
    # Directions uniform on the sphere within the tilt: the cosine is.
    tilt = math.acos(rng.uniform(math.cos(math.radians(config.tilt)), 1))
    turn = Rotation.from_euler("zxz", [rng.uniform(0, 2 * math.pi), tilt, rng.uniform(0, 2 * math.pi)]).as_matrix()
    points = turn @ (CENTRES - middle)[::-1] / radius  # x, y, z in the solid's frame

    depth = -distance(CLASSES[label], points)
    strays = gaussian_filter(rng.standard_normal((SIDE, SIDE, SIDE)), 2).ravel()
    depth += config.roughness / radius * strays / abs(strays).max()
    for _ in range(rng.integers(config.bites, endpoint=True)):
        surface = np.flatnonzero((depth >= 0) & (depth < 1.5 / radius))
        bite = points[:, rng.choice(surface), None]
        depth = np.minimum(depth, np.sqrt(((points - bite) ** 2).sum(0)) - 1 / 4)
    inside = (depth >= 0).reshape(SIDE, SIDE, SIDE)
    seen = inside ^ (rng.random(inside.shape) < config.flipped)
    return (255 * seen).astype(np.uint8), inside


def distance(kind: str, points: np.ndarray) -> np.ndarray:
    """Signed distance from a solid of radius 1 about the origin, negative inside; near an edge at most the true one.

    Args:
        kind: one of CLASSES.
        points: float64 (3, n): x, y, z.

    Returns:
        float64 (n,).
    """
    x, y, z = points
    axis = np.hypot(x, y)  # distance from the solid's axis
    match kind:
        case "ball":
            return np.hypot(axis, z) - 1
        case "cube":
            return abs(points).max(0) - math.sqrt(1 / 3)
        case "cylinder":
            return np.maximum(axis - 0.6, abs(z) - 0.8)
        case "torus":
            return np.hypot(axis - 0.68, z) - 0.32
        case "cone":  # apex at z = 1, base at z = -0.5
            return np.maximum(-0.5 - z, _slope(axis, math.sqrt(0.75), z))
        case "pyramid":
            return np.maximum(-0.5 - z, _slope(np.maximum(abs(x), abs(y)), math.sqrt(0.75 / 2), z))
        case "tetrahedron":
            faces = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / math.sqrt(3)
            return (faces @ points).max(0) - 1 / 3
        case "cross":
            _, across, along = np.sort(abs(points), axis=0)
            return np.maximum(across - 0.25, along - math.sqrt(1 - 2 * 0.25**2))
    raise ValueError(kind)


def _slope(width: np.ndarray, base: float, z: np.ndarray) -> np.ndarray:
    """Distance from the slanting side of what is `base` wide at z = -0.5 and nought at z = 1."""
    return (1.5 * width - base * (1 - z)) / math.hypot(1.5, base)
