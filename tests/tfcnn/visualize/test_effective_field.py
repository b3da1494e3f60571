"""The picture of a receptive field: its sizes, not its looks."""

import math

import numpy as np
import pytest
from matplotlib.image import imread

from tfcnn.visualize.effective_field import draw_field, effective_size


def gaussian(side, deviation):
    bell = np.exp(-((np.arange(side) - side // 2) ** 2) / (2 * deviation**2))
    return np.outer(bell, bell)


def test_effective_size_of_a_gaussian():
    """exp(-r^2 / 2 s^2) is above 1 - 0.9545 in a disc of radius s sqrt(-2 ln 0.0455)."""
    radius = 20 * math.sqrt(-2 * math.log(1 - 0.9545))
    assert effective_size(gaussian(201, 20)) == pytest.approx(math.sqrt(math.pi) * radius, abs=1)
    assert effective_size(np.zeros((5, 5))) == 0


def orange(path):
    """Where the picture has the frame's colour."""
    return (abs(imread(path)[..., :3] - np.array([0xCC, 0x55, 0x22]) / 255) < 0.02).all(-1)


@pytest.mark.parametrize("side", [33, 120])
def test_the_frame_grows_with_the_window(side, tmp_path):
    path = tmp_path / "field.png"
    field = gaussian(side, 6)[:, : side - 5]
    widths = []
    for reach in (4, 8, 12):
        draw_field(field, ((side // 2 - reach, side // 2 + reach),) * 2, path, title="x")
        rows, columns = np.nonzero(orange(path))
        inside = (rows > rows.max() // 2) & (columns < 0.7 * imread(path).shape[1])  # not the lines in the cuts
        widths.append(np.ptp(columns[inside]))
    assert widths == sorted(set(widths))


def test_the_whole_image_and_no_effect_at_all(tmp_path):
    path = tmp_path / "field.png"
    draw_field(np.zeros((8, 9)), ((-math.inf, math.inf),) * 2, path, title="x")
    assert orange(path).any()
