"""Learning rates by depth, and the statistics of batch norms, where training starts from loaded weights.

The values are those of `tfcnn.training.recipes`, which names their sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from tfcnn.graph import in_order, is_head
from tfcnn.models.backbones import backbone_part
from tfcnn.models.registry import family_of
from tfcnn.training.batch_statistics import batch_norms
from tfcnn.training.schedules import Schedule


class Part(NamedTuple):
    """Variables that learn at one share of the learning rate."""

    variables: list[keras.Variable]
    share: float
    learns_first: bool  # also while the new layers learn alone


def depth_groups(model: keras.Model, arch: str) -> list[list[keras.layers.Layer]]:
    """The layers that hold weights, in groups from the input to the output.

    A group ends with each of the network's stages; the layers after the last stage are a group, and the head is one. In
    a network without stages each layer is a group. The layers of a detector after its backbone are one group.

    Args:
        model: a network of `tfcnn.build`.
        arch: its name, or that of its backbone.
    """
    network = backbone_part(model)
    order = in_order(network)
    beyond = [layer for layer in in_order(model) if layer not in order]
    names = {layer.name for layer in network.layers}
    stages = [name for name in family_of(arch).features if name in names]
    if not stages:
        return [*([layer] for layer in order), *([beyond] if beyond else [])]
    groups = []
    seen: set[int] = set()
    for stage in stages:
        below = in_order(keras.Model(network.input, network.get_layer(stage).output))
        groups.append([layer for layer in below if id(layer) not in seen])
        seen.update(id(layer) for layer in below)
    above = [layer for layer in order if id(layer) not in seen]
    groups.append([layer for layer in above if not is_head(layer)])
    groups.append([layer for layer in above if is_head(layer)])
    groups.append(beyond)
    return [group for group in groups if group]


def divide_by_depth(model: keras.Model, arch: str, decay: float, new_layers: int) -> list[Part]:
    """The trainable variables of a network by their shares of the learning rate.

    Args:
        model: a network of `tfcnn.build`.
        arch: its name, or that of its backbone.
        decay: the share of a depth group is decay to the power of the number of groups above it, as in timm.
        new_layers: how many of the last layers learn while the others do not yet.
    """
    groups = depth_groups(model, arch)
    new = {id(layer) for layer in in_order(model)[-new_layers:]}
    parts = []
    for above, group in enumerate(reversed(groups)):
        for learns_first in (True, False):
            layers = [layer for layer in group if (id(layer) in new) is learns_first]
            variables = [variable for layer in layers for variable in layer.trainable_variables]
            if variables:
                parts.append(Part(variables, decay**above, learns_first))
    return parts


def scale_rates(optimizer: keras.optimizers.Optimizer, schedule: Schedule, parts: Sequence[Part]) -> None:
    """Let an optimiser change each part at its share of the learning rate, from now on.

    The rate is scaled and not the gradient, whose size an Adam does not see. A share of 0 leaves the variables as they
    are, to the bit: steps and decoupled weight decay are products with the rate in all of Keras' optimisers. Moments
    are updated all the same, and clipping by the global norm counts all gradients.

    Args:
        optimizer: with `schedule` for its learning rate; not a loss-scale optimiser around it.
        schedule: while it is in its head phase, only the parts that learn first do.
        parts: all variables that the optimiser changes.
    """
    update = optimizer._backend_update_step
    decay_weights = optimizer._apply_weight_decay
    weight_decay = optimizer.weight_decay
    part_of = {id(variable): number for number, part in enumerate(parts) for variable in part.variables}

    def shares() -> list[Any]:
        alone = schedule.in_head_phase(optimizer._iterations)
        return [ops.where(alone, float(part.learns_first), part.share) for part in parts]

    def scaled_update(grads: Sequence[Any], variables: Sequence[keras.Variable], rate: Any) -> None:
        for number, share in enumerate(shares()):
            places = [place for place, variable in enumerate(variables) if part_of[id(variable)] == number]
            if places:
                update([grads[place] for place in places], [variables[place] for place in places], rate * share)

    def scaled_decay(variables: Sequence[keras.Variable]) -> None:
        if weight_decay is None:
            return
        for number, share in enumerate(shares()):
            members = [variable for variable in variables if part_of[id(variable)] == number]
            optimizer.weight_decay = weight_decay * share
            try:
                decay_weights(members)
            finally:
                optimizer.weight_decay = weight_decay

    optimizer._backend_update_step = scaled_update
    optimizer._apply_weight_decay = scaled_decay


def set_momentum(model: keras.Model, momentum: float) -> None:
    """Set the share of the old value in the moving statistics of all batch norms of a network."""
    for layer in batch_norms(model):
        layer.momentum = momentum
