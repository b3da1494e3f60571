"""Names of layers are those of the network, whatever else the process has built."""

import re

import keras
import numpy as np
import pytest

import tfcnn
from tfcnn import cost
from tfcnn.layer_names import is_automatic
from tfcnn.models import registry

FAMILIES = [family.names[-1] for family in registry.FAMILIES]
ENCODER = {"encoder": "resnet18"}


def weightless(arch, **arguments):
    with cost.weightless():
        return tfcnn.build(arch, width=0.25, depth=0.3, **arguments)


def operations(model):
    """Those of a model, and of the models inside it."""
    for operation in model.operations:
        yield operation
        if isinstance(operation, keras.Model):
            yield from operations(operation)


def names(model):
    return [operation.name for operation in operations(model)], [variable.path for variable in model.variables]


@pytest.mark.parametrize("arch", [*FAMILIES, "unet"])
def test_a_second_network_has_the_same_names(arch):
    arguments = ENCODER if arch == "unet" else {}
    first = weightless(arch, **arguments)
    assert names(weightless(arch, **arguments)) == names(first)
    assert not [operation.name for operation in operations(first) if is_automatic(operation)]
    assert not [path for path in names(first)[1] if re.search(r"_\d+(/|$)", path)]
    assert len(set(names(first)[1])) == len(first.variables)


def test_names_of_the_stage_the_kind_and_the_number():
    assert [layer.name for layer in weightless("vgg13_bn").layers] == [
        *("inputs", "stage1_conv1", "stage1_bn1", "stage1"),
        *("stage2_max_pool1", "stage2_conv1", "stage2_bn1", "stage2"),
        *("stage3_max_pool1", "stage3_conv1", "stage3_bn1", "stage3"),
        *("stage4_max_pool1", "stage4_conv1", "stage4_bn1", "stage4"),
        *("stage5_max_pool1", "stage5_conv1", "stage5_bn1", "stage5"),
        *("head_max_pool1", "head_flatten1", "head_dense1", "head_dropout1", "head_dense2", "head_dropout2", "logits"),
    ]


def test_names_of_a_decoder():
    names_of_unet = [layer.name for layer in weightless("unet", **ENCODER).layers]
    assert names_of_unet[-8:] == [
        *("decoder5_up_sampling1", "decoder5_conv1", "decoder5_bn1", "decoder5_relu1"),
        *("decoder5_conv2", "decoder5_bn2", "decoder5", "logits"),
    ]


def test_names_of_the_papers():
    names_of_squeezenet = [layer.name for layer in weightless("squeezenet1_1").layers]
    fire = [name for name in names_of_squeezenet if name.startswith("fire2_")]
    assert fire[:3] == ["fire2_squeeze1x1", "fire2_expand1x1", "fire2_expand3x3"]
    names_of_lenet = [layer.name for layer in tfcnn.build("lenet5").layers]
    assert names_of_lenet == ["inputs", "stage1", "s2", "stage2", "s4", "head_flatten1", "c5", "f6", "logits"]
    names_of_alexnet = [layer.name for layer in weightless("alexnet_2012").layers]
    assert names_of_alexnet[1:9] == ["conv1", "norm1", "pool1", "conv2", "norm2", "pool2", "conv3", "conv4"]


def test_paths_of_weights_begin_with_the_layer():
    model = weightless("resnet18")
    for layer in model.layers:
        assert [weight.path for weight in layer.weights] == [f"{layer.name}/{weight.name}" for weight in layer.weights]


@pytest.mark.slow
def test_files_of_automatic_names_load(tmp_path):
    """Keras' weights files count the layers of a class: names are not in them."""
    arguments = registry.arguments("resnet20", width=0.5)
    before = registry.builder_of("resnet20")(**arguments)
    assert any(map(is_automatic, before.layers))
    before.save(tmp_path / "model.keras")
    before.save_weights(tmp_path / "model.weights.h5")
    images = np.random.default_rng(0).normal(size=(1, 32, 32, 3)).astype("float32")
    for file in ("model.keras", "model.weights.h5"):
        after = tfcnn.build("resnet20", weights=str(tmp_path / file), **arguments)
        np.testing.assert_array_equal(after(images), before(images))
    after = tfcnn.build("resnet20", **arguments)
    after.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(after(images), before(images))
