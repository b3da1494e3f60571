import json
import math
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfcnn
from benchmarks.export import SMALL
from tfcnn import cost
from tfcnn.errors import BadInput
from tfcnn.losses import MultiTask
from tfcnn.models import registry

REFERENCE = json.loads((Path(__file__).parent / "reference.json").read_text())["rows"]
# Names without a row there, with counts of trainable parameters that somebody else printed.
ALSO_PUBLISHED = json.loads((Path(__file__).parent / "published.json").read_text())["rows"]
REGIONS = 3  # of an image

# One name for each row table and block; the others differ in numbers alone, which the published counts check.
KINDS = [
    "lenet5",
    "vgg11",
    "vgg11_bn",
    "resnet18",
    "resnet50",
    "resnet20",
    "densenet121",
    "densenet40",
    "densenet_bc100",
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "xception",
    "efficientnet_b0",
    "efficientnet_lite0",
    "alexnet",
    "alexnet_2012",
    "zfnet",
    "nin",
    "nin_imagenet",
    "googlenet",
    "inception_v3",
    "squeezenet1_0",
    "squeezenet1_1",
    "lecture_cnn",
    "m3",
    "m18",
    "voxnet",
    "unet",
    "unet3d",
    "fcn32s",
    "fcn8s",
    "segnet",
    "deconvnet",
    "dilated_vgg16",
    "context_module",
    "conv_autoencoder",
    "rcnn",
    "fast_rcnn",
]


def weightless(arch, *args, **overrides):
    with cost.weightless():
        return tfcnn.build(arch, *args, **overrides)


@cache
def cost_of(arch, **scale):
    """A network of the paper's size, or scaled."""
    return cost.cost_table(weightless(arch, **scale))


def shape_of(arch, height, width, channels):
    """A shape of as many axes as the architecture takes: sound of `height` times 64 samples, or a volume."""
    rank = len(registry.arguments(arch)["input_shape"]) - 1
    return {1: (64 * height,), 2: (height, width), 3: (height, width, height)}[rank] + (channels,)


def output_of(arch, shape, num_classes):
    """What the architecture makes of an image of this shape, where it keeps the image's size."""
    task = registry.family_of(arch).task
    shapes = {"classification": (num_classes,), "reconstruction": shape, "detection": (REGIONS, 5 * num_classes + 1)}
    return shapes.get(task, (*shape[:-1], num_classes))


def inputs_of(model, shape, batch=2):
    """Images at random, and regions where the network takes them."""
    images = np.random.default_rng(0).normal(size=(batch, *shape)).astype("float32")
    if len(model.inputs) == 1:
        return images
    corners = np.random.default_rng(1).uniform(0, 12, (batch, REGIONS, 2))
    return [images, np.concatenate([corners, corners + 16], axis=2).astype("float32")]


@pytest.mark.slow
@pytest.mark.parametrize("row", REFERENCE, ids=lambda row: f"{row['arch']}{row.get('overrides', '')}")
def test_published_counts(row):
    model = weightless(row["arch"], row["input_shape"], row["num_classes"], **row.get("overrides", {}))
    table = cost.cost_table(model)
    assert (table.trainable, table.params, table.macs) == (row["trainable"], row["total"], row["macs"])
    assert list(model.output_shape[1:]) == row["output"]


@pytest.mark.slow
@pytest.mark.parametrize("row", ALSO_PUBLISHED, ids=lambda row: row["arch"])
def test_other_published_counts(row):
    trainable = cost_of(row["arch"]).trainable
    if "millions" in row:
        assert trainable / 1e6 == pytest.approx(row["millions"], rel=0.02)
    else:
        assert trainable == row["trainable"]


def test_every_name_has_a_published_count():
    names = [row["arch"] for row in ALSO_PUBLISHED]
    assert sorted({row["arch"] for row in REFERENCE} | set(names)) == sorted(tfcnn.list_archs())
    assert len(names) == len(set(names))


def test_weights_are_allocated_and_counted_alike():
    model = tfcnn.build("resnet20")
    assert sum(w.size for w in model.get_weights()) == cost.cost_table(weightless("resnet20")).params == 271_098


@pytest.mark.parametrize("family", registry.FAMILIES, ids=lambda family: family.module)
def test_registry_repeats_the_variants_of_the_file(family):
    assert set(registry.module_of(family).VARIANTS) == set(family.names)


@pytest.mark.slow
@pytest.mark.parametrize("arch", KINDS)
def test_minimum_size(arch):
    size = registry.family_of(arch).min_size
    rank = len(registry.arguments(arch)["input_shape"]) - 1
    model = weightless(arch, (*(size,) * rank, 3), 7)
    channels = {"reconstruction": 3, "detection": 5 * 7 + 1}.get(registry.family_of(arch).task, 7)
    assert model.output_shape[-1] == channels
    assert all(math.prod(row.output_shape) > 0 for row in cost.cost_table(model).rows)
    with pytest.raises(BadInput, match=rf"needs {size} (pixels|voxels|samples)"):
        tfcnn.build(arch, (*(size + 9,) * (rank - 1), size - 1, 3), 7)


@pytest.mark.slow
@pytest.mark.parametrize("arch", KINDS)
def test_depth_and_width_scale_every_network(arch):
    form = {"form": "same"} if arch == "unet3d" else {}  # or the depth decides
    shallow = cost_of(arch, depth=0.3, **form)
    wide = cost_of(arch, depth=0.3, width=2, **form)
    deep = cost_of(arch, **form)
    if len(deep.rows) == len(shallow.rows):  # one block a stage stays one
        deep = cost_of(arch, depth=1.2, **form)
    assert wide.macs > 2 * shallow.macs
    assert deep.macs > shallow.macs
    assert len(deep.rows) > len(shallow.rows)
    assert len(wide.rows) == len(shallow.rows)


@pytest.mark.slow
@pytest.mark.parametrize("family", registry.FAMILIES, ids=lambda family: family.module)
def test_any_size_and_channels_and_a_round_trip(family, tmp_path):
    shape = shape_of(family.names[0], 33, 45, 4)
    model = tfcnn.build(family.names[0], shape, 3, **SMALL[family.module])
    images = inputs_of(model, shape)
    logits = np.asarray(model(images))
    if family.module != "dilated":  # a map of stride 8
        assert logits.shape == (2, *output_of(family.names[0], shape, 3))
    assert logits.dtype == np.float32
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(images), logits)
    fresh = tfcnn.build(family.names[0], shape, 3, weights=str(tmp_path / "model.keras"), **SMALL[family.module])
    np.testing.assert_array_equal(fresh(images), logits)


@pytest.mark.slow
@pytest.mark.parametrize("family", registry.FAMILIES, ids=lambda family: family.module)
def test_one_training_step_changes_every_trainable_weight(family):
    before_policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        shape = shape_of(family.names[0], 32, 32, 1)
        model = tfcnn.build(family.names[0], shape, 4, **SMALL[family.module])
    finally:
        keras.config.set_dtype_policy(before_policy)
    assert model.output.dtype == "float32"
    rng = np.random.default_rng(0)
    images = inputs_of(model, shape, batch=8)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    targets = np.arange(8) % 4
    if family.task == "segmentation":
        targets = rng.integers(4, size=(8, *model.output_shape[1:-1]))
    elif family.task == "reconstruction":
        loss = "mse"
        targets = images
    elif family.task == "detection":
        loss = MultiTask()
        targets = rng.integers(5, size=(8, REGIONS, 5)).astype("float32")
    model.compile(keras.optimizers.Adam(), loss, run_eagerly=True)  # tracing takes five times as long
    before = [w.numpy().copy() for w in model.trainable_variables]
    loss = model.train_on_batch(images, targets)
    assert math.isfinite(loss)
    assert all((a != w.numpy()).any() for a, w in zip(before, model.trainable_variables, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["alexnet_2012", "mobilenet_v3_small", "segnet", "unet3d", "rcnn", "fast_rcnn"])
def test_a_saved_model_gives_the_same_logits(arch, tmp_path):
    """Of networks with layers of ours, and of one with a gate. No family has an operation that these lack."""
    shape = shape_of(arch, 32, 32, 1)
    model = tfcnn.build(arch, shape, 3, **SMALL[registry.family_of(arch).module])
    images = inputs_of(model, shape)
    model.export(tmp_path / "saved_model", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "saved_model"))
    np.testing.assert_allclose(loaded.serve(images), model(images, training=False), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["mobilenet", "resnet18"])
def test_small_images_get_a_stem_that_keeps_resolution(arch):
    def stride(size, **overrides):
        return size // weightless(arch, (size, size, 3), **overrides).get_layer("stage5").output.shape[1]

    assert registry.arguments(arch, (63, 64, 3))["stem"] == "cifar"
    assert registry.arguments(arch, (64, 64, 3))["stem"] == "imagenet"
    assert stride(64) == 32
    assert stride(32) < 32
    assert stride(32, stem="imagenet") == 32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"arch": "mobilnet"}, "did you mean mobilenet"),
        ({"arch": "resnet19"}, "resnet18"),
        ({"arch": "transformer"}, "choose from lenet5"),
        ({"arch": "mobilenet", "stem": "cifer"}, "did you mean cifar"),
        ({"arch": "mobilenet", "widht": 2}, "did you mean width"),
        ({"arch": "lenet5", "form": "paper", "width": 2}, "width must be 1"),
        ({"arch": "vgg11", "dropout": 3}, "vgg11 cannot be built"),
        pytest.param({"arch": "resnet152", "depth": 4}, "too deep for Keras.*--depth", marks=pytest.mark.slow),
        ({"arch": "lenet5", "num_classes": True}, "num_classes must be an integer, 0 or more, got True"),
        ({"arch": "lenet5", "num_classes": -1}, "num_classes must be an integer, 0 or more, got -1"),
        ({"arch": "lenet5", "num_classes": 2.5}, "num_classes must be an integer, 0 or more, got 2.5"),
        ({"arch": "lenet5", "input_shape": (28.5, 28, 1)}, "each side of input_shape must be an integer"),
        ({"arch": "unet", "levels": True}, "levels of unet must be an integer, got True"),
    ],
)
def test_bad_input_names_what_is_near(arguments, message):
    with pytest.raises(BadInput, match=message):
        weightless(**arguments)


def test_list_archs_by_task():
    tasks = ("classification", "segmentation", "reconstruction", "detection")
    assert sorted(arch for task in tasks for arch in tfcnn.list_archs(task)) == sorted(tfcnn.list_archs())
    assert "unet" in tfcnn.list_archs("segmentation")
    assert tfcnn.list_archs("detection") == ["rcnn", "fast_rcnn"]


def test_list_archs_takes_the_task_by_name():
    assert tfcnn.list_archs(task="segmentation") == tfcnn.list_archs("segmentation")


def test_list_archs_by_pattern():
    assert tfcnn.list_archs("mobilenet_v?") == ["mobilenet_v2"]
    assert set(tfcnn.list_archs("*resnet*")) == {arch for arch in tfcnn.list_archs() if "resnet" in arch}


def test_a_pattern_without_wildcards_is_a_whole_name():
    assert tfcnn.list_archs("unet") == ["unet"]


def test_list_archs_by_several_patterns_keeps_the_registrys_order():
    assert tfcnn.list_archs(["nin", "vgg1[13]", "*net5"]) == ["lenet5", "vgg11", "vgg13", "nin"]


def test_a_pattern_and_a_task_must_both_hold():
    assert tfcnn.list_archs("*vgg*", task="segmentation") == ["dilated_vgg16"]
    assert tfcnn.list_archs("segmentation", task="classification") == []


@pytest.mark.parametrize("pattern", ["", None, [], "*"])
def test_no_pattern_is_every_name(pattern):
    assert tfcnn.list_archs(pattern) == list(registry.ARCHS)


@pytest.mark.parametrize("pattern", ["vit*", ["a", "b"], "LENET5"])
def test_no_match_is_an_empty_list(pattern):
    assert tfcnn.list_archs(pattern) == []


def test_a_network_of_numpy_integers_saves_and_loads(tmp_path):
    shape = tuple(np.array([28, 28, 1]))
    model = tfcnn.build("lenet5", shape, np.int64(10), width=np.int64(2), depth=np.int32(2))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    images = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    np.testing.assert_array_equal(again(images), model(images))


@pytest.mark.parametrize(
    ("arch", "overrides"),
    [
        ("lenet5", {"num_classes": 10, "input_shape": (28, 28, 1), "width": 2, "depth": 2}),
        ("lecture_cnn", {"filters": 8, "kernel_size": 5, "pool_size": 2, "units": 16}),
        ("resnet18", {"repeats": (1, 1, 1, 1), "filters": [8, 16, 32, 64]}),
        ("m5", {"first": 8, "stages": ((8, 1), (16, 1))}),
        ("unet", {"levels": 3, "input_shape": (None, None, 1)}),
    ],
)
def test_arguments_of_numpy_are_pythons(arch, overrides):
    def numpy_integers(value):
        if isinstance(value, tuple | list):
            return type(value)(map(numpy_integers, value))
        return np.int64(value) if isinstance(value, int) else value

    of_numpy = registry.arguments(arch, **{name: numpy_integers(value) for name, value in overrides.items()})
    assert json.dumps(of_numpy) == json.dumps(registry.arguments(arch, **overrides))  # refuses NumPy's integers


@pytest.mark.slow
@pytest.mark.parametrize("arch", tfcnn.list_archs("segmentation"))
def test_segmentation_networks_take_images_of_any_size(arch):
    """Built without a size, as large as the image whatever that is."""
    family = registry.family_of(arch)
    shape = shape_of(arch, 33, 47, 2)
    reference = tfcnn.build(arch, shape, 3, **SMALL[family.module])
    open_size = (*(None,) * (len(shape) - 1), 2)
    form = {"form": "same"} if arch == "unet3d" else {}
    model = tfcnn.build(arch, open_size, 3, **SMALL[family.module], **form)
    if arch == "deconvnet":  # fc6 of 7x7
        shape = (227, 230, 2)
        assert model(np.zeros((1, *shape))).shape == (1, 227, 230, 3)
        return
    model.set_weights(reference.get_weights())
    images = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    expected = np.asarray(reference(images))
    np.testing.assert_allclose(model(images), expected, rtol=1e-4, atol=1e-5 * abs(expected).max())
