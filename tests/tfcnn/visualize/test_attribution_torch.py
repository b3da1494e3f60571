"""Guided backpropagation, the deconvnet and Grad-CAM against a few lines of PyTorch."""

import numpy as np
import pytest

from tests.tfcnn.visualize.small_networks import classifier, images
from tfcnn.visualize import attribution
from tfcnn.visualize.points import Target

pytestmark = pytest.mark.torch


def rectifier(rule):
    import torch

    class Rectifier(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            context.save_for_backward(x)
            return x.clamp(min=0)

        @staticmethod
        def backward(context, gradient):
            (x,) = context.saved_tensors
            gradient = gradient if rule == "gradient" else gradient.clamp(min=0)
            return gradient if rule == "deconvnet" else gradient * (x > 0)

    return Rectifier.apply


def run(weights, pictures, rule):
    """The image, the second convolution's maps and the logits, as PyTorch computes them."""
    import torch
    from torch.nn import functional

    relu = rectifier(rule)
    kernel1, bias1, kernel2, bias2, dense, bias3 = (torch.tensor(w) for w in weights)
    image = torch.tensor(pictures.transpose(0, 3, 1, 2), requires_grad=True)
    first = relu(functional.conv2d(image, kernel1.permute(3, 2, 0, 1), bias1))
    second = relu(functional.conv2d(functional.max_pool2d(first, 2), kernel2.permute(3, 2, 0, 1), bias2))
    return image, second, second.mean((2, 3)) @ dense + bias3


@pytest.mark.parametrize(
    ("rule", "method"), [("gradient", attribution.gradient), ("guided", attribution.guided_backpropagation)]
)
def test_gradients_of_the_class(rule, method):
    model = classifier()
    image, _, logits = run(model.get_weights(), images(), rule)
    logits[:, 1].sum().backward()
    expected = image.grad.numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(method(model, images(), Target(channel=1)), expected, rtol=1e-4, atol=1e-6)


def test_deconvnet_of_a_map():
    model = classifier()
    image, maps, _ = run(model.get_weights(), images(), "deconvnet")
    strongest = maps[:, 3].flatten(1).max(1).values
    (strongest**2 / 2).sum().backward()  # whose derivative is the activation
    expected = image.grad.numpy().transpose(0, 2, 3, 1)
    result = attribution.deconvnet(model, images(), Target("second", 3))
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_grad_cam():
    import torch

    model = classifier()
    _, maps, logits = run(model.get_weights(), images(), "gradient")
    (gradient,) = torch.autograd.grad(logits[:, 2].sum(), maps)
    expected = (gradient.mean((2, 3), keepdim=True) * maps).sum(1).detach().numpy()
    assert (expected > 0.01).any()
    result = attribution.grad_cam(model, images(), Target(channel=2), layer="second", signed=True)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-6)
