"""Weights of ours and of keras.applications in every kind of file."""

import logging

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

import tfcnn
from benchmarks import parity
from tfcnn import factory, graph, train
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.models import registry
from tfcnn.weights import expectations, keras_files, loading

KERAS_CASES = [case for case in parity.CASES if case.library == "keras.applications"]
ALL_KERAS = [case for case in parity.CASES + parity.SIBLINGS if case.library == "keras.applications"]
IMAGES = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")


@pytest.mark.slow
@pytest.mark.parametrize("case", KERAS_CASES, ids=lambda case: f"{case.arch}{dict(case.options) or ''}")
def test_parity_with_keras_applications(case):
    error, spread = parity.parity(case)
    assert spread > 0.05  # two images differ
    assert error < parity.LIMIT


def test_every_network_of_keras_applications_has_a_case():
    assert {case.arch for case in ALL_KERAS} == set(keras_files.KERAS)


def build_application(classes=7, input_shape=(32, 32, 3), include_top=True):
    model = keras.applications.MobileNet(
        input_shape,
        alpha=0.25,
        include_top=include_top,
        weights=None,
        classes=classes,
        classifier_activation=None,
    )
    rng = np.random.default_rng(1)
    model.set_weights([w + 0.1 * abs(rng.normal(size=w.shape)) for w in model.get_weights()])
    return model


def build_network(classes=7, channels=3, width=0.25, **more):
    return tfcnn.build("mobilenet", (32, 32, channels), classes, width=width, stem="imagenet", **more)


def save(model, path):
    """As Keras 3 does, or as older Keras did, the kind of keras.applications' files; the path as text."""
    if path.name.endswith((".keras", ".weights.h5")):
        (model.save if path.suffix == ".keras" else model.save_weights)(path)
    else:
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return str(path)


@pytest.fixture
def reference():
    return build_network()


@pytest.fixture
def path(reference, tmp_path):
    """The file of the reference's weights."""
    return save(reference, tmp_path / "m.weights.h5")


def assert_same_values(values, expected):
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["m.weights.h5", "old.h5", "m.keras"])
@pytest.mark.parametrize("build", [build_network, build_application])
def test_every_kind_of_file_of_ours_and_of_keras_applications(name, build, tmp_path):
    reference = build()
    model = build_network(weights=save(reference, tmp_path / name))
    assert_same_values(model(IMAGES, training=False), reference(IMAGES, training=False))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["M.WEIGHTS.H5", "OLD.H5", "M.KERAS"])
def test_keras_applications_files_are_loaded_as_imagenet_is_and_names_in_capitals_too(name, tmp_path):
    """Small images have another stem by default."""
    reference = build_application()
    path = save(reference, tmp_path / name.lower())
    (tmp_path / name.lower()).rename(tmp_path / name)
    model = tfcnn.build("mobilenet", (32, 32, 3), 7, width=0.25, weights=path.replace(name.lower(), name))
    assert_same_values(model(IMAGES, training=False), reference(IMAGES, training=False))


@pytest.mark.slow
@pytest.mark.parametrize("build", [build_network, build_application])
def test_another_number_of_classes_leaves_the_head_fresh_and_says_so(build, tmp_path, caplog):
    reference = build(classes=9)
    with caplog.at_level(logging.INFO, "tfcnn"):
        model = build_network(classes=4, weights=save(reference, tmp_path / "m.weights.h5"))
    assert "left fresh: logits" in caplog.text
    assert "9" in caplog.text
    for layer, stored in zip(graph.in_order(model)[:-1], graph.in_order(reference), strict=False):
        for ours, theirs in zip(layer.get_weights(), stored.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_a_fresh_head_gives_every_class_the_same_logit(path):
    """Whatever the size of the loaded features; ReLU after logits far below 0 would learn nothing."""
    model = build_network(classes=4, weights=path)
    np.testing.assert_array_equal(model(IMAGES, training=False), np.zeros((len(IMAGES), 4)))


@pytest.mark.slow
def test_a_network_without_its_head_takes_the_file_of_one_with_it(reference, path):
    pooled = keras.Model(reference.input, reference.get_layer("logits").input)
    model = build_network(0, weights=path)
    assert_same_values(model(IMAGES, training=False), pooled(IMAGES, training=False))


@pytest.mark.slow
def test_maps_of_a_network_with_weights(reference, path):
    model = build_network(features_only=True, out_indices=[1, -1], weights=path)
    for name, values in zip(("stage2", "stage5"), model(IMAGES, training=False), strict=True):
        inner = keras.Model(reference.input, reference.get_layer(name).output)
        assert_same_values(values, inner(IMAGES, training=False))


@pytest.mark.slow
def test_a_file_without_a_head_leaves_the_head_fresh(tmp_path, caplog):
    headless = save(build_application(include_top=False), tmp_path / "top.weights.h5")
    build_network(weights=headless)
    assert "left fresh: logits (the file ends before logits)" in caplog.text


@pytest.mark.slow
def test_dense_layers_after_flatten_take_a_file_for_images_of_their_size(tmp_path):
    reference = tfcnn.build("vgg11", (64, 64, 3), 5, width=0.02)
    model = tfcnn.build("vgg11", (64, 64, 3), 5, width=0.02, weights=save(reference, tmp_path / "v.weights.h5"))
    np.testing.assert_array_equal(model.get_weights()[-2], reference.get_weights()[-2])


@pytest.mark.slow
def test_dense_layers_after_flatten_stay_fresh_for_images_of_another_size(tmp_path, caplog):
    """What lies before them is loaded."""
    large = save(tfcnn.build("vgg11", num_classes=5, width=0.02), tmp_path / "large.weights.h5")
    tfcnn.build("vgg11", (64, 64, 3), 5, width=0.02, weights=large)
    assert "weights of 8 layers; left fresh: head_dense1, head_dense2" in caplog.text


def test_an_autoencoder_takes_a_file_for_images_of_another_size(tmp_path):
    small = tfcnn.build("conv_autoencoder", (16, 16, 1))
    large = tfcnn.build("conv_autoencoder", (32, 32, 1), weights=save(small, tmp_path / "a.weights.h5"))
    np.testing.assert_array_equal(large.get_weights()[0], small.get_weights()[0])


@pytest.mark.slow
def test_a_segmentation_network_takes_a_file_for_images_of_another_size(tmp_path):
    small = tfcnn.build("fcn16s", (32, 32, 3), 4, width=0.02, form="same")
    path = save(small, tmp_path / "f.weights.h5")
    large = tfcnn.build("fcn16s", (64, 64, 3), 4, width=0.02, form="same", weights=path)
    np.testing.assert_array_equal(large.get_weights()[-1], small.get_weights()[-1])


def test_one_grey_channel_gets_the_sum_over_three(reference, path):
    model = build_network(channels=1, weights=path)
    grey = IMAGES[..., :1]
    expected = np.array(reference(np.repeat(grey, 3, axis=-1), training=False))
    np.testing.assert_allclose(model(grey, training=False), expected, atol=1e-4 * expected.std())  # they are small


def save_arrays(path, tensors):
    np.savez(path, **tensors)
    return str(path)


def save_a_wider_network(tmp_path):
    return save(build_network(width=0.5), tmp_path / "wide.weights.h5")


def save_another_family(tmp_path):
    return save(tfcnn.build("resnet20", (32, 32, 3), 7, depth=0.34), tmp_path / "resnet.keras")


def save_a_deeper_network(tmp_path):
    """The same first layers; the first that differs is in the middle."""
    return save(build_network(depth=2.0), tmp_path / "deep.keras")


def save_a_broken_archive(tmp_path):
    (tmp_path / "broken.keras").write_bytes(b"PK no archive")
    return str(tmp_path / "broken.keras")


def save_a_cut_file(tmp_path):
    path = tmp_path / "cut.weights.h5"
    build_network().save_weights(path)
    path.write_bytes(path.read_bytes()[:2000])
    return str(path)


def save_a_pickle(tmp_path):
    (tmp_path / "model.pth").write_bytes(b"")
    return str(tmp_path / "model.pth")


def save_strange_names(tmp_path):
    return save_arrays(tmp_path / "strange.npz", {"head.attention.weight": np.zeros((3, 3))})


def save_broken_tensors(tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"nonsense")
    return str(tmp_path / "broken.safetensors")


def assert_refused(path, message):
    model = build_network()
    before = model.get_weights()
    arguments = registry.arguments("mobilenet", (32, 32, 3), 7, width=0.25, stem="imagenet")
    with pytest.raises(BadInput, match=message):
        loading.load(model, "mobilenet", path, arguments)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("save_file", "message"),
    [
        (save_a_wider_network, r"tensor .* is 16 in the file and 8 in the network; nothing was loaded"),
        (save_another_family, r"kernel of .* is 3x3x3x16 in the file and 3x3x3x8 in the network; nothing was loaded"),
        (save_a_deeper_network, r"of .* is .*128 in the file and .*256 in the network; nothing was loaded"),
    ],
)
def test_a_file_of_another_network_is_refused_and_changes_nothing(save_file, message, tmp_path):
    assert_refused(save_file(tmp_path), message)


@pytest.mark.parametrize(
    ("save_file", "message"),
    [
        (save_a_broken_archive, "cannot be read"),
        (save_a_cut_file, "cannot be read"),
        (save_a_pickle, "safetensors.torch.save_file"),
        (save_strange_names, "has head.attention.weight, and none of mobilenet's names"),
        (save_broken_tensors, "cannot be read"),
    ],
)
def test_a_file_that_holds_no_weights_is_refused_and_changes_nothing(save_file, message, tmp_path):
    assert_refused(save_file(tmp_path), message)


def test_a_missing_file_is_refused(tmp_path):
    assert_refused(str(tmp_path / "none.keras"), "no weights at .*none.keras")


@pytest.mark.parametrize(
    ("arch", "library", "form"),
    [
        ("resnet50", "imagenet", "keras"),
        ("resnet50", "torchvision", "torchvision"),
        ("mobilenet_v3_small", "torchvision", "torchvision"),
        ("mobilenet_v3_small", "timm", "timm"),
        ("mobilenet_v2", "timm", "timm"),
        ("xception", "torchvision", "timm"),
    ],
)
def test_stem_and_form_follow_weights_of_another_library(arch, library, form, tmp_path):
    weights = {
        "imagenet": "imagenet",
        "torchvision": save_arrays(tmp_path / "torchvision.npz", {"features.0.0.weight": np.zeros(1)}),
        "timm": save_arrays(tmp_path / "timm.npz", {"conv_stem.weight": np.zeros(1)}),
    }
    arguments = factory.arguments(arch, (32, 32, 3), 10, weights=weights[library])
    assert (arguments["form"], arguments["stem"]) == (form, "imagenet")


def test_a_stated_form_wins_over_that_of_the_weights(tmp_path):
    torchvision = save_arrays(tmp_path / "torchvision.npz", {"features.0.0.weight": np.zeros(1)})
    assert factory.arguments("resnet50", (32, 32, 3), weights=torchvision, form="paper")["form"] == "paper"


def test_a_file_of_ours_says_nothing_of_the_stem(path):
    assert factory.arguments("mobilenet", (32, 32, 3), weights=path)["stem"] == "cifar"


def test_the_form_of_a_missing_file():
    with pytest.raises(BadInput, match="no weights at"):
        factory.arguments("resnet50", weights="none.npz")


@pytest.mark.slow
@pytest.mark.usefixtures("no_export")
def test_fine_tuning_from_keras_weights(tmp_path, capsys):
    """The command, with weights for another number of classes: the head fresh, the trunk frozen."""
    path = save(build_application(1000), tmp_path / "m.weights.h5")
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
    output = capsys.readouterr().out
    assert "left fresh: logits" in output
    assert "images     standardised with mean 0.5 and std 0.5 of pixels from 0 to 1 (keras.applications'" in output
    assert "frozen     54 layers (--freeze backbone)" in output
    tuned = graph.in_order(run.load_model())
    start = graph.in_order(build_network(10, 1, weights=path))
    for layer, first in zip(tuned[:-1], start, strict=False):
        for a, b in zip(layer.get_weights(), first.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("arch", ["resnet50", "vgg16", "mobilenet"])
def test_images_are_standardised_as_the_weights_expect(arch):
    """keras.applications' preprocessing, in a module of the same name, against (x / 255 - mean) / std."""
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3)).astype("float32")
    mean, std, bgr, _ = expectations.expected_standardisation(arch, "imagenet")
    ours = (pixels / 255 - mean) / std
    expected = getattr(keras.applications, arch).preprocess_input(pixels.copy())
    np.testing.assert_allclose(ours[..., ::-1] if bgr else ours, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_blue_green_red_weights_see_red_green_blue(monkeypatch):
    reference = keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), classes=7)
    monkeypatch.setattr(loading, "load_application", lambda arch, arguments: reference)
    arguments = factory.arguments("resnet50", (32, 32, 3), 7, weights="imagenet")
    plain = factory.build("resnet50", **arguments)
    turned = factory.build("resnet50", **arguments)
    loading.load(plain, "resnet50", "imagenet", arguments)
    loading.load(turned, "resnet50", "imagenet", arguments, rgb=True)
    expected = plain(IMAGES[..., ::-1], training=False)
    np.testing.assert_allclose(turned(IMAGES, training=False), expected, atol=1e-5)
    assert abs(plain(IMAGES, training=False) - expected).numpy().max() > 1e-3
