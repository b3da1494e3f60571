"""PyTorch's twins against our networks, without memory for their weights."""

import math

import keras
import numpy as np
import pytest

import tfcnn
from benchmarks.train_step.networks import CLASSES, ROWS
from benchmarks.train_step.steps import build_twin
from tfcnn.cost import cost_table, weightless
from tfcnn.losses import DiceCrossEntropy

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("name", ROWS)
def test_parameters_macs_and_logits(name):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    row = ROWS[name]
    with weightless():
        ours = tfcnn.build(row.arch, row.input_shape, CLASSES, **row.overrides)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        twin = build_twin(row)
        logits = twin(torch.zeros(2, row.channels, *row.input_shape[:-1]))
    assert tuple(logits.shape) == (2, CLASSES, *ours.output_shape[1:-1])
    assert sum(p.numel() for p in twin.parameters()) == sum(math.prod(w.shape) for w in ours.trainable_weights)
    assert counter.get_total_flops() / 4 == cost_table(ours).macs


def test_dice_and_cross_entropy():
    import torch

    from benchmarks.torch_segmentation import dice_cross_entropy

    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 5, 6, 4)).astype("float32")
    mask = rng.integers(0, 3, (3, 5, 6))  # a class is absent
    theirs = dice_cross_entropy(torch.from_numpy(logits).movedim(-1, 1), torch.from_numpy(mask))
    assert float(theirs) == pytest.approx(
        float(DiceCrossEntropy()(mask, keras.ops.convert_to_tensor(logits))), rel=1e-5
    )
