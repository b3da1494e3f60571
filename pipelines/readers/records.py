"""The encoded images and masks of a data set's records, which are files without a name: the rules are those of files.

A common record, an upright JPEG or a PNG of 8 bits without alpha, is known by its header; any other is examined as
`image_files` does it. TensorFlow decodes the common ones as it does those of a folder.

Boxes and masks of TensorFlow Datasets lie in the image as it is stored, whose EXIF orientation TensorFlow ignores. With
such targets an image is not turned upright.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import io
import os
import warnings
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from PIL import Image

from pipelines.errors import BadData, BadFile
from pipelines.readers import image_files
from pipelines.readers.image_files import PILLOW, TF_IMAGE, TF_JPEG, ImageFile

PNG = b"\x89PNG\r\n\x1a\n"
# Chunks that change the pixels of a PNG (transparency, frames), or may hold its orientation.
CHUNKS = (b"tRNS", b"acTL", b"eXIf", b"iTXt", b"tEXt", b"zTXt")
TURNED = "EXIF orientation"  # the note of `image_files`
IGNORED = "EXIF orientation ignored, as by the boxes or masks"

Columns = dict[str, np.ndarray]  # the examples of a split, along the first axis


@dataclasses.dataclass(frozen=True)
class Examined:
    """What the images of a split are."""

    images: list[ImageFile]

    @property
    def shapes(self) -> np.ndarray:
        """int32 (n, 2): height and width as decoded, upright."""
        return np.array([(image.height, image.width) for image in self.images], np.int32)

    @property
    def samples(self) -> list[tuple[int, ...]]:
        """The least and the largest sample of each image of 16-bit grey."""
        return [image.samples for image in self.images if image.samples]

    @property
    def notes(self) -> dict[str, int]:
        """How many images are converted, by what is odd about them."""
        return dict(collections.Counter(note for image in self.images for note in image.notes))


def examine_record(content: bytes, mask: bool = False, as_stored: bool = False) -> ImageFile | BadFile:
    """What a record is; `values` of a mask and `digest` are left out of a common one.

    Args:
        content: the file.
        mask: it holds class numbers.
        as_stored: it is not to be turned upright.
    """
    common = _read_png_header(content, mask) or (None if mask else _read_jpeg_header(content, as_stored))
    if common:
        return common
    file, _ = image_files.examine("", content, mask)
    if as_stored and isinstance(file, ImageFile) and TURNED in file.notes:
        return BadFile("", "", "it has an EXIF orientation, which its boxes or mask may not share")
    return file


def find_mask_values(mask: bytes | np.ndarray, what: str) -> list[int]:
    """The values in a mask, a file or an array. Raises BadData."""
    if isinstance(mask, bytes):
        file, _ = image_files.examine("", mask, mask=True)
        return list(_usable(file, what).values)
    return np.unique(mask).tolist()


def examine_split(columns: Columns, channels: int, as_stored: bool, where: str) -> tuple[Columns, Examined]:
    """Examine the encoded images and masks of a split.

    Args:
        columns: "image" and perhaps "mask", bytes (n,).
        channels: of the decoded images, 1 or 3.
        as_stored: the images are not to be turned upright.
        where: the split, for messages.

    Returns:
        (the columns with "decoder" and "mask_decoder", what the images are).

    Raises:
        BadData: an image or a mask that cannot be used.
    """
    images = _examine(columns["image"], where, as_stored=as_stored)
    decoders = {"decoder": np.array([choose_decoder(image, channels) for image in images], np.uint8)}
    if "mask" in columns and columns["mask"].dtype == object:
        masks = _examine(columns["mask"], where, mask=True, as_stored=as_stored)
        decoders["mask_decoder"] = np.array([mask.decoder for mask in masks], np.uint8)
        for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
            if (image.height, image.width) != (mask.height, mask.width):
                raise BadData(
                    f"mask {number} of {where} has {mask.width}×{mask.height} pixels, but its image has "
                    f"{image.width}×{image.height} (--dataset)"
                )
    return columns | decoders, Examined(images)


def choose_decoder(image: ImageFile, channels: int) -> int:
    """What decodes an image to that number of channels: TensorFlow weighs colours to grey by another rule."""
    return PILLOW if image.channels > channels else image.decoder


def with_decoders(example: dict[str, tf.Tensor], channels: int, as_stored: bool) -> dict[str, tf.Tensor]:
    """An encoded example of a stream with "decoder" and "mask_decoder"; in the graph, a bad one is an error."""

    def decoder_of_image(content: bytes) -> np.uint8:
        image = _usable(examine_record(content, as_stored=as_stored), "an image of a record")
        return np.uint8(choose_decoder(image, channels))

    def decoder_of_mask(content: bytes) -> np.uint8:
        mask = examine_record(content, mask=True, as_stored=as_stored)
        return np.uint8(_usable(mask, "a mask of a record").decoder)

    decoders = {"decoder": tf.numpy_function(decoder_of_image, [example["image"]], tf.uint8)}
    if "mask" in example and example["mask"].dtype == tf.string:
        decoders["mask_decoder"] = tf.numpy_function(decoder_of_mask, [example["mask"]], tf.uint8)
    return example | {name: tf.ensure_shape(value, ()) for name, value in decoders.items()}


def _examine(contents: Iterable[bytes], where: str, *, mask: bool = False, as_stored: bool) -> list[ImageFile]:
    """Examine the records of a split; those that are decoded for it in parallel, without Pillow's warnings."""
    what = "mask" if mask else "image"
    with warnings.catch_warnings(), concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")
        files = pool.map(lambda content: examine_record(content, mask, as_stored), contents)
        return [_usable(file, f"{what} {number} of {where}") for number, file in enumerate(files)]


def _usable(file: ImageFile | BadFile, what: str) -> ImageFile:
    if isinstance(file, BadFile):
        raise BadData(f"{what} cannot be used: {file.reason} (--dataset)")
    return file


def _read_png_header(content: bytes, mask: bool) -> ImageFile | None:
    """A PNG of grey, or colour unless it is a mask, of 8 bits without alpha; None for any other file."""
    if not content.startswith(PNG) or content[12:16] != b"IHDR" or content[24:25] != b"\x08":
        return None
    grey = content[25] == 0
    if not grey and (mask or content[25] != 2):
        return None
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    if width * height > image_files.MAX_PIXELS or any(chunk in content for chunk in CHUNKS):
        return None
    return ImageFile("", height, width, 1 if grey else 3, TF_IMAGE, (), "")


def _read_jpeg_header(content: bytes, as_stored: bool) -> ImageFile | None:
    """A JPEG of grey or RGB, upright or to be read as it is stored; None for any other file."""
    if not content.startswith(b"\xff\xd8\xff"):
        return None
    try:
        image = Image.open(io.BytesIO(content), formats=("JPEG",))
        turned = image_files.read_orientation(image) in image_files.UPRIGHT_BY
    except Exception:  # whatever the bytes led Pillow to: `image_files.examine` names it
        return None
    usable = image.mode in ("L", "RGB") and image.width * image.height <= image_files.MAX_PIXELS
    if not usable or (turned and not as_stored):
        return None
    notes = (IGNORED,) if turned else ()
    return ImageFile("", image.height, image.width, 1 if image.mode == "L" else 3, TF_JPEG, notes, "")
