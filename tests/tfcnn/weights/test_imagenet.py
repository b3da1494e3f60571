"""--weights imagenet: what Keras downloads, or one line that says why not."""

import urllib.error

import keras
import numpy as np
import pytest

import tfcnn
from tfcnn.errors import BadInput


@pytest.mark.slow
def test_imagenet_is_what_keras_downloads(tmp_path, monkeypatch):
    reference = keras.applications.MobileNet((224, 224, 3), alpha=0.25, weights=None)
    path = str(tmp_path / "imagenet.weights.h5")
    reference.save_weights(path)
    requests = []
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *args, **more: requests.append(args) or path)
    model = tfcnn.build("mobilenet", (64, 64, 3), 1000, width=0.25, weights="imagenet")
    assert "mobilenet_2_5_224" in requests[0][0]
    same = tfcnn.build("mobilenet", (64, 64, 3), 1000, width=0.25, form="keras", stem="imagenet", weights=path)
    for a, b in zip(model.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_imagenet_without_a_connection(monkeypatch):
    def fail(*args, **more):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", fail)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: "/nonexistent-or-empty")
    with pytest.raises(BadInput, match=r"imagenet weights of mobilenet cannot be had: .*no route"):
        tfcnn.build("mobilenet", (64, 64, 3), 10, weights="imagenet")


def test_imagenet_of_a_network_that_keras_applications_lacks():
    with pytest.raises(BadInput, match=r"applications has no resnet18, only vgg16, vgg19"):
        tfcnn.build("resnet18", (64, 64, 3), 10, weights="imagenet")


@pytest.mark.slow
def test_imagenet_of_another_form():
    with pytest.raises(BadInput, match="ResNet50 is resnet50 with form=keras, not torchvision"):
        tfcnn.build("resnet50", (64, 64, 3), 10, weights="imagenet", form="torchvision")
