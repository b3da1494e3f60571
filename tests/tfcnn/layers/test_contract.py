"""What every layer of tfcnn keeps: one test for each promise, run on every row of `layer_cases`.

A row is a layer, its input and its oracle: a slow loop in NumPy, written from the definition and not from the code.
"""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.tfcnn.layers import layer_cases
from tests.tfcnn.layers.layer_cases import (
    CASES,
    COMPILED,
    arrays,
    build_layer,
    call,
    every_case,
    every_compiled_case,
    inputs_of,
    model_of,
    oracle,
)
from tfcnn import layers


def test_every_public_layer_is_in_the_table():
    public = {name for name in layers.__all__ if inspect.isclass(getattr(layers, name))}
    public = {name for name in public if issubclass(getattr(layers, name), keras.layers.Layer)}
    assert {type(case.make()).__name__ for case in CASES} == public


@every_case
def test_values_are_those_of_the_loop(case):
    layer = build_layer(case)
    inputs = inputs_of(case)
    outputs = call(layer, inputs_of(case, "float32"))
    for result, expected in zip(arrays(outputs), oracle(case, layer, inputs), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case.differentiable], ids=str)
def test_gradients_are_those_of_the_loop(case):
    """Central differences of the loop in float64 against automatic differentiation of the layer in float64."""
    layer = build_layer(case, "float64")
    inputs = inputs_of(case)
    weights = layer.get_weights()
    rng = np.random.default_rng(2)
    tensors = [tf.Variable(x) for x in inputs]
    floating = [i for i, tensor in enumerate(tensors) if tensor.dtype.is_floating]
    with tf.GradientTape() as tape:
        outputs = [y for y in call(layer, [t.value() for t in tensors]) if y.dtype.is_floating]
        directions = [rng.normal(size=y.shape) for y in outputs]
        total = sum(tf.reduce_sum(y * d) for y, d in zip(outputs, directions, strict=True))
    values = [w.value for w in layer.trainable_weights]
    gradients = tape.gradient(total, [tensors[i] for i in floating] + values)

    def slow(inputs, weights):
        results = case.loop(weights, *inputs)
        results = results if isinstance(results, list) else [results]
        floating = [y for y in results if np.issubdtype(np.asarray(y).dtype, np.floating)]
        return sum(float((y * d).sum()) for y, d in zip(floating, directions, strict=True))

    trainable = [i for i, w in enumerate(layer.weights) if any(w is t for t in layer.trainable_weights)]
    places = [(inputs, i) for i in floating] + [(weights, i) for i in trainable]
    for gradient, (group, i) in zip(gradients, places, strict=True):
        array = group[i] = group[i].astype("float64")
        gradient = np.zeros_like(array) if gradient is None else gradient.numpy()
        for index in rng.permutation(array.size)[:12]:
            place = np.unravel_index(index, array.shape)
            before = array[place]
            array[place] = before + 1e-6
            above = slow(inputs, weights)
            array[place] = before - 1e-6
            below = slow(inputs, weights)
            array[place] = before
            assert gradient[place] == pytest.approx((above - below) / 2e-6, rel=1e-5, abs=1e-6)


@every_case
def test_config_round_trip(case):
    layer = case.make()
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    for name, parameter in inspect.signature(type(layer).__init__).parameters.items():
        if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            assert name in config, f"get_config leaves out {name}"
            assert hasattr(layer, name), f"{name} is no attribute"
    assert keras.saving.get_registered_name(type(layer)) == f"tfcnn>{type(layer).__name__}"


def numpy_integers(value):
    """`value` with every integer as NumPy's, in tuples too; the dictionaries of other objects stay."""
    if isinstance(value, tuple):
        return tuple(map(numpy_integers, value))
    return np.int64(value) if isinstance(value, int) and not isinstance(value, bool) else value


@every_case
def test_takes_numpy_integers_and_keeps_them_as_pythons(case):
    layer = case.make()
    config = layer.get_config()
    of_numpy = type(layer).from_config({name: numpy_integers(value) for name, value in config.items()})
    as_json = json.dumps(of_numpy.get_config())  # which refuses NumPy's integers
    assert as_json == json.dumps(config)
    assert type(layer).from_config(json.loads(as_json)).get_config() == config


@every_case
def test_true_is_no_integer(case):
    layer = case.make()
    config = layer.get_config()
    for name, value in config.items():
        entries = value if isinstance(value, tuple) else (value,)
        if any(isinstance(entry, int) and not isinstance(entry, bool) for entry in entries):
            with pytest.raises(ValueError, match=name):
                type(layer)(**config | {name: True})


@every_case
def test_save_and_load(case, tmp_path):
    model = model_of(case, build_layer(case))
    inputs = inputs_of(case, "float32")
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(arrays(call(model, inputs)), arrays(call(again, inputs)), strict=True):
        np.testing.assert_array_equal(a, b)


@every_case
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(case, policy):
    layer = build_layer(case, policy)
    exact = build_layer(case)
    inputs = inputs_of(case, "float32")
    exact.set_weights(layer.get_weights())
    reference = arrays(call(exact, inputs))
    outputs = call(layer, inputs)
    if layer.dtype_policy.compute_dtype != "float32":  # a layer may insist on float32 by its own dtype argument
        assert all(y.dtype == policy.removeprefix("mixed_") for y in outputs if y.dtype.is_floating)
    assert all(w.dtype == "float32" for w in layer.weights)
    for result, expected in zip(arrays(outputs), reference, strict=True):
        np.testing.assert_allclose(result, expected, rtol=0.05, atol=0.05 * np.abs(expected).max())


@pytest.mark.slow
@every_compiled_case
def test_compiles_under_xla(case):
    layer = build_layer(case)
    inputs = [tf.constant(x) for x in inputs_of(case, "float32")]

    def step(*tensors):
        floating = [t for t in tensors if t.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(floating)
            outputs = call(layer, list(tensors))
            loss = sum(tf.reduce_sum(y * y) for y in outputs if y.dtype.is_floating)
        return outputs, tape.gradient(loss, floating, unconnected_gradients="zero")

    for a, b in zip(
        tf.nest.flatten(tf.function(step, jit_compile=True)(*inputs)), tf.nest.flatten(step(*inputs)), strict=True
    ):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", [case for case in CASES if case.unknown_size], ids=str)
def test_unknown_batch_and_sizes(case):
    layer = build_layer(case)
    open_model = model_of(case, layer, fixed_size=False)
    model = model_of(case, layer)
    inputs = inputs_of(case, "float32")
    for a, b in zip(arrays(call(open_model, inputs)), arrays(call(model, inputs)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    for symbolic, real in zip(tf.nest.flatten(model.output), call(model, inputs), strict=True):
        assert symbolic.shape[1:] == tuple(real.shape[1:])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
@every_compiled_case
def test_exports_to_litert_with_builtin_operators(case, tmp_path):
    model = model_of(case, build_layer(case))
    inputs = inputs_of(case, "float32")
    path = tmp_path / "model.tflite"
    model.export(path, format="litert", verbose=False)
    assert b"Flex" not in path.read_bytes(), "needs TensorFlow operators"
    interpreter = tf.lite.Interpreter(str(path))
    details = sorted(interpreter.get_input_details(), key=lambda detail: (len(detail["name"]), detail["name"]))  # 9, 10
    for detail, x in zip(details, inputs, strict=True):
        interpreter.resize_tensor_input(detail["index"], x.shape)
    interpreter.allocate_tensors()
    for detail, x in zip(details, inputs, strict=True):
        interpreter.set_tensor(detail["index"], x)
    interpreter.invoke()
    results = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
    for expected in arrays(call(model, inputs)):  # LiteRT does not keep the order of outputs
        assert any(r.shape == expected.shape and np.allclose(r, expected, rtol=1e-3, atol=1e-4) for r in results)


@pytest.mark.slow
def test_jax_gives_the_same_values():
    """The values of the rows again, in one process on the JAX backend, each row compiled as one."""
    code = f"""
import runpy, sys
import jax, numpy as np
names = runpy.run_path({layer_cases.__file__!r})
for case in names["COMPILED"]:
    layer = names["build_layer"](case)
    inputs = names["inputs_of"](case)
    forward = jax.jit(lambda inputs: names["call"](layer, inputs))
    outputs = names["arrays"](forward(names["inputs_of"](case, "float32")))
    for result, expected in zip(outputs, names["oracle"](case, layer, inputs), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5, err_msg=case.id)
    print(case.id)
"""
    quick = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    root = str(Path(__file__).resolve().parents[3])
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": root, "XLA_FLAGS": quick}
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert process.returncode == 0, process.stderr
    assert process.stdout.split("\n")[:-1] == [case.id for case in COMPILED]
