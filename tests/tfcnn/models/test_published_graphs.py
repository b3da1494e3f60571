"""The kernels of our networks against those of the graphs that the package onnx brings for its own tests.

The graphs were published for Caffe and Caffe2 by the networks' authors or after them, and have shapes without weights.
"""

from collections import Counter
from pathlib import Path

import onnx
import pytest

import tfcnn
from tfcnn import cost

GRAPHS = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
CASES = {
    "bvlc_alexnet": ("alexnet_2012", {}),
    "vgg19": ("vgg19", {}),
    "inception_v1": ("googlenet", {"form": "paper"}),
    "resnet50": ("resnet50", {}),
    "densenet121": ("densenet121", {}),
    "squeezenet": ("squeezenet1_1", {}),
}


def published_kernels(name):
    """The shapes (outputs, inputs of a group, height, width) of convolutions and dense layers, with their number."""
    graph = onnx.load(GRAPHS / f"light_{name}.onnx").graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    shapes = {name: tuple(tensor.dims) for name, tensor in constants.items()}
    for node in graph.node:
        if node.op_type in ("ConstantOfShape", "Reshape") and node.input[-1] in constants:
            shapes[node.output[0]] = tuple(onnx.numpy_helper.to_array(constants[node.input[-1]]).tolist())
    kernels = [shapes[node.input[1]] for node in graph.node if node.op_type in ("Conv", "Gemm")]
    return Counter((*shape, 1, 1)[:4] for shape in kernels)


def kernels_of(arch, arguments):
    with cost.weightless():
        model = tfcnn.build(arch, **arguments)
    shapes = [tuple(weight.shape) for weight in model.weights if weight.path.endswith("kernel")]
    return Counter((shape[-1], shape[-2], *(shape[:-2] or (1, 1))) for shape in shapes)


@pytest.mark.parametrize("name", CASES)
def test_kernels(name):
    assert kernels_of(*CASES[name]) == published_kernels(name)
