"""How gradients pass rectifiers: as calculus has it, by guided backpropagation, or as in Zeiler & Fergus's deconvnet.

    gradient   where the input was above 0: the derivative
    deconvnet  where the gradient is above 0: the reconstruction is rectified as the maps were
    guided     where both are: Springenberg et al., "Striving for simplicity: the all convolutional net", 2014
    redirected the derivative; for an image where that is 0 everywhere, the gradient but for what would lower the input
               further: so ascent leaves an image that excites a map nowhere (the authors' package lucid, 0.3)

All else in a network is its transpose: convolutions become transposed convolutions with their own filters, and
max pooling puts values back to its switches, which is the gradient of the layer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf
from keras import activations

from tfcnn.graph import Step, apply_step
from tfcnn.layers import LocalResponseNormalization

RULES = ("gradient", "guided", "deconvnet", "redirected")
RECTIFIERS = (activations.relu, activations.relu6)
RECTIFYING_FUNCTIONS = ("Relu", "Relu6")  # classes of keras.ops functions
OTHER_FUNCTIONS = ("Elu", "Gelu", "HardSigmoid", "HardSilu", "HardTanh", "LeakyRelu", "Sigmoid", "Silu", "Tanh")


def make_apply(rule: str, last: Step) -> Callable[[Step, tuple, dict], Any]:
    """A function that computes a step of a graph, for `tfcnn.graph.evaluate`, whose gradients follow a rule.

    The softmax of the step `last` is left out: what is explained is the number before it, which depends on no other
    class.

    Args:
        rule: one of RULES.
        last: the step that makes the network's output.

    Raises:
        ValueError: an unknown rule; from the function, an activation for which guided backpropagation and the
            deconvnet are not defined.
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got '{rule}'")

    def apply(step: Step, args: tuple, kwargs: dict) -> Any:
        operation = step.operation
        activation = getattr(operation, "activation", None)
        if step is last and isinstance(operation, keras.layers.Softmax):
            return args[0]
        if step is last and activation is activations.softmax:
            with _activation_replaced(operation, activations.linear):
                return apply_step(step, args, kwargs)
        if rule == "gradient":
            return apply_step(step, args, kwargs)
        if activation in RECTIFIERS:
            with _activation_replaced(operation, rectify(activation, rule)):
                return apply_step(step, args, kwargs)
        if is_rectifier(operation):
            return rectify(operation, rule)(args[0])
        if rule == "deconvnet" and isinstance(operation, LocalResponseNormalization):
            return pass_by(operation)(args[0])
        name = None if rule == "redirected" else other_activation(step)
        if name:
            raise ValueError(
                f"{rule} is defined for networks of rectifiers; {operation.name} has {name}: use gradient, SmoothGrad "
                "or integrated gradients"
            )
        return apply_step(step, args, kwargs)

    return apply


def is_rectifier(operation: Any) -> bool:
    """Whether a layer or a function of keras.ops is max(x, 0), perhaps with an upper limit."""
    if isinstance(operation, keras.layers.ReLU):
        return not operation.negative_slope and not operation.threshold
    return type(operation).__name__ in RECTIFYING_FUNCTIONS


def other_activation(step: Step) -> str | None:
    """The name of a step's activation, if it is neither a rectifier nor linear."""
    operation = step.operation
    activation = getattr(operation, "activation", None)
    if activation not in (None, activations.linear, activations.softmax, *RECTIFIERS):
        return getattr(activation, "__name__", str(activation))
    layer_with_slope = isinstance(operation, keras.layers.ReLU | keras.layers.LeakyReLU) and not is_rectifier(operation)
    name = type(operation).__name__
    return name if layer_with_slope or name in OTHER_FUNCTIONS else None


def rectify(function: Callable[[Any], Any], rule: str) -> Callable[[Any], Any]:
    """A rectifier with the same values, whose gradient follows a rule."""

    @tf.custom_gradient
    def rectified(x: Any) -> Any:
        y = function(x)

        def backward(gradient: Any) -> Any:
            nothing = tf.zeros_like(gradient)
            if rule == "deconvnet":
                return tf.nn.relu(gradient)
            passes = tf.logical_and(y > 0, tf.equal(x, y))  # not at the upper limit either
            if rule == "guided":
                return tf.where(passes, tf.nn.relu(gradient), nothing)
            derivative = tf.where(passes, gradient, nothing)
            upwards = tf.where(tf.logical_and(x < 0, gradient < 0), nothing, gradient)
            moves = tf.reduce_any(tf.not_equal(derivative, 0), list(range(1, len(x.shape))), keepdims=True)
            return tf.where(moves, derivative, upwards)

        return y, backward

    return rectified


def pass_by(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function with the gradient of the identity. The deconvnet passes contrast normalisation by."""

    @tf.custom_gradient
    def passed(x: Any) -> Any:
        return function(x), lambda gradient: gradient

    return passed


@contextlib.contextmanager
def _activation_replaced(layer: keras.layers.Layer, activation: Callable[[Any], Any]) -> Iterator[None]:
    kept = layer.activation
    layer.activation = activation
    try:
        yield
    finally:
        layer.activation = kept
