import keras
import numpy as np
import pytest

import tfcnn
from tfcnn import cost
from tfcnn.errors import BadInput
from tfcnn.models import registry
from tfcnn.models.classification.inception_v3 import average


def weightless(*args, **overrides):
    with cost.weightless():
        return tfcnn.build("inception_v3", *args, **overrides)


def test_table_1_sizes():
    """Of the paper's Table 1: 147x147x64, 35x35x288, 17x17x768, 8x8x2048; 71x71x192 is the release's."""
    model = weightless()
    sizes = [model.get_layer(f"stage{n}").output.shape[1:] for n in range(1, 6)]
    assert sizes == [(147, 147, 64), (71, 71, 192), (35, 35, 288), (17, 17, 768), (8, 8, 2048)]


@pytest.mark.slow
def test_torchvisions_counts():
    assert cost.cost_table(weightless(form="torchvision")).trainable == 23_834_568
    full = cost.cost_table(weightless(form="torchvision", auxiliary=True))
    assert full.trainable == 27_161_264


def test_the_border_of_an_average():
    """The corner of a map of ones: 4 of 4 pixels, or 4 of 9."""
    inputs = keras.Input((5, 5, 1))
    corners = {form: keras.Model(inputs, average(inputs, form)) for form in ("keras", "torchvision")}
    ones = np.ones((1, 5, 5, 1), "float32")
    assert {form: float(model(ones)[0, 0, 0, 0]) for form, model in corners.items()} == pytest.approx(
        {"keras": 1, "torchvision": 4 / 9}
    )


@pytest.mark.slow
def test_below_75_pixels_the_stem_is_the_small_one():
    assert registry.arguments("inception_v3", (74, 80, 3))["stem"] == "cifar"
    assert registry.arguments("inception_v3", (75, 80, 3))["stem"] == "imagenet"
    assert weightless((75, 75, 3)).get_layer("stage5").output.shape[1:3] == (1, 1)
    with pytest.raises(BadInput, match="inception_v3 cannot be built"):
        weightless((74, 74, 3), stem="imagenet")
    small = [weightless((32, 32, 3)).get_layer(f"stage{n}").output.shape[1] for n in range(1, 6)]
    assert small == [32, 32, 15, 7, 3]


@pytest.mark.slow
def test_the_auxiliary_classifier_says_when_its_map_is_too_small():
    with pytest.raises(BadInput, match=r"needs a map of 17x17.*this one is 7x7"):
        weightless((32, 32, 3), auxiliary=True)
    assert weightless((299, 299, 3), auxiliary=True, num_classes=0).output_shape == (None, 2048)


@pytest.mark.torch
def test_the_auxiliary_classifier_is_torchvisions(tmp_path):
    """Of the same weights, loaded from one file."""
    from benchmarks import parity

    torch = parity.import_torch()
    import torchvision
    from safetensors.torch import save_file

    torch.manual_seed(0)
    reference = torchvision.models.inception_v3(num_classes=5, init_weights=False, aux_logits=True).eval()
    save_file(reference.state_dict(), tmp_path / "inception.safetensors")
    auxiliary = []
    reference.Mixed_6e.register_forward_hook(lambda *args: auxiliary.append(reference.AuxLogits(args[-1])))
    images = np.random.default_rng(0).normal(size=(1, 299, 299, 3)).astype("float32")
    with torch.no_grad():
        logits = reference(torch.from_numpy(np.moveaxis(images, -1, 1).copy()))
    path = str(tmp_path / "inception.safetensors")
    model = tfcnn.build("inception_v3", (299, 299, 3), 5, form="torchvision", auxiliary=True, weights=path)
    for actual, expected in zip(model(images, training=False), (logits, *auxiliary), strict=True):
        assert expected.std() > 0
        np.testing.assert_allclose(actual, expected, atol=1e-5)
