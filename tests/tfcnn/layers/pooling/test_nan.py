"""NaN and infinities in a pooling window: one rule, PyTorch's, in every form that the layers choose."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.tfcnn.layers.pooling_loops import max_pooling, max_unpooling
from tfcnn import layers

FORMS = {
    "eager": lambda f, training: lambda x: f(x, training),
    "graph": lambda f, training: tf.function(lambda x: f(x, training), autograph=False),
    "XLA": lambda f, training: tf.function(lambda x: f(x, training), autograph=False, jit_compile=True),
}
every_form = pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
WINDOWS = {  # size of the map, pool size, strides, padding
    "side by side": ((4, 6), (2, 2), (2, 2), "valid"),
    "side by side, same": ((5, 5), (2, 2), (2, 2), "same"),
    "overlapping": ((5, 6), (3, 2), (1, 1), "valid"),
    "overlapping, same": ((5, 6), (3, 3), (2, 2), "same"),
}


def images(sizes, share, seed=0):
    """Maps (2, *sizes, 2) of ties and infinities, with NaN in a share of the cells."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-np.inf, -1.0, 0.0, 1.0, np.inf], (2, *sizes, 2)).astype("float32")
    x[rng.random(x.shape) < share] = np.nan
    return x


def pool_and_unpool(x, training, sizes, *arguments):
    values, indices = layers.MaxPoolingWithArgmax2D(*arguments)(x, training=training)
    by_index = layers.MaxUnpooling2D(*arguments, output_size=sizes)([values, indices], training=training)
    return values, indices, by_index, layers.MaxUnpoolingLike2D(*arguments)([values, x], training=training)


@every_form
@pytest.mark.parametrize("form", ["eager", *(pytest.param(form, marks=pytest.mark.slow) for form in ("graph", "XLA"))])
@pytest.mark.parametrize("windows", WINDOWS)
def test_values_places_and_unpooling_are_those_of_the_loop(windows, form, training):
    sizes, *arguments = WINDOWS[windows]
    run = FORMS[form](lambda x, training: pool_and_unpool(x, training, sizes, *arguments), training)
    for share in (0.1, 0.5, 1.0):
        x = images(sizes, share)
        values, indices = max_pooling(*arguments)([], x)
        placed = max_unpooling(sizes)([], values, indices)
        for result, expected in zip(run(tf.constant(x)), (values, indices, placed, placed), strict=True):
            np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("window", "index"), [([np.nan, 9, 1, 2], 0), ([1, np.nan, 9, 2], 1), ([1, 2, 9, np.nan], 3), ([np.nan] * 4, 3)]
)
def test_a_window_with_nan_gives_nan_and_its_place(window, index):
    values, indices = layers.MaxPoolingWithArgmax2D()(np.array(window, "float32").reshape(1, 2, 2, 1))
    assert np.isnan(values).all()
    assert indices.numpy().item() == index


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_in_every_precision(dtype):
    x = tf.cast(images((4, 6), 0.3), dtype)
    values, _ = layers.MaxPoolingWithArgmax2D(dtype=dtype)(x)
    expected, _ = max_pooling((2, 2), (2, 2), "valid")([], x.numpy().astype("float64"))
    np.testing.assert_array_equal(values.numpy().astype("float64"), expected)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_lp_pooling_of_nan_is_nan(p):
    """A norm of zero would hide it."""
    x = np.array([[np.nan, 1], [2, 3]], "float32").reshape(1, 2, 2, 1)
    assert np.isnan(layers.LpPooling2D(p=p)(x)).all()


@pytest.mark.slow
def test_jax_gives_the_same():
    code = """
import jax
import numpy as np
from tests.tfcnn.layers.pooling_loops import max_pooling, max_unpooling
from tfcnn import layers

x = np.random.default_rng(0).choice([-np.inf, -1, 0, 1, np.nan], (2, 5, 6, 2)).astype("float32")
for arguments in (((2, 2), (2, 2), "same"), ((3, 3), (2, 2), "same"), ((3, 2), (1, 1), "valid")):
    pool = jax.jit(lambda x: layers.MaxPoolingWithArgmax2D(*arguments)(x))
    like = jax.jit(lambda values, x: layers.MaxUnpoolingLike2D(*arguments)([values, x]))
    expected, places = max_pooling(*arguments)([], x)
    values, indices = pool(x)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(indices, places)
    np.testing.assert_array_equal(like(values, x), max_unpooling((5, 6))([], expected, places))
"""
    root = str(Path(__file__).parents[4])
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": root}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_litert_gives_the_same(tmp_path):
    image = keras.Input((4, 6, 2))
    model = keras.Model(image, layers.MaxPoolingWithArgmax2D()(image))
    model.export(tmp_path / "model.tflite", format="litert", verbose=False)
    interpreter = tf.lite.Interpreter(model_path=str(tmp_path / "model.tflite"))
    interpreter.allocate_tensors()
    x = images((4, 6), 0.3)[:1]
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    outputs = {out["dtype"]: interpreter.get_tensor(out["index"]) for out in interpreter.get_output_details()}
    values, indices = max_pooling((2, 2), (2, 2), "valid")([], x)
    np.testing.assert_array_equal(outputs[np.float32], values)
    np.testing.assert_array_equal(outputs[np.int32], indices)
