"""From a name to a network: the registry, the weights and the maps put together.

Imports of what builds or loads a network wait until one is asked for: they import Keras.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.models import registry
from tfcnn.models.registry import builder_of, family_of

if TYPE_CHECKING:
    import keras


def arguments(
    arch: str,
    input_shape: tuple[int, ...] | None = None,
    num_classes: int | None = None,
    *,
    weights: str | None = None,
    image_scale: float = 1.0,
    **overrides: Any,
) -> dict[str, Any]:
    """Every argument of the architecture's builder: `registry.arguments`, with form and stem of a library's `weights`.

    Raises:
        BadInput: as `registry.arguments` does, or the file of the weights cannot be read.
    """
    if weights is not None:
        from tfcnn.weights.expectations import expected_arguments, network_of_weights

        network = network_of_weights(arch, overrides, weights)
        taken = registry.defaults_of(arch).keys() & registry.defaults_of(network).keys()
        expected = {key: value for key, value in expected_arguments(network, weights).items() if key in taken}
        overrides = expected | overrides
    return registry.arguments(arch, input_shape, num_classes, image_scale=image_scale, **overrides)


def arguments_of(
    config: Config, input_shape: tuple[int, ...], num_classes: int | None = None, weights: str | None = None
) -> dict[str, Any]:
    """`arguments` of a configuration, for images already scaled by its --phi. Raises BadInput."""
    scale = config.multipliers.resolution
    return arguments(config.arch, input_shape, num_classes, weights=weights, image_scale=scale, **config.overrides)


def build(
    arch: str,
    input_shape: tuple[int, ...] | None = None,
    num_classes: int | None = None,
    *,
    weights: str | None = None,
    features_only: bool = False,
    out_indices: Sequence[int] | None = None,
    **overrides: Any,
) -> keras.Model:
    """Build a network.

    Args:
        arch: one of `list_archs()`.
        input_shape: (height, width, channels), or as many axes as the architecture works on; default: the paper's.
        num_classes: size of the output; default: the paper's; 0: the pooled features of a classification network.
            Reconstruction networks, whose output has the channels of their input, take none.
        weights: "imagenet", or the path of a file that `tfcnn.weights.load` reads; default: fresh weights.
        features_only: return the maps at several scales instead of logits.
        out_indices: with `features_only`, which of the maps, counted from 0; default: all. `feature_info(model)`
            tells their names, channels and strides.
        overrides: the family's own arguments; every network takes `width` and `depth`.

    Returns:
        keras.Model: float images (batch, height, width, channels) in, float32 logits (batch, num_classes) out, or
        features (batch, channels), or a list of maps (batch, height / stride, width / stride, channels). Segmentation
        networks return logits at each position, (batch, height, width, num_classes).

    Raises:
        BadInput (a ValueError): unknown architecture or argument, a value out of range, or an image below the
            architecture's minimum.

    Example:
        >>> model = build("mobilenet", (32, 32, 1), 10, width=0.5)
        >>> model.output_shape
        (None, 10)
        >>> [maps.shape for maps in build("resnet18", features_only=True, out_indices=(1, 4)).outputs]
        [(None, 56, 56, 64), (None, 7, 7, 512)]
    """
    try:
        return _build(arch, input_shape, num_classes, weights, features_only, out_indices, overrides)
    except BadInput as error:
        error.argument_names = {"image_size": "input_shape", "dataset": "input_shape"}
        raise


def _build(
    arch: str,
    input_shape: tuple[int, ...] | None,
    num_classes: int | None,
    weights: str | None,
    features_only: bool,
    out_indices: Sequence[int] | None,
    overrides: dict[str, Any],
) -> keras.Model:
    """As `build`, whose errors name the arguments of `build`."""
    if features_only and family_of(arch).task == "classification":
        num_classes = 0
    if num_classes == 0 and family_of(arch).task != "classification":
        raise BadInput(f"{arch} has no pooled features: give num_classes above 0, or features_only=True")
    if features_only and family_of(arch).task == "detection":
        raise BadInput(f"{arch} has the maps of its backbone: build that with features_only=True")
    builder_arguments = arguments(arch, input_shape, num_classes, weights=weights, **overrides)
    try:
        model = builder_of(arch)(**builder_arguments)
    except RecursionError as error:  # Keras walks the graph by recursion, some five calls a layer
        depth = builder_arguments["depth"]
        raise BadInput(f"{arch} of depth {depth:g} is too deep for Keras: give a lower --depth") from error
    except BadInput as error:
        raise BadInput(f"{arch} cannot be built: {error.message}") from error
    except (TypeError, ValueError) as error:
        raise BadInput(f"{arch} cannot be built: {error}") from error
    _name_layers(model, arch, builder_arguments)
    if weights is not None:
        _load_weights(model, arch, weights, builder_arguments)
    if features_only:
        from tfcnn.models.features import features

        model = features(model, family_of(arch).features, out_indices)
    elif out_indices is not None:
        raise BadInput(f"out_indices={out_indices} chooses among maps: give features_only=True")
    return model


def _name_layers(model: keras.Model, arch: str, builder_arguments: dict[str, Any]) -> None:
    """Give the layers that have no name one that is the same in every process."""
    from tfcnn.layer_names import name_layers

    stages = family_of(registry.backbone_of(arch, builder_arguments)).features
    decoder = [layer.name for layer in model.layers if re.fullmatch(r"decoder\d+", layer.name)]
    rest = {"classification": "head", "detection": "head"}.get(family_of(arch).task, "decoder")
    name_layers(model, [*stages, *decoder], rest)


def _load_weights(model: keras.Model, arch: str, weights: str, builder_arguments: dict[str, Any]) -> None:
    """Load the weights and log what stayed fresh."""
    from tfcnn.weights.expectations import expected_standardisation, network_of_weights
    from tfcnn.weights.loading import load

    loaded = load(model, arch, weights, builder_arguments)
    level = logging.WARNING if loaded.fresh else logging.INFO
    logging.getLogger("tfcnn").log(level, "%s", loaded)
    standardisation = expected_standardisation(network_of_weights(arch, builder_arguments, weights), weights)
    if standardisation is not None:
        logging.getLogger("tfcnn").info("%s: images standardised with %s", weights, standardisation)


class Feature(NamedTuple):
    """One map: the layer that makes it, its channels, and how many pixels of the input lie between its positions."""

    name: str
    channels: int
    stride: tuple[int | Fraction, ...]  # a fraction where the map is larger than the image


def feature_info(model: keras.Model) -> list[Feature]:
    """Name, channels and strides of each map that a `features_only` model returns, as timm's `feature_info`.

    Example:
        >>> import tfcnn
        >>> tfcnn.feature_info(tfcnn.build("resnet18", features_only=True, out_indices=[4]))
        [Feature(name='stage5', channels=512, stride=(32, 32))]
    """
    from tfcnn.receptive_field import receptive_field

    return [
        Feature(name, output.shape[-1], receptive_field(model, name, windows_only=True).stride)
        for name, output in zip(model.output_names, model.outputs, strict=True)
    ]
