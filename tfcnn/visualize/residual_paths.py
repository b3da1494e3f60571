"""What happens to a network whose blocks are left out or change places, and how much gradient paths of a length carry.

Veit, Wilber & Belongie, "Residual networks behave like ensembles of relatively shallow networks", 2016: a network of n
residual blocks is the sum of 2^n paths, each of which takes the branch of some blocks and the shortcut of all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfcnn import graph
from tfcnn.graph import Graph, Step, apply_step


class Unit(NamedTuple):
    """A part of a network that can be left out, since what leaves it has the shape of what enters it.

    Attributes:
        steps: whose outputs are replaced by one of their inputs.
        passed: the number of that input.
        layers: those with weights in it, in their order.
    """

    steps: list[Step]
    passed: int
    layers: list[keras.layers.Layer]

    @property
    def weight_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Units with the same shapes can change places."""
        return tuple(tuple(weight.shape) for layer in self.layers for weight in layer.weights)


def residual_blocks(network: Graph) -> list[Unit]:
    """The residual blocks of a network: the sums of two maps, of which the one computed by more steps is the branch.

    Raises:
        ValueError: there is none.
    """
    steps = network.steps
    before: dict[int, frozenset[int]] = {}  # for each tensor the numbers of the steps that compute it
    units = []
    for number, step in enumerate(steps):
        needed = [before.get(id(tensor), frozenset()) for tensor in step.inputs]
        before |= dict.fromkeys(map(id, step.outputs), frozenset().union(*needed) | {number})
        if isinstance(step.operation, keras.layers.Add) and len(needed) == 2:
            shortcut = int(len(needed[1]) < len(needed[0]))
            branch = sorted(needed[1 - shortcut] - needed[shortcut])
            units.append(Unit([step], shortcut, [steps[n].operation for n in branch if has_weights(steps[n])]))
    if not units:
        raise ValueError("the network has no residual block")
    return units


def plain_layers(network: Graph) -> list[Unit]:
    """The convolutions that keep the shape of their input, each with the normalisation and activation after it.

    Raises:
        ValueError: there is none.
    """
    units: list[Unit] = []
    follows = False
    for step in network.steps:
        operation = step.operation
        if isinstance(operation, graph.CONVOLUTIONS):
            follows = step.input_shape == step.output_shape
            if follows:
                units.append(Unit([step], 0, [operation]))
        elif follows and isinstance(operation, keras.layers.BatchNormalization | keras.layers.ReLU):
            units[-1].steps.append(step)
            units[-1].layers.extend([operation] if has_weights(step) else [])
        else:
            follows = False
    if not units:
        raise ValueError("the network has no convolution that keeps the shape of its input")
    return units


def has_weights(step: Step) -> bool:
    """Whether a step is a layer with weights."""
    return bool(getattr(step.operation, "weights", []))


class Parts:
    """A network whose units can be left out.

    Args:
        network: a model with one input, from `tfcnn.graph.read`.
        units: of this network, from `residual_blocks` or `plain_layers`.
    """

    def __init__(self, network: Graph, units: Sequence[Unit]) -> None:
        self.graph = network
        self.units = units
        self._gates = {id(step.outputs[0]): number for number, unit in enumerate(units) for step in unit.steps}
        self._path_gradients = tf.function(self._trace_path_gradients)

    def outputs(self, images: np.ndarray, left_out: Sequence[int] = ()) -> np.ndarray:
        """The network's outputs without some units.

        Args:
            images: float (images, height, width, channels), standardised.
            left_out: numbers of units.

        Returns:
            float32 (images, classes).
        """

        def apply(step: Step, args: tuple, kwargs: dict) -> Any:
            number = self._gates.get(id(step.outputs[0]))
            if number is not None and number in left_out:
                return keras.tree.flatten(args)[self.units[number].passed]
            return apply_step(step, args, kwargs)

        return graph.evaluate(self.graph, [tf.constant(images, tf.float32)], self.graph.outputs, apply)[0].numpy()

    def path_gradients(self, images: np.ndarray, labels: np.ndarray, branches: np.ndarray) -> np.ndarray:
        """What one path contributes to the gradient of the loss, in the images.

        Its sum over all 2^n paths is the gradient.

        Args:
            images: as of `outputs`.
            labels: int (images,).
            branches: bool (units,), of residual blocks: where the path takes the branch and not the shortcut.

        Returns:
            Of the cross-entropy of each image, float32 in the shape of the images.
        """
        numbers = tf.constant(branches, tf.float32)
        return self._path_gradients(tf.constant(images, tf.float32), tf.constant(labels), numbers).numpy()

    def _trace_path_gradients(self, images: Any, labels: Any, branches: Any) -> Any:
        def apply(step: Step, args: tuple, kwargs: dict) -> Any:
            number = self._gates.get(id(step.outputs[0]))
            result = apply_step(step, args, kwargs)
            if number is None:
                return result
            values = keras.tree.flatten(args)
            shortcut = values.pop(self.units[number].passed)
            path = branches[number] * values[0] + (1 - branches[number]) * shortcut
            return path + tf.stop_gradient(result - path)

        with tf.GradientTape() as tape:
            tape.watch(images)
            (logits,) = graph.evaluate(self.graph, [images], self.graph.outputs, apply)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return tape.gradient(losses, images)


def gradient_by_length(
    parts: Parts, images: np.ndarray, labels: np.ndarray, *, samples: int, seed: int = 0
) -> np.ndarray:
    """The mean magnitude of the gradient that a path of a length carries (section 4.3 and figure 6b of the paper).

    Args:
        parts: a network and its residual blocks.
        images, labels: as of `Parts.path_gradients`.
        samples: paths drawn of each length.
        seed: of the draws.

    Returns:
        float64 (blocks + 1,): Euclidean norm in an image, in the mean over images and paths, for paths through 0, 1,
        2, ... branches.
    """
    count = len(parts.units)
    rng = np.random.default_rng(seed)
    magnitudes = np.zeros(count + 1)
    for length in range(count + 1):
        for _ in range(samples):
            branches = np.zeros(count, bool)
            branches[rng.choice(count, length, replace=False)] = True
            gradients = parts.path_gradients(images, labels, branches)
            magnitudes[length] += np.sqrt((gradients.astype("float64") ** 2).sum((1, 2, 3))).mean()
    return magnitudes / samples


def permute(units: Sequence[Unit], order: Sequence[int]) -> None:
    """Give each unit the weights that the unit of this number in `order` has.

    Raises:
        ValueError: the weights of two units differ in shape.
    """
    for unit, number in zip(units, order, strict=True):
        if unit.weight_shapes != units[number].weight_shapes:
            raise ValueError(f"unit {number} has weights of {units[number].weight_shapes}, not {unit.weight_shapes}")
    weights = [[layer.get_weights() for layer in unit.layers] for unit in units]
    for unit, number in zip(units, order, strict=True):
        for layer, values in zip(unit.layers, weights[number], strict=True):
            layer.set_weights(values)


def swap_at_random(units: Sequence[Unit], swaps: int, rng: np.random.Generator) -> list[int]:
    """An order of units after random swaps of two with the same shapes, for `permute`."""
    groups: dict[Any, list[int]] = {}
    for number, unit in enumerate(units):
        groups.setdefault(unit.weight_shapes, []).append(number)
    larger = [group for group in groups.values() if len(group) > 1]
    order = list(range(len(units)))
    for _ in range(swaps):
        group = larger[rng.choice(len(larger), p=np.array([*map(len, larger)]) / sum(map(len, larger)))]
        one, other = rng.choice(group, 2, replace=False)
        order[one], order[other] = order[other], order[one]
    return order
