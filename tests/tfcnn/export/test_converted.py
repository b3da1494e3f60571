"""Networks that a converter does not take as they are: each file answers as its network, with a reference in Keras."""

import keras
import numpy as np
import onnx
import pytest

import tfcnn
from tfcnn.detection.detector import detect_all
from tfcnn.detection.targets import STD
from tfcnn.errors import BadInput
from tfcnn.export.comparison import Followed, raw_regions
from tfcnn.export.examples import random_examples
from tfcnn.export.folder import answer_of, check_network, export_folder
from tfcnn.export.litert import LiteRTFile
from tfcnn.export.litert import write as write_litert
from tfcnn.export.onnx import OnnxFile
from tfcnn.export.onnx import write as write_onnx
from tfcnn.export.signature import check_quantization
from tfcnn.layers import MaxUnpoolingLike2D
from tfcnn.model_files import in_float32
from tfcnn.results import Classes

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
    shape = model.inputs[0].shape[1:]
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


DETECTORS = {
    "fast_rcnn": {"backbone": "lecture_cnn", "width": 0.2, "stride": 4, "pool_size": 3, "units": 8, "hidden": 1},
    "bins of many cells": {"backbone": "lecture_cnn", "width": 0.2, "stride": 1, "pool_size": 2, "units": 8},
    "rcnn": {"backbone": "lecture_cnn", "width": 0.2, "crop": 24},
}


@pytest.mark.slow
@pytest.mark.parametrize("form", DETECTORS)
def test_detectors(form, tmp_path):
    model = tfcnn.build("rcnn" if form == "rcnn" else "fast_rcnn", (40, 48, 3), 3, **DETECTORS[form])
    model.set_weights([np.random.default_rng(0).normal(0, 0.1, weight.shape) for weight in model.get_weights()])
    facts = facts_of(model, "detection", UINT8)
    raw = examples_of((40, 48, 3), facts)[:2]
    first = [[2, 3, 30, 33], [0, 0, 48, 40], [10, 5, 14, 9]]
    second = [[1, 1, 9, 39], [20, 20, 47, 38], [-1, -1, -1, -1]]
    regions = np.float32([first, second])
    boxes, scores = expected_candidates(model, raw, regions, facts)
    write_litert(model, facts, tmp_path / "a.tflite", "none", None)
    file = LiteRTFile(tmp_path / "a.tflite")
    for place, count in ((0, 3), (1, 2)):
        outputs = file.run(raw[place : place + 1], regions[place : place + 1, :count])
        np.testing.assert_allclose(outputs["boxes"][0], boxes[place, :count], atol=1e-3)
        np.testing.assert_allclose(outputs["scores"][0], scores[place, :count], atol=1e-5)
    write_onnx(model, facts, tmp_path / "a.onnx", "none", None)
    outputs = OnnxFile(tmp_path / "a.onnx").run(raw, regions)
    is_region = regions.max(-1) > 0
    np.testing.assert_allclose(outputs["boxes"][is_region], boxes[is_region], atol=1e-3)
    np.testing.assert_allclose(outputs["scores"], scores * is_region[..., None], atol=1e-5)


def expected_candidates(model, raw, regions, facts):
    """Girshick et al. 2013, appendix C, in NumPy, from the network's outputs."""
    inputs = ((raw / 255.0 - facts["mean"]) / facts["std"]).astype("float32")
    outputs = model([inputs, regions], training=False).numpy().astype("float64")
    if model.name == "rcnn":
        scores = 1 / (1 + np.exp(-outputs[..., :3]))
    else:
        scores = np.exp(outputs[..., :4])
        scores = (scores / scores.sum(-1, keepdims=True))[..., :3]
    dx, dy, dw, dh = np.moveaxis(outputs[..., 4:].reshape(*outputs.shape[:2], 3, 4) * STD, -1, 0)
    x1, y1, x2, y2 = np.moveaxis(regions[:, :, None].astype("float64"), -1, 0)
    x, y = (x1 + x2) / 2 + dx * (x2 - x1), (y1 + y2) / 2 + dy * (y2 - y1)
    w, h = (x2 - x1) * np.exp(dw), (y2 - y1) * np.exp(dh)
    height, width = raw.shape[1:3]
    boxes = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1)
    return np.clip(boxes, 0, [width, height, width, height]), scores


@pytest.mark.slow
def test_the_files_of_a_detector_are_compared_with_it(tmp_path):
    model = tfcnn.build("fast_rcnn", (40, 48, 3), 3, **DETECTORS["fast_rcnn"])
    facts = facts_of(model, "detection", UINT8)
    found = examples_with_truth(model, facts)
    rows = export_folder(model, facts, tmp_path / "export", ["savedmodel", "litert", "onnx"], "none", found)
    assert [row.format for row in rows] == ["savedmodel", "litert", "onnx"]
    for row in rows:
        assert row.difference < 1e-5
        assert row.score == row.reference == 1.0  # the truth is what the network detects
    wrong = dict(answer_of(model, facts)(*raw_regions(found.regions[0], facts)))
    wrong["boxes"] = wrong["boxes"] + 1
    file = Followed(lambda *inputs: wrong, answer_of(model, facts), facts)
    file.answer(*raw_regions(found.regions[0], facts))
    assert file.difference == pytest.approx(1 / 48, rel=1e-3)


def examples_with_truth(model, facts):
    """Random examples whose true boxes are the network's own detections."""
    found = random_examples(facts, 3)
    detections = detect_all(model, found.regions)
    truths = [{"boxes": row["boxes"], "labels": row["labels"]} for row in detections]
    regions = [example._replace(truth=truth) for example, truth in zip(found.regions, truths, strict=True)]
    return found._replace(regions=regions, classes=Classes(facts["class_names"], range(3)))


@pytest.mark.parametrize("quantize", ["float16", "dynamic", "int8"])
def test_detectors_have_no_quantized_files(quantize):
    with pytest.raises(BadInput, match=f"--quantize {quantize} is not for detection, whose regions are pixels"):
        check_quantization("detection", quantize)
    check_quantization("detection", "none")
    check_quantization("classification", quantize)
