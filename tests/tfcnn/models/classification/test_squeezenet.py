import keras
import pytest

import tfcnn
from tfcnn import cost

# Table 1 of the paper: parameters before pruning; its sizes are those of an image of 227 pixels.
FIRES = (11_920, 12_432, 45_344, 49_440, 104_880, 111_024, 188_992, 197_184)
SIZES = {"stage1": (111, 96), "stage2": (55, 256), "stage3": (27, 512), "stage4": (13, 512)}


def weightless(arch, *args, **overrides):
    with cost.weightless():
        return tfcnn.build(arch, *args, **overrides)


def test_table_1():
    model = weightless("squeezenet1_0", (227, 227, 3))
    counts = [layer.count_params() for layer in model.layers if layer.weights]
    assert counts[0] == 14_208
    assert tuple(sum(counts[i : i + 3]) for i in range(1, 25, 3)) == FIRES
    assert counts[25:] == [513_000]
    assert {name: model.get_layer(name).output.shape[2:] for name in SIZES} == SIZES


def test_the_second_release_costs_less():
    """torchvision's documentation: 0.82 and 0.35 GFLOPS, which it counts as MACs."""
    first, second = (cost.cost_table(weightless(f"squeezenet1_{n}")).macs for n in (0, 1))
    assert (first / 1e9, second / 1e9) == pytest.approx((0.82, 0.35), abs=0.005)


def test_small_images():
    model = weightless("squeezenet1_0", (32, 32, 3), 10)
    assert [model.get_layer(name).output.shape[1] for name in SIZES] == [32, 32, 16, 8]
    assert weightless("squeezenet1_0", num_classes=0).output_shape == (None, 512)


def test_pooling_windows_hang_over_the_end():
    """PyTorch's ceil mode: 54 pixels leave 27, where whole windows alone would leave 26."""
    model = weightless("squeezenet1_0")
    poolings = [layer for layer in model.layers if isinstance(layer, keras.layers.MaxPooling2D)]
    assert [layer.output.shape[1] for layer in poolings] == [54, 27, 13]
