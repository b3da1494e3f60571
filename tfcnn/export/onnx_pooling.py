"""Poolings of an ONNX graph as one node each.

tf2onnx writes zeros around a max pooling's input as `Pad`, and the mean of each channel as `ReduceMean`. ONNX Runtime
keeps channels in blocks between convolutions and poolings, and has neither of these for blocks: it reorders the whole
map before and after them, and copies it to pad it, for 7 % of ResNet-18's time (ONNX Runtime's profile of one image).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx
    from onnxruntime.transformers.onnx_model import OnnxModel


def merge_poolings(graph: onnx.ModelProto) -> None:
    """Change a graph in place: zeros around a max pooling's input become its own padding, means of all pixels one node.

    A max pooling's own padding is never a maximum. Zeros can be one, but change none where no value is negative.
    """
    from onnxruntime.transformers.onnx_model import OnnxModel

    model = OnnxModel(graph)
    ranks = {name: len(sides) for name, sides in shapes_of(graph).items()}
    for node in list(model.nodes()):
        if node.op_type == "Pad":
            _merge_padding(model, node)
        elif node.op_type == "ReduceMean" and _is_of_pixels(model, node, ranks):
            _pool_globally(model, node)
    used = model.input_name_to_nodes()
    for tensor in [tensor for tensor in graph.graph.initializer if tensor.name not in used]:
        graph.graph.initializer.remove(tensor)


def shapes_of(graph: onnx.ModelProto) -> dict[str, list[int]]:
    """The shapes of inputs and of what the nodes compute, by name, 0 for sides that are unknown."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(graph).graph
    values = (*inferred.value_info, *inferred.input)
    return {value.name: [side.dim_value for side in value.type.tensor_type.shape.dim] for value in values}


def attribute_of(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """The value of a node's attribute."""
    from onnxruntime.transformers.onnx_model import OnnxModel

    value = OnnxModel.get_node_attribute(node, name)
    return default if value is None else value


def set_attribute(node: onnx.NodeProto, name: str, value: Any) -> None:
    """Give a node's attribute a value."""
    import onnx

    others = [each for each in node.attribute if each.name != name]
    del node.attribute[:]
    node.attribute.extend([*others, onnx.helper.make_attribute(name, value)])


def _merge_padding(model: OnnxModel, node: onnx.NodeProto) -> None:
    maker = model.output_name_to_node().get(node.input[0])
    users = model.input_name_to_nodes().get(node.output[0], [])
    margins = _margins(model, node)
    wider = [_with_padding(user, margins) for user in users]
    is_read = model.find_graph_output(node.output[0]) is not None
    if users and not is_read and _is_rectified(model, maker) and all(wider):
        for user, pads in zip(users, wider, strict=True):
            set_attribute(user, "pads", pads)
            user.input[0] = node.input[0]
        model.remove_node(node)


def _margins(model: OnnxModel, node: onnx.NodeProto) -> list[int]:
    """Of a `Pad` that puts zeros around the pixels: rows and columns before them, then behind them; else []."""
    pads = model.get_constant_value(node.input[1])
    filling = [name for name in node.input[2:3] if name]
    if pads is None or len(node.input) > 3 or attribute_of(node, "mode", b"constant") != b"constant":
        return []
    if any(model.get_constant_value(name) != 0 for name in filling):
        return []
    before, behind = pads.reshape(2, -1)
    if (pads < 0).any() or before[:2].any() or behind[:2].any():
        return []
    return [*before[2:].tolist(), *behind[2:].tolist()]


def _is_rectified(model: OnnxModel, node: onnx.NodeProto | None) -> bool:
    """Whether a node's values are 0 and more."""
    if node is None:
        return False
    if node.op_type != "Clip":
        return node.op_type == "Relu"
    least = model.get_constant_value(node.input[1]) if len(node.input) > 1 else None
    return least is not None and bool(least >= 0)


def _with_padding(node: onnx.NodeProto, margins: list[int]) -> list[int]:
    """The padding of a max pooling with margins around its input; [] if it cannot have them or is none."""
    if node.op_type != "MaxPool" or not margins or attribute_of(node, "ceil_mode", 0) or len(node.output) > 1:
        return []
    if attribute_of(node, "auto_pad", b"NOTSET") != b"NOTSET":
        return []
    own = attribute_of(node, "pads", [0] * len(margins))
    pads = [one + other for one, other in zip(own, margins, strict=True)]
    sides = [*attribute_of(node, "kernel_shape", [])] * 2
    return pads if all(pad < side for pad, side in zip(pads, sides, strict=True)) else []


def _is_of_pixels(model: OnnxModel, node: onnx.NodeProto, ranks: dict[str, int]) -> bool:
    """Whether a `ReduceMean` is of all axes but the batch and the channels."""
    axes = model.get_constant_value(node.input[1]) if len(node.input) > 1 else None
    rank = ranks.get(node.input[0], 0)
    return axes is not None and rank > 2 and sorted(axis % rank for axis in axes.tolist()) == [*range(2, rank)]


def _pool_globally(model: OnnxModel, node: onnx.NodeProto) -> None:
    import onnx

    nodes = model.model.graph.node
    place = [*nodes].index(node)
    keeps = attribute_of(node, "keepdims", 1)
    means = node.output[0] if keeps else f"{node.output[0]}_pixels"
    pooling = [onnx.helper.make_node("GlobalAveragePool", [node.input[0]], [means], node.name)]
    if not keeps:
        pooling.append(onnx.helper.make_node("Flatten", [means], [node.output[0]], f"{node.name}_flat"))
    nodes.remove(node)
    for offset, each in enumerate(pooling):
        nodes.insert(place + offset, each)
