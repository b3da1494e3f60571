"""What every layer of tfcnn keeps: one test for each promise, run on every row of CASES.

A row is a layer, its input and its oracle: a slow loop in NumPy, written from the definition and not from the code.
"""

import dataclasses
import functools
import inspect
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.tfcnn.layers import convolution_loops as loops
from tfcnn import layers


@dataclasses.dataclass(frozen=True)
class Case:
    """A layer, the shapes of its inputs with the batch, and its oracle.

    `loop(weights, *inputs)` takes float64 arrays (weights in the order of `layer.get_weights()`) and returns the output
    or the list of outputs. `draw(rng, shape)` makes an input; distinct values where the layer has ties.
    """

    id: str
    make: Callable[[], keras.layers.Layer]
    shapes: tuple[tuple[int, ...], ...]
    loop: Callable
    draw: Callable = lambda rng, shape: rng.normal(size=shape)
    draw_all: Callable | None = None  # makes the list of inputs where one depends on another; integers stay integers
    unknown_size: bool = True  # works where height and width are not known when the model is built
    differentiable: bool = True

    def __str__(self):
        return self.id


def subsampling(weights, x):
    """LeCun 1998, section II.B, on 2x2 windows."""
    coefficient, bias = weights
    batch, height, width, channels = x.shape
    y = np.zeros((batch, height // 2, width // 2, channels))
    for n, i, j, c in np.ndindex(y.shape):
        y[n, i, j, c] = np.tanh(coefficient[c] * x[n, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c].mean() + bias[c])
    return y


def window_cells(sizes, pool_size, strides, padding):
    """For each window its place in the output and the cells of the input in it, both in row-major order."""
    rows = []
    for size, pool, stride in zip(sizes, pool_size, strides, strict=True):
        count = -(-size // stride) if padding == "same" else (size - pool) // stride + 1
        before = max((count - 1) * stride + pool - size, 0) // 2 if padding == "same" else 0
        rows.append(
            [
                [w * stride + d - before for d in range(pool) if 0 <= w * stride + d - before < size]
                for w in range(count)
            ]
        )
    for place in np.ndindex(*map(len, rows)):
        yield place, list(itertools.product(*(row[w] for row, w in zip(rows, place, strict=True))))


def max_pooling(pool_size, strides, padding):
    def loop(weights, x):
        batch, *sizes, channels = x.shape
        cells = dict(window_cells(sizes, pool_size, strides, padding))
        values = np.zeros((batch, *(1 + max(place[i] for place in cells) for i in range(len(sizes))), channels))
        indices = np.zeros(values.shape, int)
        for (n, *place, c), window in ((p, cells[p[1:-1]]) for p in np.ndindex(values.shape)):
            first = max(window, key=lambda cell: x[(n, *cell, c)])  # `max` keeps the first of equals
            values[(n, *place, c)] = x[(n, *first, c)]
            indices[(n, *place, c)] = np.ravel_multi_index((*first, c), (*sizes, channels))
        return [values, indices]

    return loop


def max_unpooling(output_size):
    def loop(weights, values, indices):
        batch, *_, channels = values.shape
        y = np.zeros((batch, int(np.prod(output_size)) * channels))
        for place in np.ndindex(values.shape):
            y[place[0], int(indices[place])] = values[place]
        return y.reshape(batch, *output_size, channels)

    return loop


def max_unpooling_like(*arguments):
    def loop(weights, values, like):
        _, indices = max_pooling(*arguments)(weights, like)
        return max_unpooling(like.shape[1:-1])(weights, values, indices)

    return loop


def lp_pooling(pool_size, strides, padding, p):
    def loop(weights, x):
        cells = dict(window_cells(x.shape[1:-1], pool_size, strides, padding))
        rank = len(pool_size)
        y = np.zeros((x.shape[0], *(1 + max(place[i] for place in cells) for i in range(rank)), x.shape[-1]))
        for n, *place, c in np.ndindex(y.shape):
            y[(n, *place, c)] = sum(abs(x[(n, *cell, c)]) ** p for cell in cells[tuple(place)]) ** (1 / p)
        return y

    return loop


def bed_of_nails(size, position):
    def loop(weights, x):
        batch, *sizes, channels = x.shape
        y = np.zeros((batch, *(n * s for n, s in zip(sizes, size, strict=True)), channels))
        for n, *place, c in np.ndindex(x.shape):
            y[(n, *(i * s + p for i, s, p in zip(place, size, position, strict=True)), c)] = x[(n, *place, c)]
        return y

    return loop


def crop_like(offset):
    def loop(weights, x, like):
        y = np.zeros((*like.shape[:-1], x.shape[-1]))
        for n, *place, c in np.ndindex(y.shape):
            spare = [size - smaller for size, smaller in zip(x.shape[1:-1], like.shape[1:-1], strict=True)]
            first = [s // 2 for s in spare] if offset is None else [offset] * len(spare)
            y[(n, *place, c)] = x[(n, *(i + f for i, f in zip(place, first, strict=True)), c)]
        return y

    return loop


def distinct(rng, shape):
    """No ties, and none by rounding either: bfloat16 holds these integers."""
    assert np.prod(shape) <= 256
    return rng.permutation(int(np.prod(shape))).reshape(shape) - np.prod(shape) // 2


def pooled(x_shape, *arguments):
    """Values of no matter where, and the indices of a pooling of x_shape."""

    def draw_all(rng):
        _, indices = max_pooling(*arguments)([], distinct(rng, x_shape))
        return [rng.normal(size=indices.shape), indices]

    return draw_all


def pooling_cases():
    for suffix, x_shape, arguments in [
        ("1D", (2, 9, 3), ((2,), (2,), "valid")),
        ("1D same, overlapping", (2, 8, 3), ((4,), (3,), "same")),
        ("2D", (2, 6, 8, 2), ((2, 2), (2, 2), "valid")),
        ("2D odd sizes", (2, 5, 7, 3), ((2, 3), (2, 3), "valid")),
        ("2D odd sizes, same", (2, 5, 7, 3), ((2, 2), (2, 2), "same")),
        ("2D overlapping", (2, 5, 6, 3), ((3, 2), (1, 1), "valid")),
        ("2D same, overlapping", (2, 6, 7, 3), ((3, 3), (2, 2), "same")),
        ("2D same, window above stride and input", (2, 3, 2, 3), ((3, 3), (1, 2), "same")),
        ("2D gaps", (2, 7, 8, 2), ((1, 2), (3, 3), "valid")),
        ("3D", (1, 4, 5, 6, 2), ((2, 2, 2), (2, 2, 2), "valid")),
        ("3D same, overlapping", (1, 3, 4, 5, 2), ((2, 3, 3), (1, 2, 2), "same")),
    ]:
        rank = suffix[:2]
        sizes = x_shape[1:-1]
        pool, unpool, like = (
            getattr(layers, name + rank) for name in ("MaxPoolingWithArgmax", "MaxUnpooling", "MaxUnpoolingLike")
        )
        small = max_pooling(*arguments)([], np.zeros(x_shape))[0].shape
        yield Case(
            "MaxPoolingWithArgmax" + suffix,
            functools.partial(pool, *arguments),
            (x_shape,),
            max_pooling(*arguments),
            distinct,
        )
        yield Case(
            "MaxUnpooling" + suffix,
            functools.partial(unpool, *arguments, output_size=sizes),
            (small, small),
            max_unpooling(sizes),
            draw_all=pooled(x_shape, *arguments),
        )
        yield Case(
            "MaxUnpoolingLike" + suffix,
            functools.partial(like, *arguments),
            (small, x_shape),
            max_unpooling_like(*arguments),
            distinct,
        )
    for rank, x_shape, arguments in [
        ("1D", (2, 9, 3), ((3,), (2,), "valid", 3)),
        ("2D", (2, 5, 7, 3), ((2, 3), (2, 2), "same", 2)),
        ("3D", (1, 4, 5, 6, 2), ((2, 2, 2), (2, 1, 2), "same", 2.5)),
    ]:
        layer = getattr(layers, "LpPooling" + rank)
        yield Case(layer.__name__, functools.partial(layer, *arguments), (x_shape,), lp_pooling(*arguments))
    for rank, x_shape, arguments in [
        ("1D", (2, 4, 3), ((3,), (1,))),
        ("2D", (2, 3, 4, 2), ((2, 3), (1, 2))),
        ("3D", (1, 2, 3, 2, 2), ((2, 1, 3), (1, 0, 0))),
    ]:
        layer = getattr(layers, "BedOfNails" + rank)
        yield Case(layer.__name__, functools.partial(layer, *arguments), (x_shape,), bed_of_nails(*arguments))


CASES = [
    Case("Subsampling2D", lambda: layers.Subsampling2D(2, activation="tanh"), ((2, 6, 7, 3),), subsampling),
    *pooling_cases(),
    Case("CropLike", layers.CropLike, ((2, 7, 6, 3), (2, 4, 4, 2)), crop_like(None)),
    Case("CropLike offset", partial(layers.CropLike, 2), ((2, 5, 4, 6, 1), (2, 3, 1, 4, 2)), crop_like(2)),
    Case(
        "LocalResponseNormalization",
        lambda: layers.LocalResponseNormalization(5, alpha=0.3),
        ((2, 3, 4, 9),),
        partial(loops.local_response_normalization, size=5, alpha=0.3, beta=0.75, k=2.0),
    ),
    Case(
        "LocalResponseNormalization even size",
        lambda: layers.LocalResponseNormalization(4, alpha=0.3, beta=0.5, k=1.0),
        ((2, 5, 6),),
        partial(loops.local_response_normalization, size=4, alpha=0.3, beta=0.5, k=1.0),
    ),
    *(
        Case(
            f"Padding{rank}D {mode}",
            partial(getattr(layers, f"Padding{rank}D"), amounts, mode),
            ((2, *(5, 4, 3)[:rank], 2),),
            partial(loops.padding, amounts=amounts, mode=mode),
        )
        for rank, amounts in enumerate([((2, 1),), ((0, 2), (3, 1)), ((1, 2), (2, 0), (1, 1))], start=1)
        for mode in loops.PADDING
    ),
    Case(
        "PaddedConv1D",
        lambda: layers.PaddedConv1D(4, 3, dilation_rate=2, padding="full", padding_mode="circular", activation="tanh"),
        ((2, 7, 3),),
        partial(loops.convolution, dilation_rate=(2,), amounts=((4, 4),), mode="circular", activation=np.tanh),
    ),
    Case(
        "PaddedConv2D stride and dilation",  # no common part in the first axis, one in the second
        lambda: layers.PaddedConv2D(4, 3, (2, 4), "half", padding_mode="reflect", dilation_rate=(3, 2)),
        ((2, 11, 12, 2),),
        partial(loops.convolution, strides=(2, 4), dilation_rate=(3, 2), amounts=((3, 3), (2, 2)), mode="reflect"),
    ),
    Case(
        "PaddedConv2D groups",
        lambda: layers.PaddedConv2D(6, (3, 2), groups=2, padding=((1, 0), (2, 1)), padding_mode="replicate"),
        ((2, 5, 6, 4),),
        partial(loops.convolution, amounts=((1, 0), (2, 1)), mode="replicate"),
    ),
    Case(
        "PaddedConv3D",
        lambda: layers.PaddedConv3D(2, 2, strides=2, dilation_rate=2, padding=1, use_bias=False),
        ((1, 5, 4, 6, 2),),
        partial(loops.convolution, strides=(2, 2, 2), dilation_rate=(2, 2, 2), amounts=((1, 1),) * 3),
    ),
    Case(
        "LocallyConnected1D",
        lambda: layers.LocallyConnected1D(3, 3, strides=2, padding="half"),
        ((2, 8, 2),),
        partial(loops.locally_connected, kernel_size=(3,), strides=(2,), amounts=((1, 1),)),
        unknown_size=False,
    ),
    Case(
        "LocallyConnected2D",
        lambda: layers.LocallyConnected2D(3, (3, 2), strides=(1, 2), activation="tanh"),
        ((2, 6, 7, 2),),
        partial(loops.locally_connected, kernel_size=(3, 2), strides=(1, 2), activation=np.tanh),
        unknown_size=False,
    ),
    Case(
        "SpatiallySeparableConv2D",
        lambda: layers.SpatiallySeparableConv2D(
            3, (3, 2), (2, 1), "half", rank=2, padding_mode="reflect", dilation_rate=(1, 2), activation="tanh"
        ),
        ((2, 7, 6, 2),),
        partial(
            loops.separable,
            strides=(2, 1),
            dilation_rate=(1, 2),
            amounts=((1, 1), (1, 1)),
            mode="reflect",
            activation=np.tanh,
        ),
    ),
    *(
        Case(
            f"OrthogonalPlanesConv3D {merge}",
            partial(layers.OrthogonalPlanesConv3D, 2, (3, 2, 4), 2, ((1, 1), (0, 2), (0, 3)), merge=merge),
            ((2, 4, 5, 5, 2),),
            partial(loops.orthogonal_planes, strides=(2, 2, 2), amounts=((1, 1), (0, 2), (0, 3)), merge=merge),
        )
        for merge in ("sum", "concatenate")
    ),
    Case(
        "DeformableConv2D",
        lambda: layers.DeformableConv2D(
            3, (3, 2), (2, 1), ((2, 1), (0, 1)), padding_mode="replicate", dilation_rate=(1, 2), activation="tanh"
        ),
        ((2, 6, 7, 2),),
        partial(
            loops.deformable,
            strides=(2, 1),
            dilation_rate=(1, 2),
            amounts=((2, 1), (0, 1)),
            mode="replicate",
            activation=np.tanh,
        ),
    ),
    Case(
        "FFTConv2D",
        lambda: layers.FFTConv2D(3, (4, 3), (1, 2), "half", padding_mode="reflect", dilation_rate=(1, 2)),
        ((2, 11, 9, 2),),
        partial(loops.convolution, strides=(1, 2), dilation_rate=(1, 2), amounts=((1, 2), (2, 2)), mode="reflect"),
    ),
    Case(
        "FFTConv2D tiles smaller than the kernel's overlap",
        lambda: layers.FFTConv2D(2, 5, 2, tile=7, use_bias=False, activation="tanh"),
        ((1, 12, 14, 2),),
        partial(loops.convolution, strides=(2, 2), activation=np.tanh),
    ),
    Case(
        "MLPConv2D",
        lambda: layers.MLPConv2D(4, 3, (3, 2), strides=2, padding="half", activation="tanh"),
        ((2, 6, 7, 3),),
        partial(loops.mlp_convolution, strides=(2, 2), amounts=((1, 1), (1, 1)), activation=np.tanh),
    ),
]
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def inputs_of(case, dtype="float64"):
    rng = np.random.default_rng(0)
    inputs = case.draw_all(rng) if case.draw_all else [case.draw(rng, shape) for shape in case.shapes]
    assert tuple(x.shape for x in inputs) == case.shapes
    return [x.astype(dtype if case.draw_all is None or x.dtype.kind == "f" else "int32") for x in inputs]


def built(case, dtype="float32"):
    """The layer, its weights moved off their initial values, so that a weight that is not used shows."""
    layer = case.make()
    if dtype != "float32":
        layer = type(layer).from_config(layer.get_config() | {"dtype": dtype})
    arguments = [keras.ops.convert_to_tensor(x) for x in inputs_of(case, "float32")]
    layer(arguments if len(arguments) > 1 else arguments[0])
    rng = np.random.default_rng(1)
    layer.set_weights([w + 0.1 * rng.normal(size=w.shape).astype(w.dtype) for w in layer.get_weights()])
    return layer


def call(layer, inputs):
    outputs = layer(inputs if len(inputs) > 1 else inputs[0])
    return outputs if isinstance(outputs, list) else [outputs]


def arrays(tensors):
    return [keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float64")) for tensor in tensors]


def oracle(case, layer, inputs):
    outputs = case.loop([w.astype("float64") for w in layer.get_weights()], *inputs)
    return outputs if isinstance(outputs, list) else [outputs]


def model_of(case, layer, known=True):
    """A functional model around the layer; known=False leaves the batch and the spatial sizes open."""
    shapes = [shape[1:] if known else (*(None,) * (len(shape) - 2), shape[-1]) for shape in case.shapes]
    dtypes = [str(x.dtype) for x in inputs_of(case, "float32")]
    inputs = [keras.Input(shape, dtype=dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    inputs = inputs if len(inputs) > 1 else inputs[0]
    return keras.Model(inputs, layer(inputs))


def test_every_public_layer_is_in_the_table():
    public = {name for name in layers.__all__ if inspect.isclass(getattr(layers, name))}
    public = {name for name in public if issubclass(getattr(layers, name), keras.layers.Layer)}
    assert {type(case.make()).__name__ for case in CASES} == public


@every_case
def test_values_are_those_of_the_loop(case):
    layer, inputs = built(case), inputs_of(case)
    found = call(layer, inputs_of(case, "float32"))
    for result, expected in zip(arrays(found), oracle(case, layer, inputs), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", [case for case in CASES if case.differentiable], ids=str)
def test_gradients_are_those_of_the_loop(case):
    """Central differences of the loop in float64 against automatic differentiation of the layer in float64."""
    layer, inputs = built(case, "float64"), inputs_of(case)
    weights = layer.get_weights()
    rng = np.random.default_rng(2)
    tensors = [tf.Variable(x) for x in inputs]
    floating = [i for i, tensor in enumerate(tensors) if tensor.dtype.is_floating]
    with tf.GradientTape() as tape:
        outputs = [y for y in call(layer, [t.value() for t in tensors]) if y.dtype.is_floating]
        directions = [rng.normal(size=y.shape) for y in outputs]
        total = sum(tf.reduce_sum(y * d) for y, d in zip(outputs, directions, strict=True))
    values = [w.value for w in layer.trainable_weights]
    found = tape.gradient(total, [tensors[i] for i in floating] + values)

    def slow(inputs, weights):
        results = case.loop(weights, *inputs)
        results = results if isinstance(results, list) else [results]
        floating = [y for y in results if np.issubdtype(np.asarray(y).dtype, np.floating)]
        return sum(float((y * d).sum()) for y, d in zip(floating, directions, strict=True))

    trainable = [i for i, w in enumerate(layer.weights) if any(w is t for t in layer.trainable_weights)]
    places = [(inputs, i) for i in floating] + [(weights, i) for i in trainable]
    for gradient, (group, i) in zip(found, places, strict=True):
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


@every_case
def test_save_and_load(case, tmp_path):
    model, inputs = model_of(case, built(case)), inputs_of(case, "float32")
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(arrays(call(model, inputs)), arrays(call(again, inputs)), strict=True):
        np.testing.assert_array_equal(a, b)


@every_case
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(case, policy):
    layer, exact, inputs = built(case, policy), built(case), inputs_of(case, "float32")
    exact.set_weights(layer.get_weights())
    reference = arrays(call(exact, inputs))
    outputs = call(layer, inputs)
    if layer.dtype_policy.compute_dtype != "float32":  # a layer may insist on float32 by its own dtype argument
        assert all(y.dtype == policy.removeprefix("mixed_") for y in outputs if y.dtype.is_floating)
    assert all(w.dtype == "float32" for w in layer.weights)
    for result, expected in zip(arrays(outputs), reference, strict=True):
        np.testing.assert_allclose(result, expected, rtol=0.05, atol=0.05 * np.abs(expected).max())


@every_case
def test_compiles_under_xla(case):
    layer, inputs = built(case), [tf.constant(x) for x in inputs_of(case, "float32")]

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
    layer = built(case)
    open_model, model = model_of(case, layer, known=False), model_of(case, layer)
    inputs = inputs_of(case, "float32")
    for a, b in zip(arrays(call(open_model, inputs)), arrays(call(model, inputs)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    for symbolic, real in zip(tf.nest.flatten(model.output), call(model, inputs), strict=True):
        assert symbolic.shape[1:] == tuple(real.shape[1:])


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
@every_case
def test_exports_to_litert_with_builtin_operators(case, tmp_path):
    model, inputs = model_of(case, built(case)), inputs_of(case, "float32")
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


def test_jax_gives_the_same_values(tmp_path):
    """This file's values again, in one process on the JAX backend, each case compiled as one."""
    code = f"""
import runpy, sys
import jax, numpy as np
names = runpy.run_path({str(Path(__file__))!r})
for case in names["CASES"]:
    layer, inputs = names["built"](case), names["inputs_of"](case)
    forward = jax.jit(lambda inputs: names["call"](layer, inputs))
    found = names["arrays"](forward(names["inputs_of"](case, "float32")))
    for result, expected in zip(found, names["oracle"](case, layer, inputs), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5, err_msg=case.id)
    print(case.id)
"""
    quick = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    root = str(Path(__file__).resolve().parents[3])
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": root, "XLA_FLAGS": quick}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == [case.id for case in CASES]
