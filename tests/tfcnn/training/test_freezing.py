"""Layers that training leaves as they are: --freeze."""

import keras
import numpy as np
import pytest

import tfcnn
from tfcnn import graph
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.training.compile import compile_model, freeze

IMAGES = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")


def build_network(depth=1.0):
    return tfcnn.build("mobilenet", (32, 32, 3), 7, width=0.25, depth=depth, stem="imagenet")


@pytest.mark.slow
@pytest.mark.parametrize(("what", "first_free"), [("none", "stage1"), ("2", "stage3"), ("backbone", "logits")])
def test_freeze_keeps_weights_and_statistics(what, first_free):
    model = build_network(depth=0.2)
    frozen = freeze(model, "mobilenet", what)
    order = graph.in_order(model)
    compile_model(model, Config(smoothing=0.0, lr=0.1), steps_per_epoch=10)
    model.run_eagerly = True
    before = [layer.get_weights() for layer in order]
    model.train_on_batch(IMAGES, np.eye(7)[:2])
    changed = [
        any((a != b).any() for a, b in zip(old, layer.get_weights(), strict=True))
        for old, layer in zip(before, order, strict=True)
    ]
    assert changed == [False] * frozen + [True] * (len(order) - frozen)
    free = keras.Model(model.inputs, model.get_layer(first_free).output)
    assert len(graph.in_order(free)) > frozen
    assert {"none": 0, "backbone": len(order) - 1}.get(what, frozen) == frozen


def test_freeze_stages_of_the_backbone_of_rcnn():
    model = tfcnn.build("rcnn", (64, 64, 3), 3, backbone="mobilenet", crop=32, width=0.25, stem="imagenet")
    frozen = freeze(model, "mobilenet", "2")
    assert frozen == freeze(build_network(), "mobilenet", "2")
    assert [layer.trainable for layer in graph.in_order(model)].count(False) == frozen


def test_freeze_more_stages_than_there_are():
    with pytest.raises(BadInput, match="mobilenet has 5 stages, got --freeze 6"):
        freeze(build_network(), "mobilenet", "6")


def test_freeze_all_is_refused():
    with pytest.raises(BadInput, match="--freeze must be none, backbone or a number of stages, got 'all'"):
        Config(freeze="all")
