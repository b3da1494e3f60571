"""Poolings of an ONNX graph as one node: the same results, and only where they are."""

import numpy as np
import onnx
import onnxruntime
import pytest

from tfcnn.export.onnx_pooling import merge_poolings

PADDED = """<ir_version: 9, opset_import: ["" : 18]>
padded (float[n, 2, 7, 6] x) => (float[n, 2, rows, columns] y)
<int64[8] pads = {PADS}, float filling = {FILLING}, float least = {LEAST}> {
    above = BEFORE
    wide = Pad (above, pads, filling)
    y = MaxPool <kernel_shape = [3, 3], strides = [2, 2]> (wide)
}"""
MEAN = """<ir_version: 9, opset_import: ["" : 18]>
means (float[n, 3, 5, 4] x) => (float[n, c] y) <int64[2] axes = {AXES}> {
    y = ReduceMean <keepdims = KEEPS> (x, axes)
}"""
X = np.random.default_rng(0).normal(size=(2, 2, 7, 6)).astype(np.float32)


def padded(pads="{0, 0, 1, 1, 0, 0, 1, 0}", filling="{0.0}", least="{0.0}", before="Relu (x)"):
    text = PADDED.replace("{PADS}", pads).replace("{FILLING}", filling).replace("{LEAST}", least)
    return onnx.parser.parse_model(text.replace("BEFORE", before))


def mean(axes, keeps):
    graph = onnx.parser.parse_model(MEAN.replace("{AXES}", axes).replace("KEEPS", str(keeps)))
    if keeps:
        del graph.graph.output[0].type.tensor_type.shape.dim[:]
        graph.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, list("ncij")))
    return graph


def kinds(graph):
    return [node.op_type for node in graph.graph.node]


def run(graph, x):
    onnx.checker.check_model(graph, full_check=True)
    return onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"]).run(
        None, {"x": x}
    )[0]


def maxima(x, top, left, bottom, right):
    """Windows of 3x3 with stride 2 over x within zeros."""
    wide = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    rows, columns = ((side - 3) // 2 + 1 for side in wide.shape[2:])
    windows = [
        [wide[:, :, 2 * r : 2 * r + 3, 2 * c : 2 * c + 3].max((2, 3)) for c in range(columns)] for r in range(rows)
    ]
    return np.moveaxis(np.array(windows), (0, 1), (2, 3))


@pytest.mark.parametrize("before", ["Relu (x)", "Clip (x, least)"])
def test_zeros_before_a_maximum_become_its_padding(before):
    graph = padded(before=before)
    merge_poolings(graph)
    assert "Pad" not in kinds(graph)
    assert [tensor.name for tensor in graph.graph.initializer] == (["least"] if "least" in before else [])
    np.testing.assert_array_equal(run(graph, X), maxima(np.maximum(X, 0), 1, 1, 1, 0))


def test_both_paddings_are_kept():
    graph = padded(pads="{0, 0, 1, 0, 0, 0, 0, 1}")
    graph.graph.node[-1].attribute.append(onnx.helper.make_attribute("pads", [0, 1, 1, 0]))
    merge_poolings(graph)
    assert kinds(graph) == ["Relu", "MaxPool"]
    np.testing.assert_array_equal(run(graph, X), maxima(np.maximum(X, 0), 1, 1, 1, 1))


@pytest.mark.parametrize(
    "other",
    [
        {"before": "Identity (x)"},  # values below zero, which zeros would exceed
        {"before": "Clip (x, least)", "least": "{-1.0}"},
        {"filling": "{2.0}"},
        {"pads": "{0, 0, 3, 3, 0, 0, 1, 0}"},  # windows of zeros alone, which ONNX does not allow
        {"pads": "{0, 0, -1, 0, 0, 0, 1, 0}"},
    ],
)
def test_other_padding_stays(other):
    graph = padded(**other)
    before = run(graph, X)
    merge_poolings(graph)
    assert "Pad" in kinds(graph)
    np.testing.assert_array_equal(run(graph, X), before)


@pytest.mark.parametrize("read", ["wide", "z"])
def test_padding_that_others_read_stays(read):
    graph = padded()
    if read == "z":
        graph.graph.node.append(onnx.helper.make_node("Neg", ["wide"], ["z"]))
    graph.graph.output.append(onnx.helper.make_tensor_value_info(read, onnx.TensorProto.FLOAT, list("ncij")))
    merge_poolings(graph)
    assert "Pad" in kinds(graph)


@pytest.mark.parametrize("keeps", [0, 1])
@pytest.mark.parametrize("axes", ["{2, 3}", "{-1, -2}"])
def test_a_mean_of_all_pixels_is_the_global_pooling(axes, keeps):
    graph = mean(axes, keeps)
    merge_poolings(graph)
    assert kinds(graph)[0] == "GlobalAveragePool"
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(run(graph, x), x.mean((2, 3), keepdims=bool(keeps)), atol=1e-6)


def test_other_means_stay():
    graph = mean("{1, 2}", 0)
    merge_poolings(graph)
    assert kinds(graph) == ["ReduceMean"]
