"""Models in Keras' files, loaded in a process that has imported nothing else, and files that are refused."""

import subprocess
import sys

import keras
import numpy as np
import pytest

import tfcnn
from tfcnn.errors import BadInput
from tfcnn.layers import MaxPoolingWithArgmax2D, MaxUnpooling2D
from tfcnn.model_files import in_float32
from tfcnn.models.classification.lenet import scaled_tanh

IMAGES = np.random.default_rng(0).normal(size=(1, 4, 4, 1)).astype("float32")


@pytest.fixture
def path(tmp_path):
    """A model with two of our layers and a function of ours, compiled."""
    image = keras.Input((4, 4, 1))
    maps = keras.layers.Conv2D(1, 3, padding="same", activation=scaled_tanh)(image)
    model = keras.Model(image, MaxUnpooling2D(2)(MaxPoolingWithArgmax2D(2)(maps)))
    model.compile("sgd", "mse")
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "outputs.npy", model(IMAGES))
    return tmp_path / "model.keras"


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "import tfcnn; tfcnn.load_model(sys.argv[1])",
        "import keras, tfcnn; keras.models.load_model(sys.argv[2])",
    ],
)
def test_a_model_with_our_layers_loads_in_another_process(code, path, tmp_path):
    image = keras.Input((4, 4, 1))
    keras.Model(image, MaxUnpooling2D(2)(MaxPoolingWithArgmax2D(2)(image))).save(tmp_path / "layers.keras")
    subprocess.run([sys.executable, "-c", f"import sys; {code}", path, tmp_path / "layers.keras"], check=True)


def test_the_loaded_model_computes_the_same_and_is_compiled(path, tmp_path):
    model = tfcnn.load_model(path)
    np.testing.assert_allclose(model(IMAGES), np.load(tmp_path / "outputs.npy"), rtol=1e-6)
    assert model.compiled
    assert not tfcnn.load_model(path, compile=False).compiled


def test_a_name_in_capitals_loads(path):
    path.rename(path.with_name("MODEL.KERAS"))
    assert tfcnn.load_model(path.with_name("MODEL.KERAS")).count_params() == 10


def test_a_layer_that_nobody_has_is_named(tmp_path):
    class Swirl(keras.layers.Layer):
        def call(self, x):
            return x

    image = keras.Input((4,))
    keras.Model(image, Swirl()(image)).save(tmp_path / "m.keras")
    with pytest.raises(BadInput, match=r"m.keras' cannot be loaded: it has the class 'Swirl', which neither Keras"):
        tfcnn.load_model(tmp_path / "m.keras")


def test_code_in_a_file_is_refused(tmp_path):
    image = keras.Input((4,))
    keras.Model(image, keras.layers.Lambda(lambda x: x)(image)).save(tmp_path / "m.keras")
    with pytest.raises(BadInput, match=r"cannot be loaded: .*[Ll]ambda"):
        tfcnn.load_model(tmp_path / "m.keras")


def test_a_run_directory_is_refused_with_what_loads_it(path):
    with pytest.raises(BadInput, match=r"is a run directory: load '.*model.keras', or all of it by tfcnn.load"):
        tfcnn.load_model(path.parent)


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.keras", "no file '.*none.keras'"), ("m.pth", "is no .keras or .h5"), ("m.keras", "cannot be loaded")],
)
def test_a_file_that_holds_no_model_is_refused(name, message, tmp_path):
    if name != "none.keras":
        (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(BadInput, match=message):
        tfcnn.load_model(tmp_path / name)


def test_the_layers_of_a_network_within_compute_in_float32_too():
    """As those of R-CNN's classifier of regions."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        image = keras.Input((4, 4, 1))
        inner = keras.Model(image, keras.layers.Conv2D(2, 3, name="maps")(image), name="inner")
        mixed = keras.Sequential([keras.Input((4, 4, 1)), inner, keras.layers.Flatten()])
    finally:
        keras.config.set_dtype_policy("float32")
    model = in_float32(mixed)
    assert model.get_layer("inner").get_layer("maps").compute_dtype == "float32"
    kernel = mixed.get_layer("inner").get_layer("maps").kernel.numpy()
    inputs = np.random.default_rng(0).normal(size=(1, 4, 4, 1)).astype("float32")
    expected = [
        [(inputs[0, y : y + 3, x : x + 3, 0] * kernel[..., 0, f]).sum() for f in (0, 1)] for y in (0, 1) for x in (0, 1)
    ]
    np.testing.assert_allclose(model(inputs)[0], np.ravel(expected), rtol=1e-5, atol=1e-6)
