"""MobileNet v1 to v3 against keras.applications at the widths of the authors' weights."""

import keras
import pytest
from keras import layers

import tfcnn
from tfcnn import cost

V1 = keras.applications.MobileNet
V2 = keras.applications.MobileNetV2
SMALL = keras.applications.MobileNetV3Small
LARGE = keras.applications.MobileNetV3Large


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "reference", "alpha", "options"),
    [
        *(("mobilenet", V1, alpha, {}) for alpha in (0.25, 0.75)),
        *(("mobilenet_v2", V2, alpha, {}) for alpha in (0.35, 0.5, 0.75, 1.3, 1.4)),
        *(("mobilenet_v3_small", SMALL, alpha, {}) for alpha in (0.75,)),
        *(("mobilenet_v3_large", LARGE, alpha, {}) for alpha in (0.75,)),
        ("mobilenet_v3_small", SMALL, 1.0, {"minimalistic": True}),
        ("mobilenet_v3_large", LARGE, 1.0, {"minimalistic": True}),
    ],
)
def test_costs_are_those_of_keras_applications(arch, reference, alpha, options):
    with cost.weightless():
        ours = cost.cost_table(tfcnn.build(arch, width=alpha, **options))
        theirs = cost.cost_table(reference((224, 224, 3), alpha=alpha, weights=None, **options))
    assert (ours.params, ours.trainable, ours.macs) == (theirs.params, theirs.trainable, theirs.macs)


def test_the_last_convolution_of_v2_keeps_its_filters_below_width_1():
    with cost.weightless():
        filters = {w: tfcnn.build("mobilenet_v2", width=w, num_classes=0).output_shape[-1] for w in (0.35, 1, 1.4)}
    assert filters == {0.35: 1280, 1: 1280, 1.4: 1792}


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["mobilenet_v3_small", "mobilenet_v3_large"])
def test_minimalistic_has_none_of_the_costly_operations(arch):
    def facts(**overrides):
        with cost.weightless():
            model = tfcnn.build(arch, **overrides)
        convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D)]
        excited = sum(isinstance(layer, layers.Multiply) for layer in model.layers)
        swish = sum("hard" in str(layer.get_config().get("activation")) for layer in model.layers)
        return max(layer.kernel_size[0] for layer in convolutions), excited, swish > 0

    assert facts() == (5, {"mobilenet_v3_small": 9, "mobilenet_v3_large": 8}[arch], True)
    assert facts(minimalistic=True) == (3, 0, False)
