import logging
import urllib.error

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from keras.src.legacy.saving import legacy_h5_format

import tfcnn
from benchmarks import parity
from tfcnn import factory, graph, train
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.models import registry
from tfcnn.training.compile import compile_model, freeze
from tfcnn.weights import expectations, keras_files, loading

KERAS_CASES = [case for case in parity.CASES if case.library == "keras.applications"]
ALL_KERAS = [case for case in parity.CASES + parity.SIBLINGS if case.library == "keras.applications"]
IMAGES = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")


@pytest.mark.parametrize("case", KERAS_CASES, ids=lambda case: f"{case.arch}{dict(case.options) or ''}")
def test_parity_with_keras_applications(case):
    error, spread = parity.parity(case)
    assert spread > 0.05  # two images differ
    assert error < parity.LIMIT


def test_every_network_of_keras_applications_has_a_case():
    assert {case.arch for case in ALL_KERAS} == set(keras_files.KERAS)


def application(classes=7, **more):
    options = {"weights": None, "alpha": 0.25, "input_shape": (32, 32, 3), "classifier_activation": None}
    model = keras.applications.MobileNet(classes=classes, **options | more)
    rng = np.random.default_rng(1)
    model.set_weights([w + 0.1 * abs(rng.normal(size=w.shape)) for w in model.get_weights()])
    return model


def network(classes=7, channels=3, **more):
    return tfcnn.build("mobilenet", (32, 32, channels), classes, **{"width": 0.25, "stem": "imagenet"} | more)


def write(model, path):
    """As Keras 3 does, and as older Keras did: keras.applications' files are of that kind."""
    if path.name.endswith((".keras", ".weights.h5")):
        (model.save if path.suffix == ".keras" else model.save_weights)(path)
    else:
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return str(path)


@pytest.mark.parametrize("name", ["m.weights.h5", "old.h5", "m.keras"])
@pytest.mark.parametrize("make", [network, application])
def test_every_kind_of_file_of_ours_and_of_keras_applications(name, make, tmp_path):
    reference = make()
    found = network(weights=write(reference, tmp_path / name))
    np.testing.assert_allclose(found(IMAGES, training=False), reference(IMAGES, training=False), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [network, application])
def test_another_number_of_classes_leaves_the_head_fresh_and_says_so(make, tmp_path, caplog):
    reference = make(classes=9)
    with caplog.at_level(logging.INFO, "tfcnn"):
        keras.utils.set_random_seed(0)
        found = network(classes=4, weights=write(reference, tmp_path / "m.weights.h5"))
    keras.utils.set_random_seed(0)
    fresh = network(classes=4)
    assert "left fresh: logits" in caplog.text
    assert "9" in caplog.text
    for layer, stored in zip(graph.in_order(found)[:-1], graph.in_order(reference), strict=False):
        for mine, theirs in zip(layer.get_weights(), stored.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(found.get_layer("logits").kernel, fresh.get_layer("logits").kernel)


def test_pooled_features_maps_and_headless_files(tmp_path, caplog):
    reference = network()
    path = write(reference, tmp_path / "m.weights.h5")
    pooled = keras.Model(reference.input, reference.get_layer("logits").input)
    found = network(0, weights=path)
    np.testing.assert_allclose(found(IMAGES, training=False), pooled(IMAGES, training=False), rtol=1e-5, atol=1e-6)
    maps = network(features_only=True, out_indices=[1, -1], weights=path)
    for name, values in zip(("stage2", "stage5"), maps(IMAGES, training=False), strict=True):
        inner = keras.Model(reference.input, reference.get_layer(name).output)
        np.testing.assert_allclose(values, inner(IMAGES, training=False), rtol=1e-5, atol=1e-6)
    headless = write(application(include_top=False), tmp_path / "top.weights.h5")
    network(weights=headless)
    assert "left fresh: logits (the file ends before logits)" in caplog.text


def test_a_file_for_images_of_another_size(tmp_path, caplog):
    """Dense layers behind Flatten fit one size only: they stay fresh, and what lies before them is loaded."""
    reference = tfcnn.build("vgg11", (64, 64, 3), 5, width=0.02)
    found = tfcnn.build("vgg11", (64, 64, 3), 5, width=0.02, weights=write(reference, tmp_path / "v.weights.h5"))
    np.testing.assert_array_equal(found.get_weights()[-2], reference.get_weights()[-2])
    large = write(tfcnn.build("vgg11", num_classes=5, width=0.02), tmp_path / "large.weights.h5")
    tfcnn.build("vgg11", (64, 64, 3), 5, width=0.02, weights=large)
    assert "weights of 8 layers; left fresh: dense" in caplog.text
    images = tfcnn.build("conv_autoencoder", (16, 16, 1))
    same = tfcnn.build("conv_autoencoder", (32, 32, 1), weights=write(images, tmp_path / "a.weights.h5"))
    np.testing.assert_array_equal(same.get_weights()[0], images.get_weights()[0])
    fcn = tfcnn.build("fcn16s", (32, 32, 3), 4, width=0.02, form="same")
    path = write(fcn, tmp_path / "f.weights.h5")
    again = tfcnn.build("fcn16s", (64, 64, 3), 4, width=0.02, form="same", weights=path)
    np.testing.assert_array_equal(again.get_weights()[-1], fcn.get_weights()[-1])


def test_one_grey_channel_gets_the_sum_over_three(tmp_path):
    reference = network()
    found = network(channels=1, weights=write(reference, tmp_path / "m.weights.h5"))
    grey = IMAGES[..., :1]
    expected = np.array(reference(np.repeat(grey, 3, axis=-1), training=False))
    np.testing.assert_allclose(found(grey, training=False), expected, atol=1e-4 * expected.std())  # they are small


def edited(path, tensors):
    np.savez(path, **tensors)
    return str(path)


def other_model(tmp_path):
    return write(network(width=0.5), tmp_path / "wide.weights.h5")


def other_family(tmp_path):
    return write(tfcnn.build("resnet20", (32, 32, 3), 7, depth=0.34), tmp_path / "resnet.keras")


def deeper(tmp_path):
    """The same first layers; the first that differs is in the middle."""
    return write(network(depth=2.0), tmp_path / "deep.keras")


def broken(tmp_path):
    (tmp_path / "broken.keras").write_bytes(b"PK no archive")
    return str(tmp_path / "broken.keras")


def cut(tmp_path):
    path = tmp_path / "cut.weights.h5"
    network().save_weights(path)
    path.write_bytes(path.read_bytes()[:2000])
    return str(path)


def pickled(tmp_path):
    (tmp_path / "model.pth").write_bytes(b"")
    return str(tmp_path / "model.pth")


def strangers(tmp_path):
    return edited(tmp_path / "strange.npz", {"head.attention.weight": np.zeros((3, 3))})


def broken_tensors(tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"nonsense")
    return str(tmp_path / "broken.safetensors")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: str(folder / "none.keras"), "no weights at .*none.keras"),
        (other_model, r"tensor .* is 16 in the file and 8 in the network; nothing was loaded"),
        (other_family, r"kernel of .* is 3x3x3x16 in the file and 3x3x3x8 in the network; nothing was loaded"),
        (deeper, r"of .* is .*128 in the file and .*256 in the network; nothing was loaded"),
        (broken, "cannot be read"),
        (cut, "cannot be read"),
        (pickled, "safetensors.torch.save_file"),
        (strangers, "has head.attention.weight, and none of mobilenet's names"),
        (broken_tensors, "cannot be read"),
    ],
)
def test_a_wrong_file_is_named_and_changes_nothing(make, message, tmp_path):
    model = network()
    before = model.get_weights()
    arguments = registry.arguments("mobilenet", (32, 32, 3), 7, width=0.25, stem="imagenet")
    with pytest.raises(BadInput, match=message):
        loading.load(model, "mobilenet", make(tmp_path), arguments)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_imagenet_is_what_keras_downloads(tmp_path, monkeypatch):
    reference = application(1000, input_shape=(224, 224, 3))
    path = write(reference, tmp_path / "imagenet.h5")
    asked = []
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *args, **more: asked.append(args) or path)
    found = tfcnn.build("mobilenet", (64, 64, 3), 1000, width=0.25, weights="imagenet")
    assert "mobilenet_2_5_224" in asked[0][0]
    same = tfcnn.build("mobilenet", (64, 64, 3), 1000, width=0.25, form="keras", stem="imagenet", weights=path)
    for a, b in zip(found.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_imagenet_without_network_or_without_such_a_network(monkeypatch):
    def fail(*args, **more):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", fail)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: "/nonexistent-or-empty")
    with pytest.raises(BadInput, match=r"imagenet weights of mobilenet cannot be had: .*no route"):
        tfcnn.build("mobilenet", (64, 64, 3), 10, weights="imagenet")
    with pytest.raises(BadInput, match=r"applications has no resnet18, only vgg16, vgg19"):
        tfcnn.build("resnet18", (64, 64, 3), 10, weights="imagenet")
    with pytest.raises(BadInput, match="ResNet50 is resnet50 with form=keras, not torchvision"):
        tfcnn.build("resnet50", (64, 64, 3), 10, weights="imagenet", form="torchvision")


def test_stem_and_form_follow_weights_of_another_library(tmp_path):
    torchvision = edited(tmp_path / "torchvision.npz", {"features.0.0.weight": np.zeros(1)})
    timm = edited(tmp_path / "timm.npz", {"conv_stem.weight": np.zeros(1)})
    for arch, source, form in (
        ("resnet50", "imagenet", "keras"),
        ("resnet50", torchvision, "torchvision"),
        ("mobilenet_v3_small", torchvision, "torchvision"),
        ("mobilenet_v3_small", timm, "timm"),
        ("mobilenet_v2", timm, "timm"),
        ("xception", torchvision, "timm"),
    ):
        filled = factory.arguments(arch, (32, 32, 3), 10, weights=source)
        assert (filled["form"], filled["stem"]) == (form, "imagenet")
    assert factory.arguments("resnet50", (32, 32, 3), weights=torchvision, form="paper")["form"] == "paper"
    assert factory.arguments("resnet50", (32, 32, 3), weights="a.keras")["stem"] == "cifar"
    with pytest.raises(BadInput, match="no weights at"):
        factory.arguments("resnet50", weights="none.npz")


def test_order_does_not_depend_on_the_order_of_a_sum():
    inputs = keras.Input((8, 8, 3))
    stem = layers.Conv2D(4, 1, name="stem")(inputs)
    long = layers.Conv2D(4, 1, name="second")(layers.Conv2D(4, 1, name="first")(stem))
    short = layers.Conv2D(4, 1, name="shortcut")(stem)
    for pair in ((long, short), (short, long)):
        model = keras.Model(inputs, layers.Add()(pair))
        assert [layer.name for layer in graph.in_order(model)] == ["stem", "first", "second", "shortcut"]
    model = keras.Model(inputs, layers.Concatenate()([short, long]))
    assert [layer.name for layer in graph.in_order(model)] == ["stem", "shortcut", "first", "second"]
    nested = keras.Sequential([keras.Input((8, 8, 3)), model, layers.Conv2D(1, 1, name="last")])
    assert [layer.name for layer in graph.in_order(nested)] == ["stem", "shortcut", "first", "second", "last"]


@pytest.mark.parametrize(("what", "first_free"), [("none", "stage1"), ("2", "stage3"), ("backbone", "logits")])
def test_freeze_keeps_weights_and_statistics(what, first_free):
    model = network(depth=0.2)
    frozen = freeze(model, "mobilenet", what)
    order = graph.in_order(model)
    compile_model(model, Config(smoothing=0.0, lr=0.1), steps_per_epoch=10)
    model.run_eagerly = True
    before = [layer.get_weights() for layer in order]
    model.train_on_batch(IMAGES, np.eye(7)[:2])
    changed = [
        any((a != b).any() for a, b in zip(old, layer.get_weights(), strict=True))
        for old, layer in zip(before, order, strict=True)
    ]
    assert changed == [False] * frozen + [True] * (len(order) - frozen)
    free = keras.Model(model.inputs, model.get_layer(first_free).output)
    assert len(graph.in_order(free)) > frozen
    assert {"none": 0, "backbone": len(order) - 1}.get(what, frozen) == frozen


def test_freeze_more_stages_than_there_are():
    with pytest.raises(BadInput, match="mobilenet has 5 stages, got --freeze 6"):
        freeze(network(), "mobilenet", "6")
    with pytest.raises(BadInput, match="--freeze must be none, backbone or a number of stages, got 'all'"):
        Config(freeze="all")


def test_fine_tuning_from_keras_weights(tmp_path, capsys):
    """The command, with weights for another number of classes: the head fresh, the trunk frozen."""
    path = write(application(1000), tmp_path / "m.weights.h5")
    run = train.run(
        Config(
            arch="mobilenet",
            width=0.25,
            weights=path,
            freeze="backbone",
            epochs=1,
            batch_size=128,
            arch_args={"stem": "imagenet"},
            out=str(tmp_path / "run"),
        )
    )
    said = capsys.readouterr().out
    assert "left fresh: logits" in said
    assert "frozen     54 layers (--freeze backbone)" in said
    trained, start = run.load_model(), network(10, 1, weights=path)
    for layer, first in zip(graph.in_order(trained)[:-1], graph.in_order(start), strict=False):
        for a, b in zip(layer.get_weights(), first.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_images_are_standardised_as_the_weights_expect():
    """keras.applications' own preprocessing, undone to what (x / 255 - mean) / std and the order of channels give."""
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3)).astype("float32")
    for arch, module in (
        ("resnet50", "resnet50"),
        ("vgg16", "vgg16"),
        ("mobilenet", "mobilenet"),
    ):
        mean, std, bgr = expectations.expected_standardisation(arch, "imagenet")
        ours = (pixels / 255 - mean) / std
        ours = ours[..., ::-1] if bgr else ours
        expected = getattr(keras.applications, module).preprocess_input(pixels.copy())
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-3)


def test_blue_green_red_weights_see_red_green_blue(monkeypatch):
    reference = keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), classes=7)
    monkeypatch.setattr(loading, "load_application", lambda arch, arguments: reference)
    arguments = factory.arguments("resnet50", (32, 32, 3), 7, weights="imagenet")
    plain, turned = factory.build("resnet50", **arguments), factory.build("resnet50", **arguments)
    loading.load(plain, "resnet50", "imagenet", arguments)
    loading.load(turned, "resnet50", "imagenet", arguments, rgb=True)
    expected = plain(IMAGES[..., ::-1], training=False)
    np.testing.assert_allclose(turned(IMAGES, training=False), expected, atol=1e-5)
    assert abs(plain(IMAGES, training=False) - expected).numpy().max() > 1e-3
