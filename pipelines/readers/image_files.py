"""What one image file is: its size and channels, which decoder reads it, or why it cannot be used.

One fault stays unseen: a JPEG whose middle was overwritten decodes to a wrong picture, and libjpeg reports nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import re
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile as PillowFile

from pipelines.errors import BadFile
from pipelines.pixels import FULL_SCALE, lay_over_white, read_alpha, scale_samples, weigh_to_grey
from pipelines.targets import IGNORE_LABEL

TF_JPEG, TF_IMAGE, PILLOW = 0, 1, 2  # what decodes a file: tf.io.decode_jpeg, tf.io.decode_image, `read_image`
MAX_PIXELS = 1024**3 // 12  # 89 million: where Pillow begins to warn of decompression bombs
DARK = 64  # of 256 levels: 16-bit colours below it hold 14 bits or fewer, and lose their contrast
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # Pillow's others are rare, or start other programs
FORMAT_OF = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".pbm": "PPM",
}
UNSUPPORTED = (".avif", ".heic", ".heif", ".jp2", ".jxl", ".psd", ".svg", ".tga")  # images, but of no format above
MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"BM": "BMP",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"RIFF": "WebP",
    b"PK\x03\x04": "a ZIP archive",
    b"%PDF": "a PDF document",
    b"8BPS": "a Photoshop document",
    b"\x1f\x8b": "a gzip file",
}
GREY = ("1", "L", "LA", "I;16", "I;16B", "I;16L", "I;16N", "I")
COLOUR = ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr")
UPRIGHT_BY = {  # the transpose that makes an image upright, by the value of its EXIF tag
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """A file that can be used."""

    path: str  # "" of a record
    height: int  # as `read_image` returns it: upright
    width: int
    channels: int  # 1 for grey, 3 for colour
    decoder: int  # TF_JPEG | TF_IMAGE | PILLOW
    notes: tuple[str, ...]  # what is converted: "CMYK", "EXIF orientation" ...
    digest: str  # of the file's bytes: BLAKE2b, 16 bytes, hexadecimal
    values: tuple[int, ...] = ()  # of a mask: the class numbers in it
    samples: tuple[int, ...] = ()  # of 16-bit grey: the least and the largest sample


class Unusable(Exception):
    """A file cannot be used; the message is the reason."""


def is_image_name(name: str) -> bool:
    """Whether a file's name has the extension of an image, even one that cannot be read ("x.heic")."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix in FORMAT_OF or suffix in UNSUPPORTED


def count_pixels(content: bytes) -> int:
    """The pixels that the header of an image file promises; 0 of what is no image: `examine` says why."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return image.width * image.height
    except Image.DecompressionBombError as error:
        return _promised_pixels(error)
    except Exception:  # as in `examine`
        return 0


def read_image(file: str | BinaryIO, channels: int, white_level: int = FULL_SCALE) -> np.ndarray:
    """Decode an image file with Pillow.

    The image is upright by its EXIF tag. Alpha is laid over white. 16-bit grey is scaled by `white_level`; 16-bit
    colour keeps its upper byte, which is all that Pillow returns and what TensorFlow's decoder keeps.

    Args:
        file: the path or the content of a file that `examine` found usable.
        channels: 1 or 3. A colour image becomes grey by ITU-R 601-2 luma, grey is repeated.
        white_level: the 16-bit grey sample that becomes 255.

    Returns:
        uint8 (height, width, channels).
    """
    with Image.open(file, formats=FORMATS) as stored:
        raw_mode = _raw_mode(stored)
        image = _upright(stored)
        alpha = read_alpha(image, raw_mode)
        image.info.pop("transparency", None)  # Pillow would warn that it is lost
        if image.mode.startswith("I"):
            pixels = scale_samples(np.asarray(image), white_level)[..., None]
        elif image.mode in GREY:
            pixels = np.array(image.convert("L"))[..., None]
        else:
            pixels = np.array(image.convert("RGB"))
    if alpha is not None:
        pixels = lay_over_white(pixels, alpha)
    if channels == 1 and pixels.shape[-1] == 3:
        pixels = weigh_to_grey(pixels)
    return np.repeat(pixels, channels // pixels.shape[-1], axis=2)


def read_mask(file: str | BinaryIO) -> np.ndarray:
    """Decode the class numbers of a mask file, upright: a palette's index or the grey sample as stored.

    Returns:
        uint8 (height, width), with IGNORE_LABEL where a pixel belongs to no class.

    Raises:
        Unusable: it has more than one channel, fractions, or a number above 255.
    """
    with Image.open(file, formats=FORMATS) as image:
        return _read_class_numbers(image, _raw_mode(image))


def examine(path: str, data: bytes, mask: bool) -> tuple[ImageFile | BadFile, bool]:
    """Examine the bytes of a file; a record of a data set has no path ("").

    Returns:
        (ImageFile or BadFile, whether this holds until the file changes: not if memory ran out).
    """
    try:
        return _examine(path, data, mask), True
    except Unusable as error:
        return BadFile(path, "", str(error)), True
    except MemoryError:
        return BadFile(path, "", "not enough memory to decode it"), False
    except Image.DecompressionBombError as error:  # Pillow's own, at twice MAX_PIXELS
        return BadFile(path, "", _too_large(_promised_pixels(error))), True
    except UnidentifiedImageError:
        return BadFile(path, "", _guess_kind(data)), True
    except Exception as error:  # Pillow's readers raise whatever the bytes led them to
        text = " ".join(str(error).split()) or type(error).__name__
        return BadFile(path, "", "truncated" if "truncated" in text.lower() else f"corrupt: {text}"), True


class _Look(NamedTuple):
    """What an image's pixels tell."""

    height: int
    width: int
    values: tuple[int, ...] = ()  # of a mask
    samples: tuple[int, ...] = ()  # of 16-bit grey, the least and the largest
    see_through: bool = False
    dark: bool = False  # colours that Pillow returns with the upper of two bytes, of which little is used


def _examine(path: str, data: bytes, mask: bool) -> ImageFile:
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.format == "PNG":
        image.verify()  # the checksums, which Pillow skips as it decodes and TensorFlow's decoder insists on
        if b"IEND\xaeB`\x82" not in data:
            raise Unusable("truncated")
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    form = "JPEG" if image.format == "MPO" else str(image.format)  # several JPEGs in one file, the photograph first
    mode = image.mode
    raw_mode = _raw_mode(image)
    turned = read_orientation(image) in UPRIGHT_BY
    deep = mode.startswith("I") or (form in ("PNG", "TIFF") and ";16" in raw_mode)
    _check_usable(image, form, deep)
    look = _look(image, form, raw_mode, deep, mask)

    decoder = PILLOW
    if form == "JPEG" and mode in ("L", "RGB") and not turned:
        decoder = TF_JPEG
    elif form in ("PNG", "BMP") and not turned and not look.see_through:
        decoder = TF_IMAGE if _tensorflow_reads(form, mode, raw_mode, data, mask) else PILLOW
    conversions = {
        "EXIF orientation": turned,
        "extension of another format": bool(path) and FORMAT_OF.get(os.path.splitext(path)[1].lower()) != form,
        form: form not in ("JPEG", "PNG", "BMP"),
        "CMYK": mode == "CMYK",
        "palette": mode in ("P", "PA"),
        "alpha over white": look.see_through,
        "1 bit": mode == "1",
        "16 bits": deep,
        f"16-bit colour in fewer than {DARK} levels": look.dark,
    }
    return ImageFile(
        path=path,
        height=look.height,
        width=look.width,
        channels=1 if mode in GREY else 3,
        decoder=decoder,
        notes=tuple(note for note, applies in conversions.items() if applies),
        digest=hashlib.blake2b(data, digest_size=16).hexdigest(),
        values=look.values,
        samples=look.samples,
    )


def _check_usable(image: Image.Image, form: str, deep: bool) -> None:
    """Raises Unusable by what the header says."""
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise Unusable(_too_large(pixels))
    frames = 1 if form == "JPEG" else getattr(image, "n_frames", 1)
    if frames > 1:
        raise Unusable(f"{frames} frames or pages; an image has one")
    mode = image.mode
    if mode not in GREY + COLOUR or (mode == "I" and form != "PPM"):
        raise Unusable(f"pixels of {'floating point' if mode == 'F' else f'Pillow mode {mode}'}; use 8 or 16 bits")
    if deep and mode in COLOUR and "transparency" in image.info:
        raise Unusable("16-bit colours of which one is transparent; use 8 bits, or an alpha channel")


def _look(image: Image.Image, form: str, raw_mode: str, deep: bool, mask: bool) -> _Look:
    """Decode an image, a JPEG at an eighth of its size, and tell what its pixels say. Raises Unusable."""
    if mask:
        if form == "JPEG":
            raise Unusable("a JPEG, whose compression changes class numbers; masks are PNG files")
        numbers = _read_class_numbers(image, raw_mode)
        height, width = numbers.shape
        return _Look(height, width, values=tuple(np.unique(numbers).tolist()))
    if form == "JPEG":
        width, height = image.size
        image.draft("L", (1, 1))
        image.load()
        if read_orientation(image) in UPRIGHT_BY and read_orientation(image) >= 5:
            width, height = height, width
        return _Look(height, width)
    upright = _upright(image)
    alpha = read_alpha(upright, raw_mode)
    samples: tuple[int, ...] = ()
    if image.mode.startswith("I"):
        grey = np.asarray(upright)
        samples = (int(grey.min()), int(grey.max()))
    return _Look(
        height=upright.height,
        width=upright.width,
        samples=samples,
        see_through=alpha is not None and bool(alpha.min() < 255),
        dark=deep and image.mode in COLOUR and bool(np.asarray(upright)[..., :3].max() < DARK),
    )


def _tensorflow_reads(form: str, mode: str, raw_mode: str, data: bytes, mask: bool) -> bool:
    """Whether tf.io.decode_image decodes a PNG or BMP to the pixels of `read_image` or `read_mask`.

    It truncates 16-bit grey instead of rounding it, spreads a mask's few bits, reads one of the BMP headers, and
    refuses a BMP with bytes after its end.
    """
    if form == "PNG":
        return raw_mode == "L" if mask else not mode.startswith("I")
    if raw_mode != "BGR" or data[14] != 40:
        return False
    first_pixel, width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (10, 18, 22))
    return len(data) == first_pixel + abs(height) * ((3 * width + 3) // 4 * 4)  # rows are padded to four bytes


def _read_class_numbers(image: Image.Image, raw_mode: str) -> np.ndarray:
    if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
        raise Unusable(f"a mask has one channel of class numbers, grey or palette, not Pillow mode {image.mode}")
    spread = {"L;2": 85, "L;4": 17}.get(raw_mode, 1)  # Pillow spreads fewer bits over 0 ... 255
    numbers = np.asarray(_upright(image))
    if numbers.dtype != bool and not 0 <= numbers.min() <= numbers.max() <= 255:
        number = numbers.min() if numbers.min() < 0 else numbers.max()
        raise Unusable(
            f"class number {number} in a mask; 0 ... 254 are allowed, and {IGNORE_LABEL} for pixels to ignore"
        )
    return (numbers // spread if spread > 1 else numbers).astype(np.uint8)


def _raw_mode(image: PillowFile) -> str:
    """How the samples lie in the file: "L;4", "RGB;16B". Known only before the image is loaded."""
    arguments = image.tile[0][3] if image.tile else None
    if isinstance(arguments, tuple):
        return str(arguments[0])
    return arguments or ""


def read_orientation(image: Image.Image) -> int:
    """The value of the EXIF tag; 1 where there is none."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken metadata: the pixels may be good, and are read as they are stored
        return 1


def _upright(image: Image.Image) -> Image.Image:
    """The image, loaded and turned. ImageOps.exif_transpose would also rewrite all metadata, and fail on some."""
    image.load()  # first: a PNG may state its orientation at the end, and Pillow turns a TIFF as it loads
    transpose = UPRIGHT_BY.get(read_orientation(image))
    return image if transpose is None else image.transpose(transpose)


def _promised_pixels(error: Image.DecompressionBombError) -> int:
    return int(re.findall(r"\d+", str(error))[0])


def _too_large(pixels: int) -> str:
    return f"{pixels / 1e6:,.0f} million pixels; at most {MAX_PIXELS / 1e6:.0f} million are decoded"


def _guess_kind(data: bytes) -> str:
    """Why Pillow opens no image: what the bytes look like."""
    kind = next((kind for magic, kind in MAGIC.items() if data.startswith(magic)), None)
    if kind and not kind.startswith("a "):
        return f"corrupt: begins as {kind}, but its header cannot be read"
    if kind is None:
        beginning = data[:512].lstrip().lower()
        if data[4:8] == b"ftyp":
            kind = "an AVIF, HEIC or video file"
        elif beginning.startswith((b"<!doctype html", b"<html")):
            kind = "an HTML page"
        elif b"<svg" in beginning:
            kind = "an SVG drawing"
        elif not data[:512].translate(None, bytes(range(32, 127)) + b"\t\r\n"):
            kind = "text"
    return f"not an image: {kind}" if kind else f"not an image of a known format ({', '.join(FORMATS)})"
