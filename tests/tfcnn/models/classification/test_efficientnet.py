import keras
import pytest
from keras import layers

import tfcnn
from tfcnn import cost
from tfcnn.arithmetic.scaling import compound
from tfcnn.models.classification.efficientnet import PUBLISHED


# What the docstring says of the published rows: phi, largest error of width and resolution, depth against the formula.
@pytest.mark.parametrize(
    ("number", "phi", "error", "depth"),
    [
        (1, 0.5, 0.05, 1),
        (2, 1, 0.05, 1),
        (3, 2, 0.05, 0.97),
        (5, 5, 0.03, 0.88),
        (6, 6, 0.03, 0.87),
        (7, 7, 0.03, 0.87),
    ],
)
def test_where_the_published_networks_part_from_the_formula(number, phi, error, depth):
    published = PUBLISHED[f"efficientnet_b{number}"][0]
    formula = compound(phi)
    assert published.width == pytest.approx(formula.width, rel=error)
    assert published.resolution == pytest.approx(formula.resolution, rel=error)
    assert published.depth / formula.depth == pytest.approx(depth, abs=0.01)


def test_b4_lies_between_3_and_4():
    below = compound(3)
    published = PUBLISHED["efficientnet_b4"][0]
    above = compound(4)
    assert all(low < value < high for low, value, high in zip(below, published, above, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 2])
def test_rates_are_those_of_keras_applications(number):
    def rates(model):
        return [(layer.rate, layer.noise_shape) for layer in model.layers if isinstance(layer, layers.Dropout)]

    with cost.weightless():
        ours = rates(tfcnn.build(f"efficientnet_b{number}"))
        theirs = rates(getattr(keras.applications, f"EfficientNetB{number}")(weights=None))
    assert [shape for _, shape in ours] == [shape for _, shape in theirs]
    assert [rate for rate, _ in ours] == pytest.approx([rate for rate, _ in theirs])
    assert len(ours) > 9


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_dropout_and_resolution_of_each_variant(name):
    """The reference's own: dropout is the second column of its table."""
    resolutions = dict(zip(PUBLISHED, (224, 240, 260, 300, 380, 456, 528, 600), strict=True))
    dropouts = dict(zip(PUBLISHED, (0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5), strict=True))
    arguments = tfcnn.models.registry.arguments(name)
    assert arguments["input_shape"] == (resolutions[name],) * 2 + (3,)
    assert arguments["dropout"] == dropouts[name]


def test_squeeze_is_a_quarter_of_the_blocks_input():
    """Not of the expanded filters: 32 -> 8, then 16 / 4, 24 / 4, ..."""
    with cost.weightless():
        model = tfcnn.build("efficientnet_b0")
    squeezed = [
        layer.filters for layer in model.layers if isinstance(layer, layers.Conv2D) and layer.input.shape[1:3] == (1, 1)
    ]
    assert squeezed[::2] == [8, 4, 6, 6, 10, 10, 20, 20, 20, 28, 28, 28, 48, 48, 48, 48]


def test_the_compound_formula_builds():
    width, depth, resolution = compound(0.25)
    side = round(resolution)
    with cost.weightless():
        model = tfcnn.build("efficientnet_b0", (side, side, 3), width=width, depth=depth)
    assert model.input_shape == (None, 232, 232, 3)
