import keras
import numpy as np
import pytest
from keras import layers

import tfcnn
from tfcnn import cost


def weightless(arch, **overrides):
    with cost.weightless():
        return tfcnn.build(arch, **overrides)


# Huang 2016, Table 1: output sizes; channels by its text, k0 + l k, halved by each transition.
TABLE_1 = {
    "densenet121": [(112, 64), (56, 256), (28, 512), (14, 1024), (7, 1024)],
    "densenet169": [(112, 64), (56, 256), (28, 512), (14, 1280), (7, 1664)],
    "densenet201": [(112, 64), (56, 256), (28, 512), (14, 1792), (7, 1920)],
    "densenet161": [(112, 96), (56, 384), (28, 768), (14, 2112), (7, 2208)],
    # Section 4.2 for CIFAR: 32, 16 and 8 pixels.
    "densenet40": [(32, 16), (32, 160), (16, 304), (8, 448)],
    "densenet_bc100": [(32, 24), (32, 216), (16, 300), (8, 342)],
}


@pytest.mark.slow
@pytest.mark.parametrize("arch", TABLE_1)
def test_sizes_of_table_1(arch):
    model = weightless(arch)
    maps = [model.get_layer(f"stage{number + 1}").output.shape for number in range(len(TABLE_1[arch]))]
    assert [(shape[1], shape[-1]) for shape in maps] == TABLE_1[arch]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "layers_by_name"), [("densenet121", 121), ("densenet40", 40), ("densenet_bc100", 100)]
)
def test_the_number_in_the_name_counts_the_layers_with_kernels(arch, layers_by_name):
    rows = cost.cost_table(weightless(arch)).rows
    assert sum(row.kind in ("Conv2D", "Dense") for row in rows) == layers_by_name


def test_every_layer_sees_the_maps_of_all_before():
    """A dense block hands on what it got, and each of its layers the maps of the one before, untouched."""
    model = tfcnn.build("densenet40", (8, 8, 3), 2, repeats=(3, 1), growth=5)
    joined = [layer for layer in model.layers if isinstance(layer, layers.Concatenate)]
    probe = keras.Model(model.inputs, [model.get_layer("stage1").output, *(layer.output for layer in joined)])
    stem, *maps = probe.predict_on_batch(np.random.default_rng(0).normal(size=(2, 8, 8, 3)))
    assert [m.shape[-1] for m in maps] == [21, 26, 31, 36]
    np.testing.assert_array_equal(maps[2][..., :16], stem)
    np.testing.assert_array_equal(maps[2][..., :21], maps[0])
    np.testing.assert_array_equal(maps[2][..., :26], maps[1])


def test_compression_and_bottleneck():
    def kernels(**overrides):
        model = weightless("densenet40", repeats=(2, 2), growth=8, **overrides)
        return [layer.kernel.shape for layer in model.layers if isinstance(layer, layers.Conv2D)]

    plain = [(3, 3, 3, 16), (3, 3, 16, 8), (3, 3, 24, 8), (1, 1, 32, 32), (3, 3, 32, 8), (3, 3, 40, 8)]
    assert kernels() == plain
    assert kernels(compression=0.5)[3:] == [(1, 1, 32, 16), (3, 3, 16, 8), (3, 3, 24, 8)]
    assert kernels(bottleneck=True)[1:3] == [(1, 1, 16, 32), (3, 3, 32, 8)]


def test_dropout_follows_every_convolution_but_the_first():
    """Section 4.2."""
    kinds = [type(layer).__name__ for layer in weightless("densenet_bc100", dropout=0.2).layers]
    after = [kinds[i + 1] for i, kind in enumerate(kinds) if kind == "Conv2D"]
    assert "Dropout" not in after[:1]
    assert kinds.count("Dropout") == kinds.count("Conv2D") - 1 == 98
    assert "Dropout" not in [type(layer).__name__ for layer in weightless("densenet_bc100").layers]
