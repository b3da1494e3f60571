"""Drawn solids: their volume, topology, direction and faults."""

import dataclasses
import functools
import math

import numpy as np
import pytest
from scipy import ndimage

from pipelines.embedded import solids
from tests.pipelines.embedded.difficulties import difficulty, score

VOLUMES = {
    "ball": 4 / 3 * math.pi,
    "cube": (2 / math.sqrt(3)) ** 3,
    "cylinder": math.pi * 0.6**2 * 1.6,
    "cone": math.pi * 0.75 * 1.5 / 3,
    "torus": 2 * math.pi**2 * 0.68 * 0.32**2,
    "pyramid": 2 * 0.75 * 1.5 / 3,
    "tetrahedron": 8 * math.sqrt(3) / 27,
    "cross": 3 * 2 * math.sqrt(7 / 8) * 0.5**2 - 2 * 0.5**3,
}
WHOLE = difficulty(solids.DIFFICULTIES, "easy", radius=(14, 14), tilt=180)


@pytest.mark.parametrize("label", range(8), ids=solids.CLASSES)
def test_solids_have_their_volume_and_lie_within_their_radius(label):
    for number in range(4):
        volume = solids.volume(WHOLE, label, 0, number)
        assert (volume.shape, volume.dtype) == ((32, 32, 32), np.uint8)
        assert set(np.unique(volume)) == {0, 255}
        assert (volume > 0).sum() == pytest.approx(VOLUMES[solids.CLASSES[label]] * 14**3, rel=0.03)
        points = np.argwhere(volume) + 0.5
        spread = np.linalg.norm(points[:, None] - points[None, ::40], axis=-1).max()
        assert spread <= 2 * 14


def test_a_torus_has_a_hole_and_a_cylinder_has_none():
    """Euler's number of the solid: corners - edges + faces - voxels is 0 for a torus and 1 for a cylinder."""
    for kind, expected in (("torus", 0), ("cylinder", 1)):
        volume = solids.volume(WHOLE, solids.CLASSES.index(kind), 0, 5) > 0
        cells = np.zeros((65, 65, 65), bool)
        for offset in np.ndindex(3, 3, 3):
            z, y, x = offset
            cells[z : z + 64 : 2, y : y + 64 : 2, x : x + 64 : 2] |= volume
        sign = (-1) ** np.indices(cells.shape).sum(0)
        assert (cells * sign).sum() == expected


def test_tilt_bounds_the_direction_and_180_degrees_reach_all_of_them():
    def tilts(limit):
        upright = difficulty(solids.DIFFICULTIES, "easy", tilt=limit)
        for number in range(30):
            points = np.argwhere(solids.volume(upright, solids.CLASSES.index("cone"), 0, number))
            values, vectors = np.linalg.eigh(np.cov(points.T))
            centred = points - points.mean(0)
            # a cone's axis is the direction whose variance differs from the two others', its apex on the longer side
            axis = vectors[:, 0] if values[1] - values[0] > values[2] - values[1] else vectors[:, 2]
            along = centred @ axis
            up = axis * np.sign((along**3).sum())
            yield math.degrees(math.acos(up[0]))

    slight = list(tilts(25))
    any_direction = list(tilts(180))
    assert max(slight) < 28
    assert max(slight) > 15
    assert min(any_direction) < 50 < 130 < max(any_direction)


def test_carving_and_noise_are_as_strong_as_said():
    flipped = dataclasses.replace(WHOLE, flipped=0.02)
    bitten = dataclasses.replace(WHOLE, bites=6)
    rough = dataclasses.replace(WHOLE, roughness=2)
    smaller = 0
    for number in range(8):
        whole, noisy, less, uneven = (solids.volume(c, number, 0, number) > 0 for c in (WHOLE, flipped, bitten, rough))
        assert (whole != noisy).mean() == pytest.approx(0.02, rel=0.1)
        smaller += (whole & ~less).any()
        assert not (less & ~whole).any()
        depth = ndimage.distance_transform_edt(whole) + ndimage.distance_transform_edt(~whole)
        assert (whole != uneven).any()
        assert depth[whole != uneven].max() <= 2 * 2 + 1
    assert smaller >= 5


@pytest.mark.slow
def test_solids_are_ordered_by_difficulty():
    def moments(volume):
        points = np.argwhere(volume) - np.argwhere(volume).mean(0)
        distances = np.quantile(np.linalg.norm(points, axis=1), np.linspace(0, 1, 21))
        spread = np.sqrt(np.linalg.eigvalsh(np.cov(points.T)))
        return np.concatenate([distances, spread]) / len(points) ** (1 / 3)

    easy, hard = (
        score(functools.partial(solids.volume, difficulty(solids.DIFFICULTIES, n)), moments, 8, 160, 80)
        for n in ("easy", "hard")
    )
    assert easy > 0.9
    assert 0.25 < hard < easy - 0.1
