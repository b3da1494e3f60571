"""What one image file is: its size and channels, which decoder reads it, or why it cannot be used.

What cannot be seen: a JPEG whose middle was overwritten decodes to a wrong picture without a word from libjpeg.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import re

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

TF_JPEG, TF_IMAGE, PILLOW = 0, 1, 2  # who decodes a file: tf.io.decode_jpeg, tf.io.decode_image, `read` here
MAX_PIXELS = 1024**3 // 12  # 89 million: where Pillow begins to warn of decompression bombs
IGNORE = 255  # the class number of mask pixels that do not count
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # Pillow's others are rare, or start other programs
FORMAT_OF = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **{".png": "PNG", ".bmp": "BMP", ".gif": "GIF", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP"},
    **dict.fromkeys((".ppm", ".pgm", ".pbm"), "PPM"),
}
UNREAD = (".avif", ".heic", ".heif", ".jp2", ".jxl", ".psd", ".svg", ".tga")  # images, but of no format above
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
TURNED = {  # what makes the image upright, by the value of its EXIF tag
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclasses.dataclass(frozen=True)
class Facts:
    """A file that can be used."""

    path: str
    height: int  # as `read` returns it: upright
    width: int
    channels: int  # 1 for grey, 3 for colour
    decoder: int  # TF_JPEG | TF_IMAGE | PILLOW
    notes: tuple[str, ...]  # what is converted: "CMYK", "EXIF orientation" ...
    digest: str  # of the file's bytes: BLAKE2b, 16 bytes, hexadecimal
    values: tuple[int, ...] = ()  # of a mask: the class numbers in it


@dataclasses.dataclass(frozen=True)
class Bad:
    """A file that cannot be used, and why."""

    path: str
    class_name: str  # "" where it belongs to none
    reason: str


class Refused(Exception):
    """The reason why a file cannot be used."""


def is_image_name(name: str) -> bool:
    """Whether a file's name has the extension of an image, also of one that cannot be read here ("x.heic")."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix in FORMAT_OF or suffix in UNREAD


def read(path: str, channels: int) -> np.ndarray:
    """Decode an image file with Pillow.

    Upright by its EXIF tag; alpha dropped, not composited; 16-bit grey divided by 257 and rounded; of 16-bit colour
    the upper byte, which is all that Pillow gives and what TensorFlow's decoder does.

    Args:
        path: a file that `scan` found usable.
        channels: 1 or 3. A colour image becomes grey by Pillow's "L" (ITU-R 601-2 luma), grey is repeated.

    Returns:
        uint8 (height, width, channels).
    """
    with Image.open(path, formats=FORMATS) as image:
        image = _upright(image)
        if image.mode.startswith("I"):
            grey = ((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8)
            return np.repeat(grey[..., None], channels, axis=2)
        image.info.pop("transparency", None)  # Pillow would warn that it is lost
        pixels = np.array(image.convert("L" if channels == 1 else "RGB"))
        return pixels.reshape(*pixels.shape[:2], channels)


def read_mask(path: str) -> np.ndarray:
    """The class numbers of a mask file, upright: a palette's index or the grey sample as stored.

    Returns:
        uint8 (height, width); 255 is ignored in training.

    Raises:
        Refused: it has more than one channel, fractions, or a number above 255.
    """
    with Image.open(path, formats=FORMATS) as image:
        return _class_numbers(image, _stored(image))


def examine(path: str, data: bytes, mask: bool) -> tuple[Facts | Bad, bool]:
    """What a file of these bytes is, and whether that lasts while the file does not change."""
    try:
        return _examined(path, data, mask), True
    except Refused as reason:
        return Bad(path, "", str(reason)), True
    except MemoryError:
        return Bad(path, "", "not enough memory to decode it"), False
    except Image.DecompressionBombError as error:  # Pillow's own, at twice MAX_PIXELS
        return Bad(path, "", _too_large(int(re.search(r"\d+", str(error))[0]))), True
    except UnidentifiedImageError:
        return Bad(path, "", _resemblance(data)), True
    except Exception as error:  # Pillow's readers raise whatever the bytes led them to
        text = " ".join(str(error).split()) or type(error).__name__
        return Bad(path, "", "truncated" if "truncated" in text.lower() else f"corrupt: {text}"), True


def _examined(path: str, data: bytes, mask: bool) -> Facts:
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.format == "PNG":
        image.verify()  # the checksums, which decoding leaves out and TensorFlow's decoder insists on
        if b"IEND\xaeB`\x82" not in data:
            raise Refused("truncated")
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    form = "JPEG" if image.format == "MPO" else image.format  # several JPEGs in one file, the photograph first
    mode, stored, (width, height) = image.mode, _stored(image), image.size
    if width * height > MAX_PIXELS:
        raise Refused(_too_large(width * height))
    frames = 1 if form == "JPEG" else getattr(image, "n_frames", 1)
    if frames > 1:
        raise Refused(f"{frames} frames or pages; an image has one")
    if mode not in GREY + COLOUR or (mode == "I" and form != "PPM"):
        raise Refused(f"pixels of {'floating point' if mode == 'F' else f'Pillow mode {mode}'}; use 8 or 16 bits")

    turned = _orientation(image) in TURNED
    values = ()
    if mask:
        if form == "JPEG":
            raise Refused("a JPEG, whose compression changes class numbers; masks are PNG files")
        numbers = _class_numbers(image, stored)
        (height, width), values = numbers.shape, tuple(np.unique(numbers).tolist())
    elif form == "JPEG":
        image.draft("L", (1, 1))
        image.load()
        if turned and _orientation(image) >= 5:
            width, height = height, width
    else:
        width, height = _upright(image).size

    # TensorFlow cuts 16-bit grey off instead of rounding, spreads a mask's few bits, knows one of the BMP headers, and
    # refuses a BMP with bytes after its end.
    plain_png = form == "PNG" and (stored == "L" if mask else not mode.startswith("I"))
    plain_bmp = form == "BMP" and stored == "BGR" and data[14] == 40
    if plain_bmp:
        plain_bmp = len(data) == int.from_bytes(data[10:14], "little") + height * ((3 * width + 3) // 4 * 4)
    if turned:
        decoder = PILLOW
    elif form == "JPEG" and mode in ("L", "RGB"):
        decoder = TF_JPEG
    elif plain_png or plain_bmp:
        decoder = TF_IMAGE
    else:
        decoder = PILLOW

    said = {
        "EXIF orientation": turned,
        "extension of another format": FORMAT_OF.get(os.path.splitext(path)[1].lower()) != form,
        form: form not in ("JPEG", "PNG", "BMP"),
        "CMYK": mode == "CMYK",
        "palette": mode in ("P", "PA"),
        "alpha": mode in ("LA", "PA", "RGBA", "RGBX"),
        "1 bit": mode == "1",
        "16 bits": mode.startswith("I") or (form in ("PNG", "TIFF") and ";16" in stored),
    }
    notes = tuple(note for note, true in said.items() if true)
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    return Facts(path, height, width, 1 if mode in GREY else 3, decoder, notes, digest, values)


def _class_numbers(image: Image.Image, stored: str) -> np.ndarray:
    if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
        raise Refused(f"a mask has one channel of class numbers, grey or palette, not Pillow mode {image.mode}")
    spread = {"L;2": 85, "L;4": 17}.get(stored, 1)  # Pillow spreads fewer bits over 0 ... 255
    numbers = np.asarray(_upright(image))
    if numbers.dtype != bool and not 0 <= numbers.min() <= numbers.max() <= 255:
        wrong = numbers.min() if numbers.min() < 0 else numbers.max()
        raise Refused(f"class number {wrong} in a mask; 0 ... 254 are allowed, and {IGNORE} for pixels to ignore")
    return (numbers // spread if spread > 1 else numbers).astype(np.uint8)


def _stored(image: Image.Image) -> str:
    """How the samples lie in the file, Pillow's raw mode: "L;4", "RGB;16B". Known before the image is loaded."""
    how = image.tile[0][3] if image.tile else ""
    return how if isinstance(how, str) else str(how[0])


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken metadata: the pixels may be good, and are taken as they lie
        return 1


def _upright(image: Image.Image) -> Image.Image:
    """The image, loaded and turned. ImageOps.exif_transpose would also write all metadata anew, and fail on some."""
    image.load()  # first: a PNG may tell its orientation at the end, and a TIFF is turned by Pillow
    how = TURNED.get(_orientation(image))
    return image if how is None else image.transpose(how)


def _too_large(pixels: int) -> str:
    return f"{pixels / 1e6:,.0f} million pixels; at most {MAX_PIXELS / 1e6:.0f} million are decoded"


def _resemblance(data: bytes) -> str:
    """What the bytes are, if they are no image that Pillow opens."""
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
