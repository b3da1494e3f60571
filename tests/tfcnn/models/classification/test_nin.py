import keras
import numpy as np
import pytest

import tfcnn
from tfcnn import cost
from tfcnn.layers import MLPConv2D
from tfcnn.models.classification.nin import mlpconv


def weightless(arch, *args, **overrides):
    with cost.weightless():
        return tfcnn.build(arch, *args, **overrides)


def test_sizes():
    """CIFAR-10: each pooling halves the 32 pixels. ImageNet: the sizes of Caffe's definition at 224."""
    model = weightless("nin")
    stages = [model.get_layer(f"stage{n}").output.shape[1:] for n in (1, 2, 3)]
    assert stages == [(32, 32, 96), (16, 16, 192), (8, 8, 192)]
    assert model.get_layer("logits").output.shape[1:] == (8, 8, 10)
    model = weightless("nin_imagenet")
    stages = [model.get_layer(f"stage{n}").output.shape[1:] for n in (1, 2, 3, 4)]
    assert stages == [(54, 54, 96), (27, 27, 256), (13, 13, 384), (6, 6, 1024)]


def test_mlpconv_is_the_layer_of_that_name():
    """As MLPConv2D, which is tested against a perceptron slid over the image."""
    inputs = keras.Input((9, 7, 3))
    model = keras.Model(inputs, mlpconv(inputs, 8, 5, 1, "half", (6, 4)))
    layer = MLPConv2D(8, 5, units=(6, 4), padding="half")
    images = np.random.default_rng(0).normal(size=(2, 9, 7, 3)).astype("float32")
    layer.build(images.shape)
    layer.set_weights(model.get_weights())
    np.testing.assert_allclose(model(images), layer(images), rtol=1e-5, atol=1e-6)


def test_logits_are_the_means_of_maps_and_not_negative():
    model = tfcnn.build("nin", (16, 16, 3), 5, width=0.25)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(4, 16, 16, 3)).astype("float32")
    features = tfcnn.build("nin", (16, 16, 3), 0, width=0.25)
    assert features.output_shape == (None, 48)
    maps = keras.Model(model.input, model.get_layer("logits").output)(images)
    assert maps.shape == (4, 4, 4, 5)
    logits = model.predict_on_batch(images)
    assert (logits >= 0).all()
    assert logits.max() > 0
    np.testing.assert_allclose(logits, np.mean(maps, axis=(1, 2)), rtol=1e-5)


def test_depth_is_that_of_the_perceptron():
    for depth, expected in ((0.5, 7), (1.0, 9), (1.5, 12)):  # 3 first convolutions, 2 + 2 + 1 others, the head
        rows = cost.cost_table(weightless("nin", depth=depth)).rows
        assert sum(row.macs > 0 for row in rows) == expected


@pytest.mark.torch
@pytest.mark.parametrize(("stem", "first"), [("cifar", (5, 1, 2)), ("imagenet", (11, 4, 0))])
def test_against_pytorchs_layers(stem, first):
    import torch
    from torch import nn

    model = tfcnn.build("nin", (84, 90, 3), 4, width=0.1, stem=stem)
    modules = []
    channels = 3
    for layer in model.layers:
        if isinstance(layer, keras.layers.MaxPooling2D):
            modules.append(nn.MaxPool2d(3, 2, ceil_mode=True))
        if layer.weights:
            kernel, bias = layer.get_weights()
            window = first if channels == 3 else (kernel.shape[0], 1, kernel.shape[0] // 2)
            conv = nn.Conv2d(channels, channels := kernel.shape[-1], *window)
            conv.weight.data = torch.from_numpy(np.transpose(kernel, (3, 2, 0, 1)).copy())
            conv.bias.data = torch.from_numpy(bias)
            modules += [conv, nn.ReLU()]
    images = np.random.default_rng(0).normal(size=(2, 84, 90, 3)).astype("float32")
    with torch.no_grad():
        expected = nn.Sequential(*modules)(torch.from_numpy(np.moveaxis(images, -1, 1).copy())).mean((2, 3)).numpy()
    assert expected.std() > 0
    np.testing.assert_allclose(model.predict_on_batch(images), expected, rtol=1e-4, atol=1e-5)
