"""Explanations against published packages: tf-keras-vis (Grad-CAM, saliency) and xplique (deconvnet, guided).

SqueezeNet has overlapping poolings and concatenations. Each package is left out where it is not installed.
"""

import numpy as np
import pytest

import tfcnn
from tests.tfcnn.visualize.small_networks import classifier, images
from tfcnn.visualize import attribution
from tfcnn.visualize.points import Target

pytestmark = pytest.mark.torch

CLASS = 1


def squeezenet():
    """Fire modules and overlapping pools; the standard deviations of the kernels are He's."""
    model = tfcnn.build("squeezenet1_1", (64, 64, 3), 4, width=0.25)
    rng = np.random.default_rng(2)
    model.set_weights(
        [rng.normal(0, np.sqrt(2 / max(np.prod(w.shape[:-1]), 50)), w.shape) for w in model.get_weights()]
    )
    return model


# Each network with the layer whose maps are explained.
NETWORKS = {"two convolutions": (classifier, "second"), "squeezenet1_1": (squeezenet, "stage3")}


@pytest.fixture(params=NETWORKS)
def example(request):
    """A network, its layer and two images."""
    make, layer = NETWORKS[request.param]
    model = make()
    return model, layer, images(2, model.input_shape[1:])


@pytest.fixture
def grad_cam():
    """The class of tf-keras-vis."""
    return pytest.importorskip("tf_keras_vis.gradcam").Gradcam


@pytest.fixture
def saliency():
    """The class of tf-keras-vis."""
    return pytest.importorskip("tf_keras_vis.saliency").Saliency


@pytest.fixture
def xplique():
    return pytest.importorskip("xplique.attributions")


def score_class(output):
    """tf-keras-vis's score of one class in each image."""
    return output[:, CLASS]


def one_hot(model):
    """xplique's target of one class in each of two images."""
    return np.eye(model.output_shape[-1], dtype="float32")[[CLASS, CLASS]]


def test_grad_cam_equals_tf_keras_vis(example, grad_cam):
    model, layer, pictures = example
    expected = grad_cam(model, clone=False)(
        score_class,
        pictures,
        penultimate_layer=layer,
        seek_penultimate_conv_layer=False,
        expand_cam=False,
        normalize_cam=False,
    )
    assert np.max(expected) > 1e-4, "a map that is nowhere positive is 0 by any method"
    result = attribution.grad_cam(model, pictures, Target(channel=CLASS), layer=layer)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.filterwarnings("ignore:The structure of `inputs`:UserWarning")  # a list of one input
def test_the_gradient_equals_the_saliency_of_tf_keras_vis(example, saliency):
    model, _, pictures = example
    explain = saliency(model, clone=False)
    expected = explain(score_class, pictures, keepdims=True, gradient_modifier=None, normalize_map=False)
    assert np.abs(expected).max() > 1e-4
    result = attribution.gradient(model, pictures, Target(channel=CLASS))
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-7)


def test_guided_backpropagation_equals_xplique(example, xplique):
    model, _, pictures = example
    expected = xplique.GuidedBackprop(model, reducer=None)(pictures, one_hot(model))
    assert np.abs(expected).max() > 1e-4
    result = attribution.guided_backpropagation(model, pictures, Target(channel=CLASS))
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-7)


def test_the_deconvnet_of_a_class_equals_xplique_times_its_score(example, xplique):
    model, _, pictures = example
    expected = xplique.DeconvNet(model, reducer=None)(pictures, one_hot(model)).numpy()
    scores = model(pictures).numpy()[:, CLASS]
    assert scores.max() > 1e-4, "a class below 0 is projected to 0"
    result = attribution.deconvnet(model, pictures, Target(channel=CLASS))
    np.testing.assert_allclose(result, np.maximum(scores, 0)[:, None, None, None] * expected, rtol=1e-4, atol=1e-7)
