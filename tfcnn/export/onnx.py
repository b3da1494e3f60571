"""A trained network as a file of ONNX, for ONNX Runtime and what else reads the format.

`signature.py` says what goes in and comes out. Images have any size, those of a detector the network's; the batch is
free. Quantizations:

    none      float32
    float16   weights and activations of 16 bits; raw examples and answers stay as they are
    dynamic   weights of 8 bits; activations are rounded to 8 bits as they come
    int8      weights and activations of 8 bits, their ranges measured on training images, as pairs of QuantizeLinear
              and DequantizeLinear
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.startup import quiet_stderr
from tfcnn.export.onnx_fitting import FITTED, NODES, fitting_graph
from tfcnn.export.onnx_pooling import attribute_of, merge_poolings, set_attribute, shapes_of
from tfcnn.export.savedmodel import raw_dtype
from tfcnn.export.serving_process import Milliseconds, time_calls
from tfcnn.export.signature import signature_of
from tfcnn.export.standardisation import SCOPE

if TYPE_CHECKING:
    import keras
    import numpy as np
    import onnx

OPSET = 18  # the newest that tf2onnx writes
QUANTIZED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def write(model: keras.Model, facts: dict[str, Any], path: Path, quantize: str, samples: np.ndarray | None) -> None:
    """Write the file, as `formats.Format.module` says."""
    import onnx

    with quiet_stderr():
        # Where it quantizes, ONNX Runtime keeps the channels of a pixel side by side, else as planes.
        graph = simplify(convert(model, facts, by_rows=quantize == "int8"))
        if quantize == "float16":
            graph = _halve(graph)
        onnx.save(graph, path)
        if quantize == "dynamic":
            _quantize_weights(path)
        if quantize == "int8":
            assert samples is not None
            _quantize(path, samples)


def convert(model: keras.Model, facts: dict[str, Any], *, by_rows: bool = False) -> onnx.ModelProto:
    """The graph of a float32 network, from raw examples, as tf2onnx writes it; images without regions have any size."""
    import keras
    import onnx

    takes_any_size = len(facts["image_shape"]) == 3 and len(model.inputs) == 1
    signature = signature_of(model, facts, above_black=takes_any_size, by_rows=by_rows)

    class Serving(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.network = model
            self.built = True

        def call(self, *inputs: Any) -> Any:
            return signature.serve(*inputs)

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "plain.onnx"
        serving = Serving()
        warnings.filterwarnings("ignore", message=".*np.object", category=FutureWarning)  # Keras' patch of tf2onnx
        serving.export(path, format="onnx", input_signature=signature.specs(), opset_version=OPSET, verbose=False)
        graph = set_groups(onnx.load(path))
    return _fit_first(graph, facts) if takes_any_size else graph


def _fit_first(graph: onnx.ModelProto, facts: dict[str, Any]) -> onnx.ModelProto:
    """A graph of fitted images as one of images."""
    import onnx

    front = fitting_graph(raw_dtype(facts), facts["image_shape"], facts["value_range"][0], facts["fit"], OPSET)
    front.ir_version = graph.ir_version
    (fitted,) = graph.graph.input
    return onnx.compose.merge_models(front, graph, io_map=[(FITTED, fitted.name)])


def set_groups(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with the groups of its convolutions, which tf2onnx leaves out: the file would be invalid without."""

    channels = {name: sides[1] for name, sides in shapes_of(graph).items() if len(sides) > 2}
    weights = {tensor.name: tensor.dims for tensor in graph.graph.initializer}
    for node in graph.graph.node:
        if node.op_type != "Conv" or node.input[1] not in weights or not channels.get(node.input[0]):
            continue
        groups = channels[node.input[0]] // weights[node.input[1]][1]
        if groups != attribute_of(node, "group", 1):
            set_attribute(node, "group", groups)
    return graph


def simplify(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph as ONNX Runtime's basic optimisation leaves it, in operators of ONNX alone: constants computed, batch
    norms folded into convolutions, transposes moved together until they cancel; and each pooling one node.
    """
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "simple.onnx")
        onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
        simple = onnx.load(options.optimized_model_filepath)
    versions = {entry.domain: entry.version for entry in simple.opset_import}
    used = sorted({node.domain for node in simple.graph.node})
    del simple.opset_import[:]  # ONNX Runtime names all domains that it knows, some twice
    simple.opset_import.extend(onnx.helper.make_opsetid(domain, versions[domain]) for domain in used)
    merge_poolings(simple)
    return simple


def _halve(graph: onnx.ModelProto) -> onnx.ModelProto:
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    names = _preparing_nodes(graph)
    halved = OnnxModel(convert_float_to_float16(graph, keep_io_types=True, node_block_list=names))
    kept = [node for node in halved.nodes() if node.name in names]
    wide = {name for node in kept for name in node.output}
    casts = {node.output[0]: node.input[0] for node in halved.nodes() if node.op_type == "Cast"}
    for node in kept:
        for place, name in enumerate(node.input):
            # Between two nodes of float32 the converter casts to float16 and back, which makes 16-bit white infinite.
            before = casts.get(casts.get(name, ""))
            if before in wide:
                node.input[place] = before
    halved.prune_graph()
    halved.topological_sort()  # which the casts around the nodes of float32 have left
    return halved.model


def _preparing_nodes(graph: onnx.ModelProto) -> list[str]:
    """The nodes that fit images to the network's size and standardise them, which stay in float32.

    Float16 ends at 65,504, below 16-bit white; sums and products of int8, with a constant for each channel, take ONNX
    Runtime as long as half of MobileNet.
    """
    return [node.name for node in graph.graph.node if node.name.startswith(NODES) or f"/{SCOPE}/" in node.name]


def _quantize_weights(path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # ONNX Runtime's convolution of integers takes unsigned weights alone.
    quantize_dynamic(path, path, weight_type=QuantType.QUInt8, op_types_to_quantize=[*QUANTIZED])


def _quantize(path: Path, samples: np.ndarray) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    graph = load(path)
    (name,) = [value.name for value in graph.graph.input]

    class Samples(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = iter(samples)

        def get_next(self) -> dict[str, np.ndarray] | None:
            sample = next(self._left, None)
            return None if sample is None else {name: sample[None]}

    quantize_static(
        path,
        path,
        Samples(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        reduce_range=True,  # weights of 7 bits: x86 without VNNI adds pairs of products in 16 bits, which saturate
        nodes_to_exclude=_preparing_nodes(graph),
    )


class OnnxFile:
    """A file of ONNX, checked in full, run by ONNX Runtime on one thread.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        import onnx
        import onnxruntime

        onnx.checker.check_model(str(path), full_check=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._inputs = [value.name for value in self._session.get_inputs()]
        self._outputs = [value.name for value in self._session.get_outputs()]

    def run(self, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of raw inputs (batch, ...), by name."""
        values = self._session.run(self._outputs, dict(zip(self._inputs, inputs, strict=True)))
        return dict(zip(self._outputs, values, strict=True))

    def time(self, *inputs: np.ndarray) -> Milliseconds:
        """The times of the raw inputs of one example, (1, ...)."""
        return time_calls(lambda: self.run(*inputs))


@contextlib.contextmanager
def reload(path: Path, model: keras.Model, facts: dict[str, Any]) -> Iterator[OnnxFile]:
    """The file, ready to run."""
    yield OnnxFile(path)


def load(path: Path) -> onnx.ModelProto:
    """The graph in a file, without its weights where these are in other files."""
    import onnx

    return onnx.load(path, load_external_data=False)


def count_transposes(graph: onnx.ModelProto) -> int:
    """The transposes among the nodes of a graph."""
    return sum(node.op_type == "Transpose" for node in graph.graph.node)
