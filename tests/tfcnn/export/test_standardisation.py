"""Raw examples are standardised as NumPy does it, and quantized files keep that in float32."""

import keras
import numpy as np
import onnx
import pytest

from tfcnn.export.onnx import OnnxFile
from tfcnn.export.onnx import write as write_onnx
from tfcnn.export.standardisation import standardiser


@pytest.mark.parametrize("by_rows", [True, False])
@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 4, 1), (6, 2), (6, 1), (3, 5, 4, 2)])
def test_every_channel_gets_its_own_mean_and_deviation(shape, by_rows):
    rng = np.random.default_rng(0)
    facts = {"image_shape": shape, "mean": rng.uniform(0, 1, shape[-1]), "std": rng.uniform(0.1, 1, shape[-1])}
    examples = rng.integers(0, 200, (2, *shape)).astype(np.uint8)
    expected = ((examples + 5.0) / 255 - facts["mean"]) / facts["std"]
    standardised = standardiser(facts, -5, 250, by_rows=by_rows)(examples)
    np.testing.assert_allclose(standardised, expected, rtol=1e-5, atol=1e-5)


@pytest.fixture
def scanner():
    """A network for 16-bit images whose probabilities tell their brightness, and its facts."""
    inputs = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 1, name="features")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(pooled))
    facts = {
        "task": "classification",
        "image_shape": (8, 8, 3),
        "class_names": ["dark", "bright"],
        "value_range": (0, 65535),
        "dtype": "uint16",
        "fit": "crop",
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.3, 0.25],
    }
    return model, facts


@pytest.mark.slow
@pytest.mark.parametrize("quantize", ["float16", "int8"])
def test_16_bit_white_is_not_infinite(scanner, quantize, tmp_path):
    """Float16 ends at 65,504."""
    model, facts = scanner
    raw = np.stack([np.full((8, 8, 3), value, np.uint16) for value in (0, 30000, 65535)])
    inputs = (raw / 65535 - facts["mean"]) / facts["std"]
    expected = keras.ops.softmax(model(inputs)).numpy()
    write_onnx(model, facts, tmp_path / "a.onnx", quantize, raw)
    np.testing.assert_allclose(OnnxFile(tmp_path / "a.onnx").run(raw)["probabilities"], expected, atol=0.02)


@pytest.mark.slow
def test_int8_standardises_in_float32(scanner, tmp_path):
    """QLinearMul and QLinearAdd with a constant for each channel took ONNX Runtime as long as half of MobileNet."""
    model, facts = scanner
    raw = np.random.default_rng(0).integers(0, 65536, (4, 8, 8, 3)).astype(np.uint16)
    write_onnx(model, facts, tmp_path / "a.onnx", "int8", raw)
    nodes = onnx.load(tmp_path / "a.onnx").graph.node
    maker = {name: node.op_type for node in nodes for name in node.output}
    product, total = (next(node for node in nodes if node.name.endswith(name)) for name in ("/mul", "/add"))
    assert maker[product.input[0]] == "Reshape"  # into rows
    assert maker[total.input[0]] == "Mul"
    assert {maker.get(name) for name in (*product.input, *total.input)}.isdisjoint({"DequantizeLinear"})
