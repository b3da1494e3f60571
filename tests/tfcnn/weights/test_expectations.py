"""What weights expect of a network and its images, by the names in their files and timm's config.json beside them."""

import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from tfcnn.errors import BadInput
from tfcnn.weights.expectations import CAFFE_MEAN, PHOTO_MEAN, expected_arguments, expected_standardisation
from tfcnn.weights.keras_files import PUBLISHED_VARIANCE, read_normalisation

HALF = (0.5, 0.5, 0.5)
PIXELS = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3)).astype("float32")


def save_tensors(folder, name="conv1.weight", config=None):
    """A state_dict of one tensor, and what lies beside it."""
    np.savez(folder / "model.npz", **{name: np.zeros(1)})
    if config is not None:
        (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return str(folder / "model.npz")


def save_names(folder, suffix, *names):
    """A Keras file of layers with these names and nothing in them."""
    path = folder / f"model{suffix}"
    if suffix.lower() == ".keras":
        layers = [{"class_name": "ReLU", "config": {"name": name}} for name in names]
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", json.dumps({"config": {"layers": layers}}))
    else:
        with h5py.File(path, "w") as file:
            for name in names:
                file.create_group(name)
    return str(path)


@pytest.mark.parametrize(
    ("arch", "tensor", "mean"),
    [
        ("googlenet", "conv1.conv.weight", HALF),
        ("inception_v3", "Conv2d_1a_3x3.conv.weight", HALF),
        ("xception", "conv1.weight", HALF),
        ("mobilenet", "conv_stem.weight", HALF),
        ("resnet50", "conv1.weight", PHOTO_MEAN),
        ("mobilenet_v2", "conv_stem.weight", PHOTO_MEAN),
    ],
)
def test_the_mean_of_torchvisions_and_timms_files(arch, tensor, mean, tmp_path):
    assert expected_standardisation(arch, save_tensors(tmp_path, tensor)).mean == mean


TIMM = {"architecture": "mobilenetv3_large_100", "mean": [0.1, 0.2, 0.3], "std": [1.0, 1.0, 1.0]}


@pytest.mark.parametrize("nested", [True, False])
def test_timms_config_beside_the_file_decides(nested, tmp_path):
    facts = {"mean": TIMM["mean"], "std": TIMM["std"]}
    config = {"architecture": TIMM["architecture"], "pretrained_cfg": facts} if nested else TIMM
    mean, std, bgr, source = expected_standardisation("mobilenet_v3_large", save_tensors(tmp_path, config=config))
    assert (mean, std, bgr) == ((0.1, 0.2, 0.3), (1.0, 1.0, 1.0), False)
    assert "config.json" in source


@pytest.mark.parametrize("config", [{"architectures": ["ResNet"], "mean": "x"}, {"data": {"mean": [0.1]}}, [1]])
def test_another_librarys_config_beside_the_file_says_nothing(config, tmp_path):
    assert expected_standardisation("resnet50", save_tensors(tmp_path, config=config)).mean == PHOTO_MEAN


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "beside the weights, cannot be read"),
        (TIMM | {"mean": "half"}, "mean is 'half', not a list of numbers; give --mean and --std"),
        (TIMM | {"std": [0, 1, 1]}, "not all above 0"),
    ],
)
def test_a_damaged_config_beside_the_file_is_refused(config, message, tmp_path):
    with pytest.raises(BadInput, match=message):
        expected_standardisation("resnet50", save_tensors(tmp_path, config=config))


@pytest.mark.parametrize(("architecture", "form"), [("tf_mobilenetv3_large_100", "keras"), ("mobilenetv3", "timm")])
def test_the_form_of_timms_files_follows_their_architecture(architecture, form, tmp_path):
    path = save_tensors(tmp_path, "conv_stem.weight", {"architecture": architecture})
    assert expected_arguments("mobilenet_v3_large", path) == {"form": form, "stem": "imagenet"}


@pytest.mark.parametrize("suffix", [".h5", ".keras", ".weights.h5", ".H5", ".KERAS"])
def test_a_file_of_keras_applications_is_as_imagenet(suffix, tmp_path):
    path = save_names(tmp_path, suffix, "input_layer", "block1_conv1")
    assert expected_standardisation("vgg16", path) == expected_standardisation("vgg16", "imagenet")
    assert expected_standardisation("vgg16", path)[::2] == (CAFFE_MEAN, True)
    assert expected_arguments("vgg16", path) == expected_arguments("vgg16", "imagenet")


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize(("arch", "names"), [("vgg16", ["conv2d", "stage1"]), ("resnet18", ["conv2d"])])
def test_a_file_of_ours_says_nothing(suffix, arch, names, tmp_path):
    path = save_names(tmp_path, suffix, *names)
    assert expected_standardisation(arch, path) is None
    assert expected_arguments(arch, path) == {}


@pytest.mark.parametrize(("arch", "stem"), [("resnet18", "cifar"), ("resnet34", None)])
def test_a_file_in_its_run_has_the_stem_and_the_standardisation_of_the_run(arch, stem, tmp_path):
    facts = {
        "config": {"arch": "resnet18"},
        "arguments": {"stem": "cifar", "width": 0.5},
        "data": {"mean": [0.1], "std": [0.2]},
    }
    (tmp_path / "config.json").write_text(json.dumps(facts))
    path = save_names(tmp_path, ".keras", "conv2d", "stage1")
    standardisation = expected_standardisation(arch, path)
    assert expected_arguments(arch, path).get("stem") == stem
    assert (standardisation and standardisation[:3]) == (stem and ((0.1,), (0.2,), False))


def test_a_description_of_a_network_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tfcnn.weights.keras_files.LONGEST_CONFIG", 10)
    with pytest.raises(BadInput, match=r"its config\.json has more than 10 bytes"):
        expected_arguments("vgg16", save_names(tmp_path, ".keras", "block1_conv1"))


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.h5"])
@pytest.mark.parametrize("kind", ["published", "fresh", "adapted"])
def test_the_first_layers_of_keras_applications_efficientnet(kind, name, tmp_path):
    """They divide by 255, normalise, and in published networks divide again; against what these layers compute."""
    image = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    normalisation = keras.layers.Normalization()
    x = normalisation(x)
    if kind == "published":
        x = keras.layers.Rescaling([variance**-0.5 for variance in PUBLISHED_VARIANCE])(x)
        normalisation.set_weights([np.array(PHOTO_MEAN), np.array(PUBLISHED_VARIANCE), np.array(0)])
    elif kind == "adapted":
        normalisation.set_weights([np.array([0.4, 0.5, 0.6]), np.array([0.04, 0.09, 0.25]), np.array(9)])
    normalisation.finalize_state()
    model = keras.Model(image, x)
    if name == "m.h5":
        with h5py.File(tmp_path / name, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)
    else:
        (model.save if name == "m.keras" else model.save_weights)(tmp_path / name)
    mean, std = read_normalisation(str(tmp_path / name))
    np.testing.assert_allclose((PIXELS / 255 - mean) / std, model(PIXELS), rtol=1e-4, atol=1e-4)
