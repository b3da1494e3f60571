"""What `tfcnn.predict` writes of a segmentation: masks, overlays and a table."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tfcnn.errors import BadInput
from tfcnn.results import INFERENCES, Network, Options
from tfcnn.results.folder import name_outputs, write_table, writing_predictions
from tfcnn.results.resampling import Places, places_of, predict_tiled
from tfcnn.results.views import check_views
from tfcnn.tasks import IGNORE_LABEL

if TYPE_CHECKING:
    import numpy as np

    from pipelines.inputs import Example

OPACITY = 0.5  # of the classes' colours in an overlay


class Share(NamedTuple):
    """How much of a mask a class takes."""

    name: str
    pixels: int
    share: float  # of the pixels that the network tells something of


def predict_masks(network: Network, examples: Sequence[Example], options: Options) -> Iterator[str]:
    """The lines of `tfcnn.predict`: the shares of the classes in each example, the largest first.

    With `options.out` it writes for each image its mask, a palette PNG of the image's own size whose values are the
    numbers of the classes (255: nothing is known), and an overlay; for each volume its mask as .npz; and
    predictions.csv, which names the file of each mask.

    Raises:
        BadInput: volumes in tiles, or mirrored.
    """
    check_views(network.facts, options.tta)
    images = len(network.inputs.shape) == 3
    if not images and options.inference != INFERENCES[0]:
        raise BadInput(f"--inference {options.inference} is for images, and this run takes volumes: leave it out")
    places = places_of(network.model, network.facts) if images else None
    names = name_outputs([example.name for example in examples], (".png", "-overlay.png") if images else (".npz",))
    width = max(len(example.name) for example in examples)
    rows = []
    with contextlib.ExitStack() as stack:
        folder = None if options.out is None else stack.enter_context(writing_predictions(options.out))
        for example, outputs in zip(examples, names, strict=True):
            pixels = network.inputs.pixels(example)
            if places is None:
                mask = network.predict_pixels(pixels[None])[0].argmax(-1).astype("uint8")
            else:
                mask = predict_mask(network, pixels, places, options.inference, options.tta)
            shares = count_shares(mask, network.class_names)
            rows += [(example.name, *share, outputs[0]) for share in shares]
            if folder is not None and images:
                write_mask(mask, folder / outputs[0])
                write_overlay(pixels, mask, folder / outputs[1])
            elif folder is not None:
                write_volume(mask, folder / outputs[0])
            present = sorted(filter(lambda share: share.pixels, shares), key=lambda share: -share.pixels)
            yield f"{example.name:{width}}  " + "  ".join(f"{share.name} {share.share:.1%}" for share in present)
        if folder is not None:
            write_table(folder, ("image", "class", "pixels", "share", "mask"), rows)


def predict_mask(network: Network, pixels: np.ndarray, places: Places, inference: str, tta: str = "none") -> np.ndarray:
    """The classes of the pixels of an image, uint8 (height, width); 255 where nothing is known.

    Args:
        network: of the run.
        pixels: (height, width, channels), 0 ... 255.
        places: of its map.
        inference: "resize": the whole image at the network's size; "tile": windows of that size at the image's scale.
        tta: "flip": probabilities are averaged over the image and its mirror image; "none": those of the image.
    """
    import numpy as np

    views = [pixels]
    if tta == "flip":
        views.append(np.flip(pixels, 1))
    if inference == "resize":
        maps = [network.predict_pixels(view[None])[0] for view in views]
        return places.classes(maps[0], (pixels.shape[0], pixels.shape[1]), *maps[1:])
    mean = np.asarray(network.facts["mean"], np.float32)
    std = np.asarray(network.facts["std"], np.float32)
    total = np.zeros((), np.float32)
    for number, view in enumerate(views):
        standardised = (view.astype(np.float32) / 255 - mean) / std
        probabilities = predict_tiled(network.model, standardised, places, -mean / std)
        total = total + (np.flip(probabilities, 1) if number else probabilities)
    return total.argmax(-1).astype(np.uint8)


def count_shares(mask: np.ndarray, names: Sequence[str]) -> list[Share]:
    """How much of a mask each class takes.

    >>> import numpy as np
    >>> [tuple(share) for share in count_shares(np.array([[0, 1], [1, 255]], np.uint8), ["sky", "sea"])]
    [('sky', 1, 0.3333), ('sea', 2, 0.6667)]
    """
    import numpy as np

    counts = np.bincount(mask.ravel(), minlength=IGNORE_LABEL + 1)[: len(names)]
    total = max(int(counts.sum()), 1)
    return [Share(name, int(count), round(int(count) / total, 4)) for name, count in zip(names, counts, strict=True)]


def write_mask(mask: np.ndarray, path: Path) -> None:
    """Write a mask as PNG with PASCAL VOC's palette: the number of the class is the value of the pixel."""
    from PIL import Image

    from tfcnn.visualize.palette import voc_palette

    picture = Image.fromarray(mask)
    picture.putpalette(voc_palette().tobytes())
    picture.save(path)


def write_overlay(pixels: np.ndarray, mask: np.ndarray, path: Path) -> None:
    """Write an image under the colours of its classes; where nothing is known, it shows as it is."""
    import numpy as np
    from PIL import Image

    from tfcnn.visualize.palette import voc_palette

    shown = pixels if pixels.shape[-1] in (1, 3) else pixels.mean(-1, keepdims=True)
    image = np.broadcast_to(shown, (*mask.shape, 3)).clip(0, 255)
    opacity = np.where(mask == IGNORE_LABEL, 0, OPACITY)[..., None]
    blend = image * (1 - opacity) + voc_palette()[mask] * opacity
    Image.fromarray(blend.round().astype(np.uint8)).save(path)


def write_volume(mask: np.ndarray, path: Path) -> None:
    """Write the mask of a volume, uint8 (depth, height, width), as the array `mask` of a .npz file."""
    import numpy as np

    np.savez_compressed(path, mask=mask)
