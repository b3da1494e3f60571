"""MACs against those that PyTorch counts while it runs the same layer (two of its operations are one MAC)."""

import keras
import pytest
from keras import layers

from tfcnn.cost import cost_table
from tfcnn.layers import PaddedConv2D

pytestmark = pytest.mark.torch

CASES = {
    "grouped": ((9, 9, 6), lambda: layers.Conv2D(4, 3, groups=2), lambda torch: torch.nn.Conv2d(6, 4, 3, groups=2)),
    "dilated": (
        (9, 9, 2),
        lambda: layers.Conv2D(4, 3, dilation_rate=2),
        lambda torch: torch.nn.Conv2d(2, 4, 3, dilation=2),
    ),
    "strided": (
        (9, 9, 2),
        lambda: PaddedConv2D(4, 5, 2, 2, dilation_rate=2),
        lambda torch: torch.nn.Conv2d(2, 4, 5, 2, 2, dilation=2),
    ),
    "1-D": ((20, 3), lambda: layers.Conv1D(5, 4, 2), lambda torch: torch.nn.Conv1d(3, 5, 4, 2)),
    "3-D": ((6, 7, 8, 2), lambda: layers.Conv3D(3, (1, 2, 3)), lambda torch: torch.nn.Conv3d(2, 3, (1, 2, 3))),
    "depthwise": ((8, 8, 3), lambda: layers.DepthwiseConv2D(3), lambda torch: torch.nn.Conv2d(3, 3, 3, groups=3)),
    "transposed": (
        (8, 8, 3),
        lambda: layers.Conv2DTranspose(4, 3, 2),
        lambda torch: torch.nn.ConvTranspose2d(3, 4, 3, 2),
    ),
    "dense": ((7, 9), lambda: layers.Dense(4), lambda torch: torch.nn.Linear(9, 4)),
}


@pytest.mark.parametrize("name", CASES)
def test_layers(name):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    shape, ours, theirs = CASES[name]
    inputs = keras.Input(shape)
    first = shape if name == "dense" else (shape[-1], *shape[:-1])
    with FlopCounterMode(display=False) as counter:
        theirs(torch)(torch.zeros(1, *first))
    assert cost_table(keras.Model(inputs, ours()(inputs))).macs == counter.get_total_flops() / 2 > 0
