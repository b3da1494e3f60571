"""One row for each layer and each of its ways: how to make it, its inputs and its oracle.

`tests/tfcnn/layers/test_contract.py` holds every row to every promise.
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import keras
import numpy as np
import pytest

from tests.tfcnn.layers import convolution_loops as loops
from tests.tfcnn.layers import pooling_loops as pooling
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


def distinct(rng, shape):
    """No ties, and none by rounding either: bfloat16 holds these integers."""
    assert np.prod(shape) <= 256
    return rng.permutation(int(np.prod(shape))).reshape(shape) - np.prod(shape) // 2


def pooled_inputs(x_shape, *arguments):
    """Values of no matter where, and the indices of a pooling of x_shape."""

    def draw_all(rng):
        _, indices = pooling.max_pooling(*arguments)([], distinct(rng, x_shape))
        return [rng.normal(size=indices.shape), indices]

    return draw_all


def maps_and_regions(maps_shape, regions, stride):
    """Maps of distinct values, and regions of which some reach beyond the border, one is empty, one padding."""

    def draw_all(rng):
        limits = np.multiply(maps_shape[1:3], stride)[::-1]
        corners = rng.uniform(-0.2, 1.2, (maps_shape[0], regions, 2, 2)) * limits
        drawn = np.concatenate([corners.min(axis=2), corners.max(axis=2)], axis=2)
        drawn[0, 0] = -1
        drawn[-1, 1, 2] = drawn[-1, 1, 0] - 1
        drawn[-1, 2] = [0, 0, *limits]
        return [distinct(rng, maps_shape), drawn]

    return draw_all


def roi_cases():
    for suffix, maps_shape, arguments in [
        ("", (2, 7, 6, 2), ((3, 2), (4, 8))),
        (" more bins than cells", (2, 4, 5, 3), ((7, 7), (16, 16))),
        (" bins of many cells", (1, 11, 13, 1), ((2, 1), (8, 4))),
    ]:
        yield Case(
            "RoIPooling2D" + suffix,
            partial(layers.RoIPooling2D, *arguments),
            (maps_shape, (maps_shape[0], 5, 4)),
            pooling.roi_pooling(*arguments),
            draw_all=maps_and_regions(maps_shape, 5, arguments[1]),
        )


def images_and_regions(shape, count):
    """Regions with whole-numbered corners, which may lie outside the image; the last is padding."""

    def draw_all(rng):
        corners = rng.integers(-2, 5, (shape[0], count, 2))
        regions = np.concatenate([corners, corners + rng.integers(1, 5, corners.shape)], axis=2)
        regions[:, -1] = -1
        return [rng.normal(size=shape), regions]

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
        small = pooling.max_pooling(*arguments)([], np.zeros(x_shape))[0].shape
        yield Case(
            "MaxPoolingWithArgmax" + suffix,
            partial(pool, *arguments),
            (x_shape,),
            pooling.max_pooling(*arguments),
            distinct,
        )
        yield Case(
            "MaxUnpooling" + suffix,
            partial(unpool, *arguments, output_size=sizes),
            (small, small),
            pooling.max_unpooling(sizes),
            draw_all=pooled_inputs(x_shape, *arguments),
        )
        yield Case(
            "MaxUnpoolingLike" + suffix,
            partial(like, *arguments),
            (small, x_shape),
            pooling.max_unpooling_like(*arguments),
            distinct,
        )
    for rank, x_shape, arguments in [
        ("1D", (2, 9, 3), ((3,), (2,), "valid", 3)),
        ("2D", (2, 5, 7, 3), ((2, 3), (2, 2), "same", 2)),
        ("3D", (1, 4, 5, 6, 2), ((2, 2, 2), (2, 1, 2), "same", 2.5)),
    ]:
        layer = getattr(layers, "LpPooling" + rank)
        yield Case(layer.__name__, partial(layer, *arguments), (x_shape,), pooling.lp_pooling(*arguments))
    for rank, x_shape, arguments in [
        ("1D", (2, 4, 3), ((3,), (1,))),
        ("2D", (2, 3, 4, 2), ((2, 3), (1, 2))),
        ("3D", (1, 2, 3, 2, 2), ((2, 1, 3), (1, 0, 0))),
    ]:
        layer = getattr(layers, "BedOfNails" + rank)
        yield Case(layer.__name__, partial(layer, *arguments), (x_shape,), pooling.bed_of_nails(*arguments))


CASES = [
    Case("Subsampling2D", lambda: layers.Subsampling2D(2, activation="tanh"), ((2, 6, 7, 3),), pooling.subsampling),
    *pooling_cases(),
    Case("BlurPooling2D", layers.BlurPooling2D, ((2, 6, 7, 3),), pooling.blur_pooling([0.25, 0.5, 0.25], 2)),
    Case(
        "BlurPooling2D wide",
        lambda: layers.BlurPooling2D(5, 3),
        ((1, 8, 4, 2),),
        pooling.blur_pooling([1 / 16, 1 / 4, 3 / 8, 1 / 4, 1 / 16], 3),
    ),
    *roi_cases(),
    *(
        Case(
            f"WarpRegions2D context {context}",
            partial(layers.WarpRegions2D, (5, 4), context),
            ((2, 7, 6, 2), (2, 4, 4)),
            pooling.warp_regions((5, 4), context),
            draw_all=images_and_regions((2, 7, 6, 2), 4),
        )
        for context in (0, 1.5)
    ),
    Case("SplitBatch", layers.SplitBatch, ((6, 5, 2), (2, 3, 4)), pooling.split_batch),
    Case("CropLike", layers.CropLike, ((2, 7, 6, 3), (2, 4, 4, 2)), pooling.crop_like(None)),
    Case("CropLike offset", partial(layers.CropLike, 2), ((2, 5, 4, 6, 1), (2, 3, 1, 4, 2)), pooling.crop_like(2)),
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
    Case("MinPlusConv2D", lambda: layers.MinPlusConv2D(3, (3, 2)), ((2, 4, 5, 2),), loops.min_plus),
    Case(
        "MLPConv2D",
        lambda: layers.MLPConv2D(4, 3, (3, 2), strides=2, padding="half", activation="tanh"),
        ((2, 6, 7, 3),),
        partial(loops.mlp_convolution, strides=(2, 2), amounts=((1, 1), (1, 1)), activation=np.tanh),
    ),
]
every_case = pytest.mark.parametrize("case", CASES, ids=str)
# The operators that a compiler or converter meets depend on form and rank, not on sizes: rows that differ from another
# in sizes alone are left out of the slow tests, and so are forms that two dimensions have and one of the other ranks.
OTHER_SIZES = ("odd sizes", "window above", "gaps", "bins", "context 0", "even size", "2D overlapping")
OTHER_RANKS = ("1D same, overlapping", "1D replicate", "1D reflect", "1D circular", "3D replicate", "3D reflect")
COMPILED = [case for case in CASES if not any(words in case.id for words in OTHER_SIZES + OTHER_RANKS)]
every_compiled_case = pytest.mark.parametrize("case", COMPILED, ids=str)


def inputs_of(case, dtype="float64"):
    rng = np.random.default_rng(0)
    inputs = case.draw_all(rng) if case.draw_all else [case.draw(rng, shape) for shape in case.shapes]
    assert tuple(x.shape for x in inputs) == case.shapes
    return [x.astype(dtype if case.draw_all is None or x.dtype.kind == "f" else "int32") for x in inputs]


def build_layer(case, dtype="float32"):
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


def model_of(case, layer, fixed_size=True):
    """A functional model around the layer; fixed_size=False leaves the batch and the spatial sizes open."""
    shapes = [shape[1:] if fixed_size else (*(None,) * (len(shape) - 2), shape[-1]) for shape in case.shapes]
    dtypes = [str(x.dtype) for x in inputs_of(case, "float32")]
    inputs = [keras.Input(shape, dtype=dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    inputs = inputs if len(inputs) > 1 else inputs[0]
    return keras.Model(inputs, layer(inputs))
