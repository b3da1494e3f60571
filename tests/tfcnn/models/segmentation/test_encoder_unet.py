"""U-Net with a classification network as its encoder."""

import keras
import numpy as np
import pytest

import tfcnn
from tfcnn import cost
from tfcnn.errors import BadInput
from tfcnn.graph import in_order
from tfcnn.models import registry

ENCODERS = [name for name in tfcnn.list_archs("classification") if registry.family_of(name).axes == 2]

# `count_parameters` of segmentation_models_pytorch.Unet(encoder, classes=1), as published with the library.
PUBLISHED = {"resnet18": 14_328_209, "resnet34": 24_436_369, "resnet50": 32_521_105}


def build_unet(encoder, size=(64, 64), num_classes=4, **arguments):
    return tfcnn.build("unet", (*size, 3), num_classes, encoder=encoder, **arguments)


def build_weightless(*args, **arguments):
    with cost.weightless():
        return build_unet(*args, **arguments)


@pytest.mark.parametrize("encoder", PUBLISHED)
def test_as_many_parameters_as_segmentation_models(encoder):
    model = build_weightless(encoder, (224, 224), 1)
    assert cost.cost_table(model).trainable == PUBLISHED[encoder]


def test_parameters_by_hand():
    """The encoder's, then two 3x3 convolutions a block with batch norm's four numbers a channel, then the logits."""
    blocks = [(512 + 256, 256), (256 + 128, 128), (128 + 64, 64), (64 + 64, 32), (32, 16)]
    decoder = sum(9 * taken * filters + 9 * filters**2 + 2 * 4 * filters for taken, filters in blocks)
    logits = 9 * 16 * 5 + 5
    with cost.weightless():
        encoder = tfcnn.build("resnet18", num_classes=0).count_params()
    assert build_weightless("resnet18", (224, 224), 5).count_params() == encoder + decoder + logits


@pytest.mark.parametrize("encoder", ENCODERS)
def test_logits_at_each_pixel_on_every_network(encoder):
    """Of sides that no power of two divides, one of them odd. Few blocks, which are alike."""
    model = build_weightless(encoder, (75, 98), width=0.25, depth=0.1)
    assert model.output_shape == (None, 75, 98, 4)


def convolve(x, kernel):
    """3x3 over zero padding. (h, w, c), (3, 3, c, f) -> (h, w, f)"""
    height, width, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    return sum(padded[i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3))


def normalise(x, gamma, beta, mean, variance):
    return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta


@pytest.mark.slow
def test_the_decoder_in_numpy():
    """Doubled, joined to the encoder's map of the size, convolved twice: from the maps of `features_only`."""
    model = build_unet("resnet18", (64, 96), width=0.05)
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.1, 0.3, weight.shape) * rng.choice([-1, 1, 1]) for weight in model.get_weights()])
    for layer in in_order(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(abs(layer.moving_variance.numpy()))
    encoder = tfcnn.build("resnet18", (64, 96, 3), features_only=True, width=0.05)
    own = in_order(encoder)
    for layer, source in zip(own, in_order(model), strict=False):
        layer.set_weights(source.get_weights())
    image = rng.normal(size=(1, 64, 96, 3)).astype("float32")
    *skips, x = (maps.numpy()[0].astype("float64") for maps in encoder(image))

    decoder = [layer.get_weights() for layer in in_order(model)[len(own) :]]
    for _ in range(5):
        x = x.repeat(2, axis=0).repeat(2, axis=1)
        x = np.concatenate([x, skips.pop()], axis=2) if skips else x
        for _ in range(2):
            (kernel,) = decoder.pop(0)
            x = np.maximum(normalise(convolve(x, kernel), *decoder.pop(0)), 0)
    kernel, bias = decoder.pop(0)
    expected = convolve(x, kernel) + bias
    np.testing.assert_allclose(model(image).numpy()[0], expected, rtol=1e-3, atol=1e-3 * abs(expected).max())
    assert not decoder


def test_maps_that_do_not_double_stay_in_the_middle():
    """SqueezeNet's 3, 7, 15 and 31 pixels of 64: one pixel of the edge repeated after 6, 14 and 30, two around 62."""
    model = build_weightless("squeezenet1_1")
    paddings = [layer for layer in model.layers if isinstance(layer, tfcnn.layers.Padding2D)]
    assert [layer.padding[0] for layer in paddings] == [(0, 1), (0, 1), (0, 1), (1, 1)]
    assert {layer.mode for layer in paddings} == {"replicate"}


def test_a_coarse_first_map_is_doubled_twice():
    model = build_weightless("alexnet_2012", (227, 227))  # a first convolution of stride 4
    sizes = [layer.input.shape[1] for layer in model.layers if isinstance(layer, keras.layers.UpSampling2D)]
    assert sizes == [13, 27, 55, 114]


def test_fewer_levels_leave_out_the_deepest_maps():
    model = build_weightless("resnet18", levels=3)
    names = {layer.name for layer in model.layers}
    assert "stage3" in names
    assert "stage4" not in names


def test_channels_of_the_decoder():
    model = build_weightless("resnet18", decoder_channels=(40, 24))
    filters = [layer.filters for layer in in_order(model) if isinstance(layer, keras.layers.Conv2D)]
    assert filters[-11:] == [40, 40, *[24] * 8, 4]


def test_dropout_and_batch_norm_of_the_decoder():
    model = build_weightless("vgg11", batch_norm=False, dropout=0.2)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert "BatchNormalization" not in kinds
    assert kinds.count("Dropout") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"encoder": "resnet19"}, "unknown encoder 'resnet19'; did you mean resnet18"),
        ({"encoder": "voxnet"}, "unknown encoder 'voxnet'"),
        ({"encoder": "vgg11", "size": (24, 64)}, "images of 24x64 are too small for vgg11"),
        ({"encoder": "vgg11", "size": (None, 64)}, "give input_shape without None"),
        ({"encoder": "vgg11", "levels": 1}, "levels must be 2 or more with an encoder, got 1"),
        ({"encoder": "vgg11", "decoder": "unpooling"}, 'decoder="unpooling" is for a U-Net without an encoder'),
        ({"encoder": "vgg11", "form": "paper"}, "argument of vgg11 'form'"),
        ({"encoder": None, "stem": "cifar"}, "stem and decoder_channels are for a U-Net with an encoder"),
        ({"encoder": None, "weights": "imagenet"}, "unet has no imagenet weights.*encoder=NAME"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(BadInput, match=message):
        build_weightless(**arguments)
