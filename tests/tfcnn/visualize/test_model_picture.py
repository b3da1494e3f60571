"""A network's stages against its table of costs."""

import numpy as np
import pytest
from PIL import Image

import tfcnn
from tfcnn.visualize.model_picture import draw_model, shorten, stages


@pytest.fixture(scope="module")
def vgg():
    return tfcnn.build("vgg11", (64, 64, 3), 10, width=0.25)


def test_the_stages_add_up_to_the_network(vgg):
    rows = stages(vgg)
    table = tfcnn.cost.cost_table(vgg)
    assert sum(row.parameters for row in rows) == table.params
    assert sum(row.macs for row in rows) == table.macs
    assert 4 * sum(row.values for row in rows) == table.activation_bytes


def test_a_stage_is_the_layers_of_one_resolution(vgg):
    shapes = [(64, 64, 16), (32, 32, 32), (16, 16, 64), (8, 8, 128), (4, 4, 128), (10,)]
    assert [(row.shape, row.layers) for row in stages(vgg)] == list(zip(shapes, [1, 1, 2, 2, 2, 3], strict=True))


def test_the_stages_are_drawn(vgg, tmp_path):
    draw_model(vgg, tmp_path / "model.png", title="a network")
    assert np.ptp(np.asarray(Image.open(tmp_path / "model.png"))) > 100


def test_numbers_are_short():
    assert [shorten(number) for number in (0, 999, 1000, 1_234_567)] == ["0", "999", "1 k", "1.23 M"]
