"""The parts of an ONNX file that are ours: images fitted to the network's size, groups of convolutions."""

import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf

from pipelines.fitting import FITS, fit_images
from tfcnn.export.onnx import OPSET, set_groups
from tfcnn.export.onnx_fitting import fitting_graph


def run(graph, **inputs):
    onnx.checker.check_model(graph, full_check=True)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(12, 10), (12, 31), (50, 33), (97, 12), (5, 7), (1, 40), (300, 301)])
def test_images_are_fitted_as_in_training(size, fit):
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype(np.uint8)
    fitted = run(fitting_graph("uint8", (12, 10, 3), 0, fit, OPSET), images=images)
    np.testing.assert_allclose(fitted, fit_images(tf.constant(images), 12, 10, fit), atol=0.01)  # of 255


def test_padding_is_black():
    images = np.ones((1, 8, 16, 1), np.float32)
    fitted = run(fitting_graph("float32", (8, 8, 1), -1, "pad", OPSET), images=images)
    np.testing.assert_allclose(fitted, fit_images(tf.constant(images + 1), 8, 8, "pad"), atol=1e-5)
    assert fitted.min() == 0


@pytest.mark.parametrize("fit", FITS)
def test_the_shape_of_fitted_images_is_known(fit):
    # ONNX Runtime adds residual paths in place where it knows that both have one shape.
    inferred = onnx.shape_inference.infer_shapes(fitting_graph("uint8", (12, 10, 3), 0, fit, OPSET)).graph
    shapes = {value.name: value.type.tensor_type.shape.dim for value in inferred.value_info}
    assert [side.dim_param or side.dim_value for side in shapes["resized"]] == ["batch", 3, 12, 10]


def test_groups_are_set():
    weights = np.random.default_rng(0).normal(size=(6, 2, 1, 1)).astype(np.float32)
    graph = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 18]>
        grouped (float[1, 4, 3, 3] x) => (float[1, 6, 3, 3] y) { y = Conv (x, w) }"""
    )
    graph.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    x = np.random.default_rng(1).normal(size=(1, 4, 3, 3)).astype(np.float32)
    groups = [np.einsum("oi,nihw->nohw", weights[3 * g : 3 * g + 3, :, 0, 0], x[:, 2 * g : 2 * g + 2]) for g in (0, 1)]
    np.testing.assert_allclose(run(set_groups(graph), x=x), np.concatenate(groups, axis=1), atol=1e-5)
