"""Blocks as the papers draw them, against their figures."""

import io

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import tfcnn
from tfcnn.models.blocks import Style
from tfcnn.models.classification.googlenet import inception
from tfcnn.models.classification.resnet import basic
from tfcnn.visualize.block_picture import columns_of, draw_block, nodes_of


@pytest.fixture(scope="module")
def residual():
    inputs = keras.Input((8, 8, 16))
    return keras.Model(inputs, basic(inputs, 32, 2, option="B", style=Style()))


def test_the_residual_block_of_figure_2(residual):
    rows = [(node.label, node.level, node.sources) for node in nodes_of(residual)]
    assert rows == [
        ("input 8x8x16", 0, ()),
        ("3x3 / 2, 32", 1, (0,)),
        ("3x3, 32", 2, (1,)),
        ("1x1 / 2, 32", 1, (0,)),
        ("sum", 3, (2, 3)),
    ]


def test_the_branches_of_inception_stand_in_the_order_of_figure_2b():
    inputs = keras.Input((28, 28, 192))
    nodes = nodes_of(keras.Model(inputs, inception(inputs, (64, 96, 128, 16, 32, 32), style=None)))
    columns = columns_of(nodes)

    def labels(level):
        members = [(columns[number, level], node.label) for number, node in enumerate(nodes) if node.level == level]
        return [label for _, label in sorted(members)]

    assert labels(1) == ["1x1, 64", "1x1, 96", "1x1, 16", "3x3, max"]
    assert labels(2) == ["3x3, 128", "5x5, 32", "1x1, 32"]
    assert labels(3) == ["concatenate"]


@pytest.mark.parametrize(
    ("decoder", "label"),
    [("transposed", "2x2 / 2 up, 8"), ("upsampling", "bilinear, times 2"), ("unpooling", "unpooling")],
)
def test_the_ways_up_have_boxes(decoder, label):
    model = tfcnn.build("unet", (32, 32, 1), 2, levels=2, width=0.125, decoder=decoder)
    assert [node.label for node in nodes_of(model)].count(label) == 1


def test_no_line_passes_through_a_box(residual):
    places = [(column, level) for (_, level), column in columns_of(nodes_of(residual)).items()]
    assert len(set(places)) == len(places) == 6  # the five boxes, and the shortcut beside the second convolution


def test_a_block_is_drawn(residual):
    figure = Figure()
    draw_block(figure.subplots(), residual, "residual")
    file = io.BytesIO()
    figure.savefig(file)
    assert np.ptp(np.asarray(Image.open(file).convert("L"))) > 100
