"""Accuracy against MACs by width and image size."""

import pytest

from tfcnn.config import Config
from tuning.scaling.tradeoff import tradeoff

pytestmark = pytest.mark.slow


@pytest.fixture
def study(untrained, tmp_path, capsys):
    """(points, folder, what was printed) of four networks."""
    untrained.outcome = lambda config: 0.9 + 0.05 * config.width + 0.001 * config.image_size
    points = tradeoff(Config(arch="lenet5"), tmp_path / "study", 1, [0.5, 1.0], [16, 32])
    return points, tmp_path / "study", capsys.readouterr().out


def test_every_width_meets_every_size(study):
    points, _, _ = study
    assert [(p.width, p.size) for p in points] == [(0.5, 16), (0.5, 32), (1.0, 16), (1.0, 32)]


def test_the_costs_are_those_of_the_networks(study):
    points, _, _ = study
    assert points[3].cost.macs == 416520  # LeNet-5 with its full C3: tests/tfcnn/models/reference.json
    assert points[0].cost.macs < min(points[1].cost.macs, points[2].cost.macs)


def test_the_picture_is_written(study):
    _, folder, _ = study
    assert (folder / "tradeoff.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_is_printed(study):
    _, _, output = study
    assert ["1", "32", "61,706", "416,520", "98.20%", "98.20%"] in map(str.split, output.splitlines())


def test_sizes_below_the_least_of_the_network_are_left_out(untrained, tmp_path):
    """MobileNet's shares of 32 pixels are below the least of VGG."""
    points = tradeoff(Config(arch="vgg11", width=0.1), tmp_path / "vgg", 1, [0.1], None)
    assert [p.size for p in points] == [32]
