"""Photographs that come with packages, named by networks with real weights: by the run and by its SavedModel."""

import shutil
from pathlib import Path

import matplotlib
import pytest
import skimage
import sklearn.datasets

import tfcnn
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.evaluate import evaluate
from tfcnn.imagenet import class_names
from tfcnn.predict import predict
from tfcnn.pretrained import write_run
from tfcnn.weights.packages import PACKAGES

SKIMAGE = Path(skimage.__file__).parent / "data"
PHOTOGRAPHS = {
    SKIMAGE / "chelsea.png": {"Egyptian cat"},
    SKIMAGE / "coffee.png": {"espresso"},
    Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg": {"bow tie", "military uniform"},
    Path(sklearn.datasets.__file__).parent / "images/china.jpg": {"stupa", "palace", "monastery"},
}


@pytest.fixture(scope="module", params=PACKAGES)
def run(request, tmp_path_factory):
    return write_run(Config(arch=request.param, out=str(tmp_path_factory.mktemp("pretrained") / "run")))


@pytest.mark.slow
def test_predict_names_what_is_in_the_photographs(run):
    for classes, expected in zip(predict(run, list(PHOTOGRAPHS)), PHOTOGRAPHS.values(), strict=True):
        assert classes[0][0] in expected


@pytest.mark.slow
def test_the_savedmodel_names_what_is_in_the_photographs(run):
    saved_model = run.load_saved_model()  # its functions die with it
    names = saved_model.serve_files([path.read_bytes() for path in PHOTOGRAPHS])["class_name"].numpy()
    for name, expected in zip(names, PHOTOGRAPHS.values(), strict=True):
        assert name.decode() in expected


@pytest.mark.slow
def test_the_run_is_measured_on_a_folder_of_some_classes(run, tmp_path):
    for path, names in list(PHOTOGRAPHS.items())[:2]:
        for split in ("train", "validation", "test"):
            folder = tmp_path / split / min(names)
            folder.mkdir(parents=True)
            shutil.copy(path, folder)
    assert evaluate(run, dataset=str(tmp_path))["accuracy"] == 1.0


def test_there_are_a_thousand_different_names():
    assert len(set(class_names())) == len(class_names()) == 1000


@pytest.mark.torch
def test_the_names_are_those_of_torchvision():
    from benchmarks.parity import import_torch

    import_torch()
    from torchvision.models import SqueezeNet1_1_Weights

    assert class_names() == SqueezeNet1_1_Weights.DEFAULT.meta["categories"]


def test_a_network_without_classes_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"unet is for segmentation: ImageNet has classes \(--arch\)"):
        write_run(Config(arch="unet", out=str(tmp_path / "run")))


def test_weights_of_other_classes_are_refused_and_nothing_is_written(tmp_path):
    tfcnn.build("squeezenet1_1", (64, 64, 3), 5).save_weights(tmp_path / "five.weights.h5")
    config = Config(arch="squeezenet1_1", weights=str(tmp_path / "five.weights.h5"), out=str(tmp_path / "run"))
    with pytest.raises(BadInput, match="does not say what images it is for: give --mean and --std"):
        write_run(config)
    config = Config(**config.to_dict() | {"mean": "0.5", "std": "0.5"})
    with pytest.raises(BadInput, match="has no head for ImageNet's 1,000 classes"):
        write_run(config)
    assert not Path(config.out).exists()


def test_a_run_directory_that_exists_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="exists already"):
        write_run(Config(arch="squeezenet1_1", out=str(tmp_path)))
