"""Test-time augmentation: probabilities averaged over views of an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tfcnn.errors import BadInput
from tfcnn.results import Facts, Network, Options
from tfcnn.results.outputs import probabilities_of

if TYPE_CHECKING:
    import numpy as np

    from pipelines.inputs import Example

MARGIN = 256 / 224  # side of the image that is cropped, to that of a crop


def check_views(facts: Facts, tta: str) -> None:
    """Raises BadInput where a network takes no images, or has no use for crops."""
    if tta == "none":
        return
    if len(facts["image_shape"]) != 3:
        shape = "x".join(map(str, facts["image_shape"]))
        raise BadInput(f"--tta {tta} is for images, and this run takes examples of {shape}: leave it out")
    if tta != "flip" and facts["task"] != "classification":
        raise BadInput(f"--tta {tta} is for classification, and this run is for {facts['task']}: take --tta flip")


def describe_views(facts: Facts, tta: str) -> str:
    """A note where the network has never seen a mirrored image; "" where it has, or where that is unknown."""
    mirrored = facts.get("augmentation", {}).get("hflip")
    if tta not in ("flip", "ten-crop") or mirrored != 0:
        return ""
    other = "; --tta five-crop mirrors none" if facts["task"] == "classification" else ""
    return f"--tta {tta} mirrors images, and this run was trained without mirrored images (--hflip 0){other}"


def predict_views(network: Network, examples: Sequence[Example], options: Options) -> Iterator[np.ndarray]:
    """The probabilities of a classifier, float32 (batch, classes), averaged over the views of each example.

    With "none" the example as for the evaluation; with "flip" also its mirror image; with "five-crop" the corners and
    the middle of the image at 8/7 of the network's size; with "ten-crop" also their mirror images, as in Krizhevsky,
    Sutskever & Hinton, "ImageNet classification with deep convolutional neural networks" (2012), section 4.1.

    Args:
        network: of the run.
        examples: opened.
        options: tta and batch_size, the number of examples that the network gets at once.
    """
    import numpy as np

    from pipelines.inputs import Inputs

    height, width = network.inputs.shape[:2]
    inputs = network.inputs
    if options.tta.endswith("crop"):
        larger = (round(MARGIN * height), round(MARGIN * width), network.inputs.shape[-1])
        inputs = Inputs(network.facts | {"image_shape": larger})
    for batch in inputs.batches(examples, options.batch_size):
        views = [batch]
        if options.tta.endswith("crop"):
            views = five_crops(batch, height, width)
        if options.tta in ("flip", "ten-crop"):
            views += [view[:, :, ::-1] for view in views]
        yield np.mean([probabilities_of(network.model, view, network.facts) for view in views], axis=0)


def five_crops(images: np.ndarray, height: int, width: int) -> list[np.ndarray]:
    """The four corners and the middle of images, each of a height and a width.

    >>> import numpy as np
    >>> [crop[0, ..., 0].tolist() for crop in five_crops(np.arange(9).reshape(1, 3, 3, 1), 1, 1)]
    [[[0]], [[2]], [[6]], [[8]], [[4]]]
    """
    bottom = images.shape[1] - height
    side = images.shape[2] - width
    corners = [(0, 0), (0, side), (bottom, 0), (bottom, side), (bottom // 2, side // 2)]
    return [images[:, top : top + height, left : left + width] for top, left in corners]
