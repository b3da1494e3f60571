import keras
import numpy as np
import pytest

import tfcnn
from tfcnn import cost

# Output sizes in the papers: Krizhevsky 2012, figure 2 and section 3.5; Zeiler & Fergus 2013, figure 3; those of 2014
# are the lecture's (and torchvision's) at 224 pixels. A convolution's map, then what its pooling leaves.
SIZES = {
    "alexnet_2012": ((55, 96), (27, 256), (13, 384), (13, 384), (13, 256)),
    "alexnet": ((55, 64), (27, 192), (13, 384), (13, 256), (13, 256)),
    "zfnet": ((110, 96), (26, 256), (13, 384), (13, 384), (13, 256)),
}
POOLED = {"alexnet_2012": [27, 13, 6], "alexnet": [27, 13, 6], "zfnet": [55, 13, 6]}


def weightless(arch, *args, **overrides):
    with cost.weightless():
        return tfcnn.build(arch, *args, **overrides)


@pytest.mark.parametrize("arch", SIZES)
def test_the_papers_sizes(arch):
    model = weightless(arch)
    assert [model.get_layer(f"conv{n}").output.shape[1:] for n in range(1, 6)] == [(s, s, c) for s, c in SIZES[arch]]
    poolings = [layer for layer in model.layers if isinstance(layer, keras.layers.MaxPooling2D)]
    assert [layer.output.shape[1] for layer in poolings] == POOLED[arch]
    assert [model.get_layer(fc).output.shape[1] for fc in ("fc6", "fc7", "logits")] == [4096, 4096, 1000]


@pytest.mark.parametrize("arch", SIZES)
def test_no_classes(arch):
    """The last pooled map's mean, and no layer of the head."""
    model = tfcnn.build(arch, (35, 35, 3), num_classes=0, width=0.05)
    images = np.random.default_rng(0).normal(size=(2, 35, 35, 3)).astype("float32")
    pooled = [layer.output for layer in model.layers if isinstance(layer, keras.layers.MaxPooling2D)][-1]
    maps = keras.Model(model.input, pooled)(images)
    np.testing.assert_allclose(model.predict_on_batch(images), np.mean(maps, axis=(1, 2)), rtol=1e-5)
    assert not {"fc6", "fc7", "logits"} & {layer.name for layer in model.layers}


def test_dropout_is_where_the_papers_have_it():
    """2014: before fc6 and fc7. 2012: after them."""
    for arch, kinds in {
        "alexnet": ["Flatten", "Dropout", "Dense", "Dropout", "Dense", "Dense"],
        "alexnet_2012": ["Flatten", "Dense", "Dropout", "Dense", "Dropout", "Dense"],
    }.items():
        assert [type(layer).__name__ for layer in weightless(arch).layers[-6:]] == kinds


@pytest.mark.torch
@pytest.mark.parametrize("arch", ["alexnet_2012", "zfnet"])
def test_against_pytorchs_layers(arch):
    """A twin in PyTorch, written from the paper: groups, borders, overlapping poolings, response normalisation."""
    import torch
    from torch import nn

    model = tfcnn.build(arch, (83, 99, 3), 7, width=0.05)
    lrn = nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2)
    filters = [model.get_layer(f"conv{n}").filters for n in range(1, 6)]
    if arch == "alexnet_2012":
        rows = [(11, 4, 0, 1), (5, 1, 2, 2), (3, 1, 1, 1), (3, 1, 1, 2), (3, 1, 1, 2)]
        after = {1: (lrn, nn.MaxPool2d(3, 2)), 2: (lrn, nn.MaxPool2d(3, 2)), 5: (nn.MaxPool2d(3, 2),)}
    else:
        rows = [(7, 2, 1, 1), (5, 2, 0, 1), (3, 1, 1, 1), (3, 1, 1, 1), (3, 1, 1, 1)]
        pooling = nn.MaxPool2d(3, 2, ceil_mode=True)
        after = {1: (pooling, lrn), 2: (pooling, lrn), 5: (pooling,)}

    rng = np.random.default_rng(0)
    model.set_weights([w + 0.1 * rng.normal(size=w.shape) for w in model.get_weights()])
    images = 30 * rng.normal(size=(2, 83, 99, 3)).astype("float32")  # large: the normalisation is far from 1
    x = torch.from_numpy(np.moveaxis(images, -1, 1).copy())
    channels = 3
    with torch.no_grad():
        for number, (f, (kernel, stride, padding, groups)) in enumerate(zip(filters, rows, strict=True), start=1):
            conv = nn.Conv2d(channels, f, kernel, stride, padding, groups=groups)
            weight, bias = model.get_layer(f"conv{number}").get_weights()
            conv.weight.copy_(torch.from_numpy(np.transpose(weight, (3, 2, 0, 1)).copy()))
            conv.bias.copy_(torch.from_numpy(bias))
            x = torch.relu(conv(x))
            channels = f
            for layer in after.get(number, ()):
                x = layer(x)
        y = np.moveaxis(x.numpy(), 1, -1).reshape(2, -1)
    for name in ("fc6", "fc7", "logits"):
        weight, bias = model.get_layer(name).get_weights()
        y = y @ weight + bias
        y = y if name == "logits" else np.maximum(y, 0)
    np.testing.assert_allclose(model.predict_on_batch(images), y, rtol=1e-4, atol=1e-4 * y.std())
