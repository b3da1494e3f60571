"""Poolings of an ONNX graph as one node each.

tf2onnx writes zeros around a max pooling's input as `Pad`, and the mean of each channel as `ReduceMean`. ONNX Runtime
keeps channels in blocks between convolutions and poolings, and has neither of these for blocks: it reorders the whole
map before and after them, and copies it to pad it, for 7 % of ResNet-18's time (ONNX Runtime's profile of one image).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import onnx


def merge_poolings(graph: onnx.ModelProto) -> None:
    """Change a graph in place: zeros around a max pooling's input become its own padding, means of all pixels one node.

    A max pooling's own padding is never a maximum. Zeros can be one, but change none where no value is negative.
    """
    constants = {tensor.name: tensor for tensor in graph.graph.initializer}
    ranks = _ranks(graph)
    for node in list(graph.graph.node):
        if node.op_type == "Pad":
            _merge_padding(graph, node, constants)
        elif node.op_type == "ReduceMean" and _is_of_pixels(node, constants, ranks):
            _pool_globally(graph, node)
    used = {name for node in graph.graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.graph.initializer if tensor.name not in used]:
        graph.graph.initializer.remove(tensor)


def _ranks(graph: onnx.ModelProto) -> dict[str, int]:
    import onnx

    inferred = onnx.shape_inference.infer_shapes(graph).graph
    values = (*inferred.value_info, *inferred.input)
    return {value.name: len(value.type.tensor_type.shape.dim) for value in values}


def _value(name: str, constants: dict[str, onnx.TensorProto]) -> np.ndarray | None:
    import onnx

    return onnx.numpy_helper.to_array(constants[name]) if name in constants else None


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    import onnx

    return next((onnx.helper.get_attribute_value(each) for each in node.attribute if each.name == name), default)


def _set_attribute(node: onnx.NodeProto, name: str, value: Any) -> None:
    import onnx

    others = [each for each in node.attribute if each.name != name]
    del node.attribute[:]
    node.attribute.extend([*others, onnx.helper.make_attribute(name, value)])


def _merge_padding(graph: onnx.ModelProto, node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> None:
    maker = next((each for each in graph.graph.node if node.input[0] in each.output), None)
    users = [each for each in graph.graph.node if node.output[0] in each.input]
    margins = _margins(node, constants)
    wider = [_with_padding(user, margins) for user in users]
    is_read = any(value.name == node.output[0] for value in graph.graph.output)
    if users and not is_read and _is_rectified(maker, constants) and all(wider):
        for user, pads in zip(users, wider, strict=True):
            _set_attribute(user, "pads", pads)
            user.input[0] = node.input[0]
        graph.graph.node.remove(node)


def _margins(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> list[int]:
    """Of a `Pad` that puts zeros around the pixels: rows and columns before them, then behind them; else []."""
    pads = _value(node.input[1], constants)
    filling = [name for name in node.input[2:3] if name]
    if pads is None or len(node.input) > 3 or _attribute(node, "mode", b"constant") != b"constant":
        return []
    if any(_value(name, constants) != 0 for name in filling):
        return []
    before, behind = pads.reshape(2, -1)
    if (pads < 0).any() or before[:2].any() or behind[:2].any():
        return []
    return [*before[2:].tolist(), *behind[2:].tolist()]


def _is_rectified(node: onnx.NodeProto | None, constants: dict[str, onnx.TensorProto]) -> bool:
    """Whether a node's values are 0 and more."""
    if node is None:
        return False
    if node.op_type != "Clip":
        return node.op_type == "Relu"
    least = _value(node.input[1], constants) if len(node.input) > 1 else None
    return least is not None and bool(least >= 0)


def _with_padding(node: onnx.NodeProto, margins: list[int]) -> list[int]:
    """The padding of a max pooling with margins around its input; [] if it cannot have them or is none."""
    if node.op_type != "MaxPool" or not margins or _attribute(node, "ceil_mode", 0) or len(node.output) > 1:
        return []
    if _attribute(node, "auto_pad", b"NOTSET") != b"NOTSET":
        return []
    own = _attribute(node, "pads", [0] * len(margins))
    pads = [one + other for one, other in zip(own, margins, strict=True)]
    sides = [*_attribute(node, "kernel_shape", [])] * 2
    return pads if all(pad < side for pad, side in zip(pads, sides, strict=True)) else []


def _is_of_pixels(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto], ranks: dict[str, int]) -> bool:
    """Whether a `ReduceMean` is of all axes but the batch and the channels."""
    axes = _value(node.input[1], constants) if len(node.input) > 1 else None
    rank = ranks.get(node.input[0], 0)
    return axes is not None and rank > 2 and sorted(axis % rank for axis in axes.tolist()) == [*range(2, rank)]


def _pool_globally(graph: onnx.ModelProto, node: onnx.NodeProto) -> None:
    import onnx

    place = [*graph.graph.node].index(node)
    keeps = _attribute(node, "keepdims", 1)
    means = node.output[0] if keeps else f"{node.output[0]}_pixels"
    pooling = [onnx.helper.make_node("GlobalAveragePool", [node.input[0]], [means], node.name)]
    if not keeps:
        pooling.append(onnx.helper.make_node("Flatten", [means], [node.output[0]], f"{node.name}_flat"))
    graph.graph.node.remove(node)
    for offset, each in enumerate(pooling):
        graph.graph.node.insert(place + offset, each)
