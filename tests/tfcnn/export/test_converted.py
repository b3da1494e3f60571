"""Networks that a converter does not take as they are: each file answers as its network, with a reference in Keras."""

import keras
import numpy as np
import onnx
import pytest

import tfcnn
from tfcnn.errors import BadInput
from tfcnn.export.folder import check_network
from tfcnn.export.litert import LiteRTFile
from tfcnn.export.litert import write as write_litert
from tfcnn.export.onnx import OnnxFile
from tfcnn.export.onnx import write as write_onnx
from tfcnn.export.signature import check_task
from tfcnn.layers import MaxUnpoolingLike2D
from tfcnn.model_files import in_float32

UINT8 = {"value_range": (0, 255), "dtype": "uint8", "fit": "crop"}
FLOAT = {"value_range": (-1, 1), "dtype": "float32", "fit": "crop"}
FORMS = {
    "3-D pooling": ("unet3d", (8, 8, 8, 1), {"width": 0.125, "depth": 0.5}, FLOAT),
    "grouped convolutions": ("alexnet_2012", (32, 32, 3), {"width": 0.05}, UINT8),
    "unpooling": ("segnet", (32, 32, 1), {"width": 0.05, "depth": 0.3, "levels": 2}, UINT8),
    "encoder": ("unet", (33, 38, 1), {"encoder": "lenet5", "width": 0.2, "decoder_channels": (8,)}, UINT8),
    "sound": ("m3", (1024, 1), {"width": 0.05}, FLOAT),
}


def facts_of(model, task, values):
    shape = model.input_shape[1:]
    standardisation = {"mean": [0.4] * shape[-1], "std": [0.3] * shape[-1]}
    return {"task": task, "image_shape": shape, "class_names": ["a", "b", "c"], **standardisation, **values}


def examples_of(shape, facts):
    low, high = facts["value_range"]
    return np.random.default_rng(0).uniform(low, high, (3, *shape)).astype(facts["dtype"])


def expected_probabilities(model, raw, facts):
    low, high = facts["value_range"]
    inputs = ((raw.astype("float64") - low) / (high - low) - facts["mean"]) / facts["std"]
    logits = model(inputs.astype("float32"), training=False).numpy().astype("float64")
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_special_forms(form, tmp_path):
    arch, shape, arguments, values = FORMS[form]
    model = tfcnn.build(arch, shape, 3, **arguments)
    task = "classification" if len(model.output_shape) == 2 else "segmentation"
    facts = facts_of(model, task, values)
    raw = examples_of(shape, facts)
    expected = expected_probabilities(model, raw, facts)
    write_litert(model, facts, tmp_path / "a.tflite", "none", None)
    file = LiteRTFile(tmp_path / "a.tflite")
    for example, probabilities in zip(raw, expected, strict=True):
        np.testing.assert_allclose(file.run(example[None])["probabilities"][0], probabilities, atol=1e-5)
    write_onnx(model, facts, tmp_path / "a.onnx", "none", None)
    outputs = OnnxFile(tmp_path / "a.onnx").run(raw)
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)
    np.testing.assert_array_equal(outputs["class"], outputs["probabilities"].argmax(-1))


@pytest.mark.slow
def test_squeeze_and_excitation_has_no_transposes(tmp_path):
    """ONNX Runtime moves those together that tf2onnx leaves around each block."""
    model = tfcnn.build("mobilenet_v3_small", (64, 64, 3), 3, width=0.25, depth=0.1)
    facts = facts_of(model, "classification", UINT8)
    write_onnx(model, facts, tmp_path / "a.onnx", "none", None)
    nodes = onnx.load(tmp_path / "a.onnx").graph.node
    assert sum(node.op_type == "Transpose" for node in nodes) <= 2  # of the images, whose channels are last
    assert {node.domain for node in nodes} == {""}


@pytest.mark.slow
def test_a_network_trained_in_bfloat16_runs_in_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = tfcnn.build("lenet5", (16, 16, 1), 3)
    finally:
        keras.config.set_dtype_policy("float32")
    model = in_float32(model)
    facts = facts_of(model, "classification", UINT8)
    raw = examples_of((16, 16, 1), facts)[:1]
    write_litert(model, facts, tmp_path / "a.tflite", "none", None)
    answer = LiteRTFile(tmp_path / "a.tflite").run(raw)["probabilities"]
    np.testing.assert_allclose(answer, expected_probabilities(model, raw, facts), atol=1e-5)


def test_int8_and_unpooling_do_not_go_together():
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, MaxUnpoolingLike2D(2)([keras.layers.MaxPooling2D(2)(inputs), inputs]))
    facts = facts_of(model, "reconstruction", UINT8)
    samples = np.zeros((1, 4, 4, 1), np.uint8)
    with pytest.raises(BadInput, match=r"int8 is not for networks with unpooling: .* take --quantize float16"):
        check_network(model, facts, "int8", samples)
    check_network(model, facts, "dynamic", None)


def test_int8_needs_training_examples():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(BadInput, match="--quantize int8 measures activations on training examples"):
        check_network(model, facts_of(model, "classification", FLOAT), "int8", None)


def test_detectors_have_a_savedmodel_alone():
    with pytest.raises(BadInput, match=r"--format is not for detection, .*; leave --format out for the SavedModel"):
        check_task("detection")
