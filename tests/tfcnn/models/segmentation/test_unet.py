"""U-Net and 3D U-Net: sizes of the figures, centred cuts, levels, odd sizes, 2.5-D kernels."""

import keras
import numpy as np
import pytest

import tfcnn
from tfcnn import cost
from tfcnn.errors import BadInput
from tfcnn.models.segmentation.unet import tile


def weightless(arch, *args, **overrides):
    with cost.weightless():
        return tfcnn.build(arch, *args, **overrides)


def shapes(model, kind):
    return [row.output_shape for row in cost.cost_table(model).rows if row.kind == kind]


def test_sizes_of_figure_1():
    model = weightless("unet", (572, 572, 1), 2, form="paper")
    stages = [model.get_layer(f"stage{n}").output.shape[1:] for n in range(1, 6)]
    assert stages == [(568, 568, 64), (280, 280, 128), (136, 136, 256), (64, 64, 512), (28, 28, 1024)]
    assert shapes(model, "Conv2DTranspose") == [(56, 56, 512), (104, 104, 256), (200, 200, 128), (392, 392, 64)]
    assert shapes(model, "Concatenate") == [(56, 56, 1024), (104, 104, 512), (200, 200, 256), (392, 392, 128)]
    assert shapes(model, "Conv2D")[-3:] == [(390, 390, 64), (388, 388, 64), (388, 388, 2)]


def test_sizes_of_the_3d_figure():
    """Cicek 2016, Figure 2: 132x132x116 -> 44x44x28 by way of 9x9x7."""
    model = weightless("unet3d")
    stages = [model.get_layer(f"stage{n}").output.shape[1:] for n in range(1, 5)]
    assert stages == [(128, 128, 112, 64), (60, 60, 52, 128), (26, 26, 22, 256), (9, 9, 7, 512)]
    assert model.output_shape == (None, 44, 44, 28, 3)


@pytest.mark.parametrize(("levels", "convs"), [(1, 2), (3, 1), (4, 2), (5, 2), (3, 3)])
def test_tiles_are_what_layer_by_layer_arithmetic_gives(levels, convs):
    """Every side up to 260 pixels: those that fit come out as `tile` says, the others are refused."""

    def walk(size):
        skips = []
        for level in range(levels):
            size -= 2 * convs
            if level < levels - 1:
                if size <= 0 or size % 2:
                    return None
                skips.append(size)
                size //= 2
        if size < 1:
            return None
        for _ in skips:
            size = 2 * size - 2 * convs
        return size if size > 0 else None

    fitting = {size: out for size in range(1, 261) if (out := walk(size))}
    formula = dict(tile(bottom, levels, convs) for bottom in range(1, 260))
    assert fitting == {first: last for first, last in formula.items() if first <= 260 and last > 0}
    settings = {"levels": levels, "depth": convs / 2, "width": 0.125, "form": "paper"}
    few = sorted(fitting)[:2]
    for size in range(few[0] - 3, few[1] + 1):
        if size in fitting and size >= 16:
            model = weightless("unet", (size, few[1], 1), 1, **settings) if few[1] >= 16 else None
            assert model is None or model.output_shape[1:3] == (fitting[size], fitting[few[1]])
        elif size >= 16:
            with pytest.raises(BadInput, match=f"takes sides of {few[0]}, {few[1]}, ..."):
                weightless("unet", (size, few[1], 1), 1, **settings)


def test_the_message_names_the_nearest_tiles():
    with pytest.raises(BadInput, match=r"188, 204.*nearest to 256 are 252 and 268.*same"):
        weightless("unet", (256, 252, 1), 1, form="paper")
    with pytest.raises(BadInput, match="levels must be 1 or more"):
        weightless("unet", levels=0)
    with pytest.raises(BadInput, match="levels must be at most 8 for 65 pixels"):
        weightless("unet", (65, 65, 1), 1, levels=9)
    with pytest.raises(BadInput, match=r"92, 100.*nearest to 101 are 100 and 108"):
        weightless("unet3d", (132, 101, 132, 1), form="paper")


def test_volumes_that_are_no_tile_are_padded():
    assert weightless("unet3d", (92, 100, 108, 1)).output_shape == (None, 4, 12, 20, 3)
    assert weightless("unet3d", (92, 101, 108, 1)).output_shape == (None, 92, 101, 108, 3)
    assert weightless("unet3d", (92, 100, 84, 1)).output_shape == (None, 92, 100, 84, 3)


def pass_through(model):
    """Convolutions that pass on the first map, which is the skip connection's; up-convolutions that give zeros."""
    for layer in model.layers:
        weights = [np.zeros_like(w) for w in layer.get_weights()]
        if type(layer).__name__ in ("Conv2D", "Conv3D"):
            weights[0][(*(side // 2 for side in weights[0].shape[:-2]), 0, 0)] = 1
        layer.set_weights(weights)
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "size", "lost", "settings"),
    [
        ("unet", (200, 216), 8, {"form": "paper", "levels": 2}),
        ("unet", (188, 204), 92, {"form": "paper"}),
        ("unet", (37, 50), 0, {}),
        ("unet3d", (92, 92, 100), 44, {}),
        ("unet3d", (9, 12, 15), 0, {}),
    ],
)
def test_cuts_are_centred(arch, size, lost, settings):
    """Through the uppermost skip connection alone comes the image's middle, `lost` pixels fewer on each side."""
    model = pass_through(tfcnn.build(arch, (*size, 1), 1, width=0.02, **settings))
    image = np.random.default_rng(0).uniform(size=(1, *size, 1)).astype("float32")
    middle = image[(slice(None), *(slice(lost, n - lost) for n in size))]
    np.testing.assert_array_equal(model.predict_on_batch(image), middle)


def test_an_odd_size_keeps_its_last_row_and_column():
    model = pass_through(tfcnn.build("unet", (17, 23, 1), 1, width=0.02, levels=2))
    deepest = keras.Model(model.input, model.get_layer("stage2").output)
    image = np.random.default_rng(0).uniform(size=(17, 23)).astype("float32")
    expected = [[image[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max() for j in range(12)] for i in range(9)]
    np.testing.assert_array_equal(deepest.predict_on_batch(image[None, ..., None])[0, :, :, 0], expected)


def test_levels_add_and_remove_resolutions():
    for levels in (1, 3, 6):
        model = weightless("unet", (64, 96, 1), 1, levels=levels)
        assert model.get_layer(f"stage{levels}").output.shape[1:] == (
            64 // 2 ** (levels - 1),
            96 // 2 ** (levels - 1),
            64 * 2 ** (levels - 1),
        )
        assert model.output_shape == (None, 64, 96, 1)
        assert len(shapes(model, "Conv2D")) == 2 * (2 * levels - 1) + 1


def test_dropout_is_at_the_end_of_the_contracting_path():
    model = weightless("unet", (64, 64, 1))
    kinds = [row.kind for row in cost.cost_table(model).rows]
    assert shapes(model, "Dropout") == [(8, 8, 512), (4, 4, 1024)]
    assert kinds.index("Dropout") < kinds.index("Conv2DTranspose")
    assert "Dropout" not in [row.kind for row in cost.cost_table(weightless("unet", dropout=0)).rows]


def test_batch_norm_takes_the_place_of_the_biases():
    plain, normed = (cost.cost_table(weightless(arch, batch_norm=bn)) for arch in ["unet"] for bn in (False, True))
    filters = 2 * sum([64, 128, 256, 512, 1024]) + 2 * sum([64, 128, 256, 512])
    assert normed.params == plain.params - filters + 4 * filters
    assert normed.macs == plain.macs


def test_kernels_of_two_and_a_half_dimensions():
    """Parameters of the two convolutions of the first level, by hand: 3 -> 32 -> 64 maps."""
    first = {}
    for convolution in ("3d", "orthogonal", "separable"):
        table = cost.cost_table(weightless("unet3d", convolution=convolution))
        stop = next(i for i, row in enumerate(table.rows) if row.name == "stage1")
        first[convolution] = sum(row.params for row in table.rows[:stop])
        assert weightless("unet3d", convolution=convolution).output_shape == (None, 44, 44, 28, 3)
    assert first == {
        "3d": 27 * (3 * 32 + 32 * 64) + 96,
        "orthogonal": 27 * (3 * 32 + 32 * 64) + 96,  # three planes of 3x3 are as many weights as 3x3x3
        "separable": 9 * (3 * 32 + 32 * 64) + 3 * (32 * 32 + 64 * 64) + 96,
    }


@pytest.mark.parametrize("size", [64, 45])
@pytest.mark.parametrize("decoder", ["upsampling", "unpooling"])
def test_the_ways_up_have_as_many_parameters(decoder, size):
    usual = weightless("unet", (size, size, 3), 4, width=0.25)
    other = weightless("unet", (size, size, 3), 4, width=0.25, decoder=decoder)
    assert other.count_params() == usual.count_params()
    assert other.output_shape == usual.output_shape == (None, size, size, 4)


def test_unpooling_brings_values_to_the_maxima_of_the_skip_connection():
    """One level down: every value that is not 0 stands where its window of the skip has its maximum."""
    model = tfcnn.build("unet", (16, 16, 1), 2, levels=2, width=0.125, decoder="unpooling")
    unpooling = next(layer for layer in model.layers if "unpooling" in layer.name)
    image = np.random.default_rng(0).normal(size=(1, 16, 16, 1)).astype("float32")
    _, skip = unpooling.input
    maps = keras.Model(model.input, [skip, unpooling.output])
    skip, unpooled = (np.asarray(values)[0] for values in maps(image, training=False))
    assert np.count_nonzero(unpooled) == 8 * 8 * 8  # windows, channels
    for y, x, channel in np.argwhere(unpooled):
        top, left = y // 2 * 2, x // 2 * 2
        assert skip[y, x, channel] == skip[top : top + 2, left : left + 2, channel].max()


def test_unpooling_is_refused_in_the_papers_form():
    with pytest.raises(BadInput, match='decoder="unpooling" takes maps of the size of their skip connections'):
        weightless("unet", form="paper", decoder="unpooling")
