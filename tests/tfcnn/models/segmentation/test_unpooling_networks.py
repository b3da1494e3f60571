"""SegNet, DeconvNet and the auto-encoder: values go back to where the encoder's pooling found its maxima."""

import keras
import numpy as np
import pytest

import tfcnn
from tfcnn import cost
from tfcnn.models.reconstruction.autoencoder import DECODERS

SHAPE = (37, 50, 2)  # neither side is a multiple of 2 at every level


def weightless(arch, *args, **overrides):
    with cost.weightless():
        return tfcnn.build(arch, *args, **overrides)


def placed(values, before):
    """A loop over windows of 2x2: each value to the first maximum of `before` in its window."""
    result = np.zeros_like(before)
    for n, i, j, c in np.ndindex(values.shape):
        rows, columns = (range(2 * k, min(2 * k + 2, size)) for k, size in zip((i, j), before.shape[1:3], strict=True))
        best = max(((y, x) for y in rows for x in columns), key=lambda place: before[(n, *place, c)])
        result[(n, *best, c)] = values[n, i, j, c]
    return result


@pytest.mark.parametrize(
    ("arch", "stages", "settings"),
    [
        ("segnet", 5, {"width": 0.05, "depth": 0.3}),
        ("segnet", 3, {"width": 0.05, "levels": 3}),
        ("deconvnet", 5, {"width": 0.05, "depth": 0.3}),
        ("deconvnet", 2, {"width": 0.05, "levels": 2}),
        ("conv_autoencoder", 3, {"decoder": "unpooling"}),
    ],
)
def test_unpooling_uses_the_switches_of_its_own_level(arch, stages, settings):
    model = tfcnn.build(arch, SHAPE, 3, **settings)
    unpooling = [layer for layer in model.layers if type(layer).__name__ == "MaxUnpoolingLike2D"]
    assert len(unpooling) == stages
    image = np.random.default_rng(0).normal(size=(1, *SHAPE)).astype("float32")
    befores = [model.get_layer(f"stage{stage}").output for stage in range(stages, 0, -1)]
    parts = keras.Model(
        model.input, [[layer.input[0], before, layer.output] for layer, before in zip(unpooling, befores, strict=True)]
    )
    for values, before, unpooled in parts(image):
        assert np.max(before) > 0
        np.testing.assert_array_equal(unpooled, placed(np.array(values), np.array(before)))


def test_sizes_of_segnet():
    """Figure 2, and the authors' file: 360x480 pixels, with 23 and not 22 rows after the fourth pooling."""
    table = cost.cost_table(weightless("segnet"))
    pooled = [row.output_shape for row in table.rows if row.kind == "MaxPooling2D"]
    assert pooled == [(180, 240, 64), (90, 120, 128), (45, 60, 256), (23, 30, 512), (12, 15, 512)]
    up = [row.output_shape for row in table.rows if row.kind == "MaxUnpoolingLike2D"]
    assert up == [(23, 30, 512), (45, 60, 512), (90, 120, 256), (180, 240, 128), (360, 480, 64)]
    assert sum(row.kind == "Conv2D" for row in table.rows) == 26
    assert sum(row.kind == "BatchNormalization" for row in table.rows) == 25


@pytest.mark.parametrize("arch", ["segnet", "deconvnet"])
@pytest.mark.parametrize("levels", [0, 6, 2.5])
def test_there_are_one_to_five_poolings(arch, levels):
    with pytest.raises(ValueError, match=rf"levels must be 1 ... 5, got {levels}"):
        tfcnn.build(arch, SHAPE, 3, levels=levels)


def test_sizes_of_deconvnet():
    """Table 1 of the paper, from fc6 on."""
    table = cost.cost_table(weightless("deconvnet"))
    start = next(i for i, row in enumerate(table.rows) if row.name == "fc6")
    kinds = ("Conv2D", "Conv2DTranspose", "MaxUnpoolingLike2D")
    assert [row.output_shape for row in table.rows[start:] if row.kind in kinds] == [
        (1, 1, 4096),
        (1, 1, 4096),
        (7, 7, 512),
        *[(14, 14, 512)] * 4,
        *[(28, 28, 512)] * 3,
        (28, 28, 256),
        *[(56, 56, 256)] * 3,
        (56, 56, 128),
        *[(112, 112, 128)] * 2,
        (112, 112, 64),
        *[(224, 224, 64)] * 3,
        (224, 224, 21),
    ]


def test_all_decoders_have_the_same_parameters():
    settings = [{"decoder": decoder} for decoder in DECODERS] + [{"decoder": "upsampling", "interpolation": "bilinear"}]
    models = [weightless("conv_autoencoder", (28, 30, 3), **more) for more in settings]
    assert {tuple(sorted(tuple(w.shape) for w in model.weights)) for model in models[1:]} == {
        tuple(sorted(tuple(w.shape) for w in models[1].weights))
    }
    assert len({model.count_params() for model in models}) == 1
    assert all(model.output_shape == (None, 28, 30, 3) for model in models)
    assert [model.get_layer("code").output.shape for model in models] == [(None, 4, 4, 8)] * 5


@pytest.mark.parametrize("shape", [(28, 28, 1), (9, 22, 2)])
@pytest.mark.parametrize("decoder", ["upsampling", "bed_of_nails"])
def test_decoders_up_sample_by_their_rule(decoder, shape):
    """The map that the decoder's first convolution gets, against a loop over the code."""
    model = tfcnn.build("conv_autoencoder", shape, decoder=decoder)
    image = np.random.default_rng(0).uniform(size=(1, *shape)).astype("float32")
    before = model.get_layer("stage3").output.shape
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    code, actual = keras.Model(model.input, [model.get_layer("code").output, convolutions[3].input]).predict_on_batch(
        image
    )
    expected = np.zeros((1, *before[1:]), "float32")
    for _, y, x, c in np.ndindex(expected.shape):
        if decoder == "upsampling" or (y % 2, x % 2) == (0, 0):
            expected[0, y, x, c] = code[0, y // 2, x // 2, c]
    assert code.max() > 0
    np.testing.assert_array_equal(actual, expected)


def test_the_number_of_classes_is_left_alone():
    assert weightless("conv_autoencoder", (16, 16, 3), 10).output_shape == (None, 16, 16, 3)


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_reconstruction_is_linear(decoder):
    model = tfcnn.build("conv_autoencoder", (16, 16, 1), decoder=decoder)
    logits = model(np.random.default_rng(0).normal(size=(2, 16, 16, 1)).astype("float32"))
    assert np.min(logits) < 0 < np.max(logits)


@pytest.mark.slow
def test_the_auto_encoder_learns():
    """Digits of scikit-learn, eight pixels a side: after a few steps better than the mean image."""
    from sklearn.datasets import load_digits

    keras.utils.set_random_seed(0)
    images = (load_digits().images[:128, ..., None] / 16).astype("float32")
    model = tfcnn.build("conv_autoencoder", (8, 8, 1), decoder="transposed")
    model.compile(keras.optimizers.Adam(1e-2), "mse")
    for _ in range(60):
        loss = model.train_on_batch(images, images)
    assert loss < ((images - images.mean(axis=0)) ** 2).mean()
