"""Masks for networks whose map is smaller than the image."""

import types

import keras
import numpy as np
import pytest

import tfcnn
from pipelines.loading import load
from tfcnn.errors import BadInput
from tfcnn.training.targets import match_masks, match_of


def data_of(side, axes=2, task="segmentation"):
    return types.SimpleNamespace(task=task, image_shape=(side,) * axes + (1,))


def test_a_map_of_the_masks_size_needs_no_match():
    model = tfcnn.build("unet", (32, 32, 1), 2, width=0.05, levels=2)
    assert match_of(model, data_of(32)) is None


def test_unpadded_convolutions_predict_the_middle():
    model = tfcnn.build("unet", (44, 44, 1), 2, width=0.05, levels=2, form="paper")
    side = model.output_shape[1]
    match = match_of(model, data_of(44))
    assert match.places == (tuple(range((44 - side) // 2, (44 + side) // 2)),) * 2
    assert f"the middle {side}x{side} of the masks" in match.words


def test_the_middle_of_volumes():
    model = tfcnn.build("unet3d", (92, 92, 92, 1), 2, width=0.05, form="paper")
    assert match_of(model, data_of(92, 3)).places == (tuple(range(44, 48)),) * 3


@pytest.mark.parametrize(("side", "expected"), [(32, (4, 12, 20, 28)), (33, (4, 12, 20, 28, 32))])
def test_stride_8_predicts_the_middle_of_each_stride(side, expected):
    model = tfcnn.build("dilated_vgg16", (side, side, 1), 2, width=0.02)
    assert match_of(model, data_of(side)).places == (expected, expected)


def test_a_map_that_is_no_part_of_the_mask_is_refused():
    inputs = keras.Input((32, 32, 1))
    x = keras.layers.Conv2D(2, 3, strides=2)(inputs)
    model = keras.Model(inputs, keras.layers.Activation("linear", name="logits")(x), name="odd")
    with pytest.raises(BadInput, match="odd predicts 15x15 positions for masks of 32x32: choose another --image-size"):
        match_of(model, data_of(32))


def test_the_batches_have_the_pixels_that_are_predicted(tmp_path):
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 3, (40, 32, 32)).astype(np.uint8)
    np.savez(tmp_path / "set.npz", x=rng.integers(0, 256, (40, 32, 32, 1)).astype(np.uint8), y=masks)
    data = load(str(tmp_path / "set.npz"), batch_size=4, augmentation="none")
    model = tfcnn.build("dilated_vgg16", (32, 32, 1), 3, width=0.02)
    matched = match_masks(data, model)
    for (_, whole), (_, part) in zip(data.evaluation("test"), matched.evaluation("test"), strict=True):
        np.testing.assert_array_equal(part, whole.numpy()[:, 4::8, 4::8])
    _, trained = matched.train(1).element_spec
    assert trained.shape == (4, 4, 4)
