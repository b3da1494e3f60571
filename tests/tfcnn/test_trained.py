import json

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

import pipelines
import tfcnn
from pipelines import BadData
from tfcnn import trained
from tfcnn.errors import BadInput
from tfcnn.model_files import in_float32

FACTS = {
    "task": "reconstruction",
    "image_shape": (8, 8, 1),
    "value_range": (0, 255),
    "fit": "crop",
    "mean": [0.5],
    "std": [0.25],
    "class_names": [],
}


def identity(shape=(8, 8, 1)):
    image = keras.Input(shape)
    return keras.Model(image, keras.layers.Activation("linear")(image))


def trained_on(low, high, **facts):
    """A network that returns its input, trained on values low ... high."""
    return trained.Trained(identity(), FACTS | {"value_range": (low, high)} | facts)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0, 65535), (-32768, 32768), (3, 11)])
def test_the_training_arrays_are_standardised_by_their_range(low, high):
    shares = np.random.default_rng(0).random((4, 8, 8, 1))
    inputs = trained_on(low, high).preprocess((shares * (high - low) + low).astype(np.float32))
    np.testing.assert_allclose(inputs, (shares - 0.5) / 0.25, atol=1e-4)
    assert inputs.dtype == np.float32


@pytest.mark.parametrize(("low", "high"), [(0, 255), (0, 1), (-1, 1), (0, 4095), (-32768, 32768)])
def test_a_file_is_mapped_to_a_range_that_names_its_white(low, high, tmp_path):
    grey = (np.arange(64).reshape(8, 8, 1) * 4).astype(np.uint8)
    keras.utils.save_img(tmp_path / "a.png", grey, scale=False)
    (values,) = trained_on(low, high).predict([tmp_path / "a.png"])
    np.testing.assert_allclose((values - low) / (high - low), grey / 255, atol=1e-5)


def test_a_file_is_refused_where_no_value_is_known_as_white(tmp_path):
    keras.utils.save_img(tmp_path / "a.png", np.zeros((8, 8, 1)), scale=False)
    with pytest.raises(BadData, match=r"values from 0 to 255, but this run was trained on arrays from -3\.5 to 9:"):
        trained_on(-3.5, 9).predict([tmp_path / "a.png"])


@pytest.mark.parametrize(
    ("trained_range", "values"),
    [((0, 1), [0, 255]), ((-1, 1), [0, 255]), ((0, 255), [0.0, 0.7]), ((0, 65535), [-1.0, 0.9]), ((0, 255), [0, 4000])],
)
def test_values_of_another_range_are_refused_with_both(trained_range, values):
    low, high = trained_range
    images = np.resize(np.array(values, np.float32), (2, 8, 8, 1))
    line = f"values from {values[0]:g} to {values[1]:g}, but this run was trained on {low:g} to {high:g}"
    with pytest.raises(BadData, match=line):
        trained_on(low, high).preprocess(images)


def test_arrays_of_any_size_and_one_channel_without_its_axis():
    run = trained_on(0, 255)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8), np.uint8)
    np.testing.assert_array_equal(run.preprocess(images), run.preprocess(images[..., None]))
    sizes = [np.full((5, 9, 1), 51, np.uint8), np.full((40, 20, 1), 102, np.uint8)]
    np.testing.assert_allclose(
        run.preprocess(sizes).mean((1, 2, 3)), [(0.2 - 0.5) / 0.25, (0.4 - 0.5) / 0.25], atol=1e-5
    )


@pytest.mark.parametrize("shape", [(8, 8), (2, 8, 8, 3), (8, 8, 1), (0,)])
def test_another_shape_is_refused(shape):
    with pytest.raises(BadData, match=r"this run takes \(batch, height, width, 1\)"):
        trained_on(0, 255).preprocess(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("arch", ["mobilenet", "resnet20", "unet"])
@pytest.mark.slow
def test_the_network_computes_in_float32_whatever_the_training_did(arch, tmp_path):
    arguments = {"width": 0.25} if arch != "unet" else {"width": 0.1}
    keras.utils.set_random_seed(0)
    exact = tfcnn.build(arch, (32, 32, 1), 5, **arguments)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = tfcnn.build(arch, (32, 32, 1), 5, **arguments)
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(exact.get_weights())
    model = in_float32(mixed)
    inputs = np.random.default_rng(0).normal(size=(2, 32, 32, 1)).astype("float32")
    expected = exact.predict_on_batch(inputs)
    largest = np.abs(expected).max()
    assert np.abs(model.predict_on_batch(inputs) - expected).max() < 1e-5 * largest
    assert np.abs(mixed.predict_on_batch(inputs) - expected).max() > 1e-4 * largest


@pytest.mark.slow
def test_a_run_gives_what_its_evaluation_saw(finished_run):
    run = tfcnn.load(finished_run.path)
    data = pipelines.load("digits")
    raw = np.round(load_digits().images * (255 / 16)).astype(np.uint8)
    inputs = np.concatenate([images for images, _ in data.evaluation("test").as_numpy_iterator()])
    prepared = run.preprocess(raw)
    assert all(np.abs(prepared - image).max((1, 2, 3)).min() < 1e-4 for image in inputs[:50])
    probabilities = run.predict(raw)
    assert probabilities.shape == (1797, 10)
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-5)
    assert np.mean(probabilities.argmax(-1) == load_digits().target) > 0.9
    assert run.class_names == tuple("0123456789")


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(BadInput, match="is not a run directory"):
        tfcnn.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"data": FACTS}))
    with pytest.raises(BadInput, match="is not finished"):
        tfcnn.load(tmp_path)
