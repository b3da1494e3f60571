"""Images of any size fitted to a network's, as `pipelines.fitting.fit_images` does, in operators of ONNX alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

FITTED = "pixels"  # the name of the result, float32 (batch, height, width, channels)
NODES = "fit"  # the beginning of the names of its nodes

# `size` is height and width of the result, `turned` width and height. Casts to integers cut, as TensorFlow's do.
FRAME = """
    shape = Shape <start = 1, end = 3> (images)
    swapped = Gather (shape, one_zero)
    scaled = Mul (swapped, size)
    scaled_float = Cast <to = 1> (scaled)
    turned_float = Cast <to = 1> (turned)
    ratio = Div (scaled_float, turned_float)
    wanted = Cast <to = 7> (ratio)
"""
CROP = """
    smaller = Min (shape, wanted)
    extent = Max (smaller, one)
    rest = Sub (shape, extent)
    start = Div (rest, two)
    end = Add (start, extent)
    part = Slice (images, start, end, axes)
    values = Cast <to = 1> (part)
    above_black = Sub (values, black)
"""
PAD = """
    larger = Max (shape, wanted)
    rest = Sub (larger, shape)
    margin = Div (rest, two)
    margins = Concat <axis = 0> (margin, margin)
    values = Cast <to = 1> (images)
    inner = Sub (values, black)
    above_black = Pad (inner, margins, zero, axes)
"""
SQUASH = """
    values = Cast <to = 1> (images)
    above_black = Sub (values, black)
"""
RESIZE = """
    planes = Transpose <perm = [0, 3, 1, 2]> (above_black)
    outer = Shape <start = 0, end = 2> (planes)
    sizes = Concat <axis = 0> (outer, size)
    resized = Resize <
        mode = "linear", antialias = 1, exclude_outside = 1, coordinate_transformation_mode = "half_pixel"
    > (planes, , , sizes)
    pixels = Transpose <perm = [0, 2, 3, 1]> (resized)
"""


def fitting_graph(dtype: str, shape: tuple[int, int, int], black: float, fit: str, opset: int) -> onnx.ModelProto:
    """The graph that fits images.

    Args:
        dtype: of the images, by NumPy's name.
        shape: height, width and channels of the result.
        black: the value that is subtracted first, so that padding is black.
        fit: "crop", "pad" or "squash".
        opset: version of the operators, from 18 on.

    Returns:
        ModelProto: from "images" (batch, rows, columns, channels), of any size, to FITTED.
    """
    import numpy as np
    import onnx

    height, width, channels = shape
    element = onnx.helper.tensor_dtype_to_string(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
    kind = element.removeprefix("TensorProto.").lower()
    constants = f"int64[2] size = {{{height}, {width}}}, float black = {{{float(black)}}}"
    if fit != "squash":
        constants += (
            f", int64[2] turned = {{{width}, {height}}}, int64[2] one_zero = {{1, 0}}, int64[2] axes = {{1, 2}}, "
            f"int64 two = {{2}}, " + ("int64 one = {1}" if fit == "crop" else "float zero = {0.0}")
        )
    parts = {"crop": FRAME + CROP, "pad": FRAME + PAD, "squash": SQUASH}
    graph = onnx.parser.parse_model(
        f"""<ir_version: 9, opset_import: ["" : {opset}]>
        fitting ({kind}[batch, rows, columns, {channels}] images)
        => (float[batch, {height}, {width}, {channels}] {FITTED}) <{constants}>
        {{{parts[fit]}{RESIZE}}}"""
    )
    for number, node in enumerate(graph.graph.node):
        node.name = f"{NODES}_{number}"
    # ONNX does not infer it. Where shapes are unknown, ONNX Runtime adds residual paths in buffers of their own.
    resized = onnx.helper.make_tensor_value_info("resized", onnx.TensorProto.FLOAT, ["batch", channels, height, width])
    graph.graph.value_info.append(resized)
    return graph
