"""Raw images to what loaded weights take; the oracle is keras.applications' preprocess_input."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfcnn
from tfcnn.errors import BadInput

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
APPLICATIONS = {
    "vgg16": keras.applications.vgg16,
    "resnet50": keras.applications.resnet50,
    "densenet121": keras.applications.densenet,
    "mobilenet": keras.applications.mobilenet,
    "inception_v3": keras.applications.inception_v3,
}


@pytest.mark.parametrize("arch", APPLICATIONS)
def test_as_keras_applications_has_it(arch):
    expected = APPLICATIONS[arch].preprocess_input(IMAGES.astype("float32"))
    np.testing.assert_allclose(tfcnn.weights.preprocessing(arch)(IMAGES), expected, atol=1e-4)


def test_of_an_encoder_and_of_a_backbone():
    expected = tfcnn.weights.preprocessing("squeezenet1_1")
    assert expected.bgr
    assert tfcnn.weights.preprocessing("unet", encoder="squeezenet1_1") == expected
    assert tfcnn.weights.preprocessing("rcnn", backbone="squeezenet1_1") == expected


def test_within_tf_data():
    preprocess = tfcnn.weights.preprocessing("resnet50")
    images = next(iter(tf.data.Dataset.from_tensor_slices(IMAGES).map(preprocess).batch(2)))
    assert images.dtype == tf.float32
    np.testing.assert_allclose(images, preprocess(IMAGES), atol=1e-4)


def test_within_a_saved_model(tmp_path):
    preprocess = tfcnn.weights.preprocessing("vgg16")
    inputs = keras.Input((4, 5, 3), dtype="uint8")
    keras.Model(inputs, preprocess(inputs)).save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(model(IMAGES), preprocess(IMAGES), atol=1e-4)


def test_grey_images_have_the_mean_of_the_three():
    preprocess = tfcnn.weights.preprocessing("densenet121")
    expected = (IMAGES[..., :1] / 255 - np.mean(preprocess.mean)) / np.mean(preprocess.std)
    np.testing.assert_allclose(preprocess(IMAGES[..., :1]), expected, rtol=1e-5, atol=1e-5)


def save_run(folder, value_range):
    """What a run of LeNet-5 has beside its weights."""
    tfcnn.build("lenet5", width=0.5).save(folder / "model.keras")
    data = {"mean": [0.5], "std": [0.25], "value_range": value_range}
    facts = {"config": {"arch": "lenet5"}, "arguments": {}, "data": data}
    (folder / "config.json").write_text(json.dumps(facts))
    return str(folder / "model.keras")


def test_of_a_run(tmp_path):
    preprocess = tfcnn.weights.preprocessing("lenet5", save_run(tmp_path, [0, 255]))
    np.testing.assert_allclose(preprocess(np.array([[[0.0], [255.0]]])), [[[-2.0], [2.0]]])


def test_a_run_on_other_values_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"a run on values -1 \.\.\. 1: take tfcnn\.load"):
        tfcnn.weights.preprocessing("lenet5", save_run(tmp_path, [-1, 1]))


def test_a_file_outside_a_run_is_refused(tmp_path):
    path = save_run(tmp_path, [0, 255])
    (tmp_path / "config.json").unlink()
    with pytest.raises(BadInput, match="does not say what images it is for"):
        tfcnn.weights.preprocessing("lenet5", path)
