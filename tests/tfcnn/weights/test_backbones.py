"""Weights of classification networks in detectors and U-Nets; the oracle is that network with the same weights."""

import json

import keras
import numpy as np
import pytest

import tfcnn
from tfcnn import cost, train
from tfcnn.errors import BadInput
from tfcnn.graph import in_order
from tfcnn.models import registry
from tfcnn.models.backbones import backbone_part
from tfcnn.models.registry import backbone_of
from tfcnn.training import recipes
from tfcnn.weights import loading

IMAGES = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype("float32")
MOBILENET = {"backbone": "mobilenet", "width": 0.25, "stride": 8, "units": 8}


def build_detector(weights=None, **arguments):
    return tfcnn.build("fast_rcnn", (64, 64, 3), 3, weights=weights, **arguments)


def features_of(classifier, name):
    """What a classification network's layer `name` reads ("logits") or gives."""
    layer = classifier.get_layer(name)
    return keras.Model(classifier.input, layer.input if name == "logits" else layer.output)(IMAGES).numpy()


def assert_same_features(detector, classifier, name):
    expected = features_of(classifier, name)
    assert (expected[0] != expected[1]).any()
    np.testing.assert_array_equal(backbone_part(detector)(IMAGES).numpy(), expected)


def test_fast_rcnn_on_squeezenet_of_imagenet():
    detector = build_detector("imagenet", backbone="squeezenet1_1", stride=8, units=8)
    assert_same_features(detector, tfcnn.build("squeezenet1_1", (64, 64, 3), 10, weights="imagenet"), "stage2")


@pytest.mark.slow
def test_rcnn_on_efficientnet_lite0_of_imagenet():
    detector = tfcnn.build("rcnn", (96, 96, 3), 3, weights="imagenet", backbone="efficientnet_lite0", crop=64)
    assert_same_features(detector, tfcnn.build("efficientnet_lite0", (64, 64, 3), 10, weights="imagenet"), "logits")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_file_of_keras_applications_decides_on_form_and_stem(suffix, tmp_path):
    path = tmp_path / f"m{suffix}"
    model = keras.applications.MobileNet((128, 128, 3), alpha=0.25, weights=None, classes=7)
    if suffix == ".keras":
        model.save(path)
    else:
        model.save_weights(path)
    classifier = tfcnn.build("mobilenet", (64, 64, 3), 10, width=0.25, weights=str(path))
    assert_same_features(build_detector(str(path), **MOBILENET), classifier, "stage3")


@pytest.fixture
def classifier_file(tmp_path):
    """A function that saves a MobileNet of ours, and its path."""

    def build(**arguments):
        classifier = tfcnn.build("mobilenet", (64, 64, 3), 7, **{"width": 0.25} | arguments)
        classifier.save(tmp_path / "model.keras")
        return classifier, str(tmp_path / "model.keras")

    return build


@pytest.mark.slow
def test_our_file(classifier_file):
    classifier, path = classifier_file()
    assert_same_features(build_detector(path, **MOBILENET), classifier, "stage3")


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{"depth": 1.4}, {"width": 0.5}])
def test_a_file_of_another_depth_or_width_is_refused(arguments, classifier_file):
    """The layers below the map that is pooled would take the first of a deeper network."""
    _, path = classifier_file(**arguments)
    with pytest.raises(BadInput, match=r"the backbone of fast_rcnn: .* does not fit mobilenet.*backbone=NAME"):
        build_detector(path, **MOBILENET)


def test_an_encoder_of_imagenet():
    """From two images the classification network and the U-Net make the same maps."""
    arguments = {"weights": "imagenet", "features_only": True}
    encoder = tfcnn.build("squeezenet1_1", (64, 64, 3), **arguments)
    unet = tfcnn.build("unet", (64, 64, 3), 3, encoder="squeezenet1_1", **arguments)
    for maps, expected in zip(unet(IMAGES), encoder(IMAGES), strict=True):
        np.testing.assert_array_equal(maps, expected)


@pytest.mark.slow
def test_an_encoder_of_our_file_and_a_whole_unet(classifier_file, tmp_path):
    classifier, path = classifier_file()
    arguments = {"encoder": "mobilenet", "width": 0.25}
    unet = tfcnn.build("unet", (64, 64, 3), 3, weights=path, **arguments)
    assert_same_features(unet, classifier, "stage5")
    unet.save(tmp_path / "unet.keras")
    again = tfcnn.build("unet", (64, 64, 3), 3, weights=str(tmp_path / "unet.keras"), **arguments)
    np.testing.assert_array_equal(again(IMAGES), unet(IMAGES))


def test_an_encoder_without_weights_is_refused():
    with pytest.raises(BadInput, match=r"the encoder of unet: keras\.applications has no resnet18.*encoder=NAME"):
        tfcnn.build("unet", (64, 64, 3), 3, encoder="resnet18", weights="imagenet", width=0.125)


def test_a_backbone_without_weights_is_refused():
    with pytest.raises(BadInput, match=r"the backbone of fast_rcnn: keras\.applications has no resnet18, only vgg16"):
        build_detector("imagenet", backbone="resnet18", width=0.125, units=8)


def test_an_unknown_backbone_is_refused():
    with pytest.raises(BadInput, match=r"unknown backbone 'unet'.*--arch-args"):
        build_detector("imagenet", backbone="unet")


@pytest.mark.slow
def test_a_detector_takes_all_weights_of_a_detector(tmp_path):
    detector = build_detector(**MOBILENET)
    detector.save(tmp_path / "model.keras")
    loaded = build_detector(str(tmp_path / "model.keras"), **MOBILENET)
    for layer, source in zip(in_order(loaded), in_order(detector), strict=True):
        for value, expected in zip(layer.get_weights(), source.get_weights(), strict=True):
            np.testing.assert_array_equal(value, expected)


WITH_STAGES = [family for family in registry.FAMILIES if family.task == "classification" and family.axes == 2]


@pytest.mark.parametrize("family", WITH_STAGES, ids=lambda family: family.module)
def test_the_layers_below_a_map_are_the_first_of_the_network(family):
    """Backbones are loaded by that."""
    with cost.weightless():
        model = tfcnn.build(family.names[0])
    for name in {layer.name for layer in model.layers} & set(family.features):
        below = in_order(keras.Model(model.input, model.get_layer(name).output))
        assert below == in_order(model)[: len(below)]


def test_backbone_of_a_detector_alone():
    assert backbone_of("rcnn", {}) == "alexnet"
    assert backbone_of("rcnn", {"backbone": "vgg16"}) == "vgg16"
    assert backbone_of("unet", {"backbone": "vgg16"}) == "unet"
    assert backbone_of("unet", {"encoder": "vgg16"}) == "vgg16"


def test_the_weights_decide_on_width_and_depth(tmp_path):
    flags = {"arch": "fast_rcnn", "weights": "imagenet"}
    assert (recipes.resolve(flags).width, recipes.resolve(flags).depth) == (1.0, 1.0)
    assert recipes.resolve(flags | {"width": 0.5}).width == 0.5
    (tmp_path / "config.json").write_text(json.dumps({"config": {"arch": "resnet18", "width": 0.25, "depth": 2.0}}))
    config = recipes.resolve(flags | {"weights": str(tmp_path / "model.keras")})
    assert (config.width, config.depth) == (0.25, 2.0)


def test_weights_for_blue_green_red_are_turned():
    arguments = tfcnn.factory.arguments("fast_rcnn", (64, 64, 3), 3, weights="imagenet", backbone="squeezenet1_1")
    plain, turned = (tfcnn.factory.build("fast_rcnn", **arguments | {"units": 8}) for _ in range(2))
    loading.load(plain, "fast_rcnn", "imagenet", arguments)
    loading.load(turned, "fast_rcnn", "imagenet", arguments, rgb=True)
    expected = backbone_part(plain)(IMAGES[..., ::-1])
    np.testing.assert_allclose(backbone_part(turned)(IMAGES), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("no_export")
def test_a_frozen_backbone_keeps_its_weights_in_training(tmp_path, capsys):
    classifier = tfcnn.build("lecture_cnn", (64, 64, 3), 7, width=0.25)
    classifier.save(tmp_path / "model.keras")
    flags = {
        "arch": "fast_rcnn",
        "arch_args": {"backbone": "lecture_cnn", "stride": 4, "units": 8, "pool_size": 2},
        "width": 0.25,
        "weights": str(tmp_path / "model.keras"),
        "freeze": "backbone",
        "dataset": "few_boxes",
        "dataset_module": "tests.few_boxes",
        "epochs": 1,
        "batch_size": 4,
        "warmup_epochs": 0.0,
        "out": str(tmp_path / "run"),
    }
    run = train.run(recipes.resolve(flags))
    output = capsys.readouterr().out
    assert "logits, boxes (lecture_cnn has none)" in output
    trained = in_order(backbone_part(run.load_model()))
    assert f"frozen     {len(trained)} layers (--freeze backbone)" in output
    for layer, source in zip(trained, in_order(classifier), strict=False):
        for value, expected in zip(layer.get_weights(), source.get_weights(), strict=True):
            np.testing.assert_array_equal(value, expected)


@pytest.mark.slow
@pytest.mark.usefixtures("no_export")
def test_a_frozen_encoder_keeps_its_weights_in_training(tmp_path, capsys):
    classifier = tfcnn.build("lecture_cnn", (16, 16, 3), 7, width=0.25)
    classifier.save(tmp_path / "model.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3)).astype("uint8")
    np.savez(tmp_path / "data.npz", x=pixels, y=pixels[..., 0] // 128)
    flags = {
        "arch": "unet",
        "arch_args": {"encoder": "lecture_cnn"},
        "width": 0.25,
        "weights": str(tmp_path / "model.keras"),
        "freeze": "backbone",
        "dataset": str(tmp_path / "data.npz"),
        "epochs": 1,
        "batch_size": 4,
        "warmup_epochs": 0.0,
        "out": str(tmp_path / "run"),
    }
    run = train.run(recipes.resolve(flags))
    trained = run.load_model()
    encoder = in_order(backbone_part(trained))
    assert f"frozen     {len(encoder)} layers (--freeze backbone)" in capsys.readouterr().out
    assert run.read_config()["recipe"]["fine_tuning"]
    for layer, source in zip(encoder, in_order(classifier), strict=False):
        for value, expected in zip(layer.get_weights(), source.get_weights(), strict=True):
            np.testing.assert_array_equal(value, expected)
