"""From the samples of a file to 8 bits a channel: 16 bits scaled, alpha laid over white, colours weighed to grey.

Whole numbers throughout, so that the exported signature, which has the same rules in TensorFlow, gives equal pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras and scanners write into samples of 16 bits
FULL_SCALE = 65535
NARROW = 32  # of 256 levels: 16-bit grey that spans fewer has lost most of its contrast
LUMA = (19595, 38470, 7471)  # ITU-R 601-2 in units of 1 / 65536, as Pillow's "L"


def find_white_level(largest: int) -> int:
    """The 16-bit sample that becomes 255, from the largest sample of the training images.

    >>> find_white_level(3071), find_white_level(40000)
    (4095, 65535)
    """
    return next(2**bits - 1 for bits in DEPTHS if largest < 2**bits)


def choose_white_level(samples: Sequence[tuple[int, ...]]) -> tuple[int, dict[str, int]]:
    """The 16-bit grey sample that becomes 255, and notes where it is not 65,535 or where few levels are left.

    Args:
        samples: the least and the largest sample of each image of 16-bit grey.

    Returns:
        (white level, {note: number of images}).
    """
    if not samples:
        return FULL_SCALE, {}
    notes = {}
    largest = max(high for _, high in samples)
    white_level = find_white_level(largest)
    if white_level < FULL_SCALE:
        notes[f"16-bit grey with {white_level:,} as white"] = len(samples)
    levels = (largest - min(low for low, _ in samples)) * 255 // white_level + 1
    if levels < NARROW:
        notes[f"16-bit grey in {levels} of 256 levels: stretch its contrast"] = len(samples)
    return white_level, notes


def scale_samples(samples: np.ndarray, white_level: int) -> np.ndarray:
    """Samples 0 ... white_level of any shape as uint8, rounded; larger samples become 255."""
    scaled = (samples.astype(np.uint32) * 255 + white_level // 2) // white_level
    return np.minimum(scaled, 255).astype(np.uint8)


def lay_over_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """uint8 (height, width, channels) with alpha uint8 (height, width), 255 opaque, over white: uint8, rounded."""
    opacity = alpha[..., None].astype(np.uint32)
    return ((pixels * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)


def weigh_to_grey(pixels: np.ndarray) -> np.ndarray:
    """uint8 RGB (height, width, 3) as grey uint8 (height, width, 1), rounded."""
    return ((pixels @ np.array(LUMA, np.uint32) + 2**15) >> 16).astype(np.uint8)[..., None]


def read_alpha(image: Image.Image, raw_mode: str) -> np.ndarray | None:
    """The alpha of a loaded image, uint8 (height, width), or None if it has none.

    Args:
        image: its alpha is a channel, or stands in `info` for a palette, an index, a grey value or a colour.
        raw_mode: how the samples lie in the file; grey of few bits is spread over 0 ... 255, its transparent value not.
    """
    if image.mode in ("LA", "PA", "RGBA"):
        return np.asarray(image.getchannel("A"))
    key = image.info.get("transparency")
    if key is None or image.mode not in ("1", "L", "P", "RGB", "I;16"):
        return None
    samples = np.asarray(image)
    if image.mode == "P" and isinstance(key, bytes):
        table = np.full(256, 255, np.uint8)
        table[: len(key)] = np.frombuffer(key, np.uint8)[:256]
        return table[samples]
    if image.mode == "RGB":
        transparent = (samples == np.array(key)).all(-1)
    else:
        transparent = samples == key * {"L;2": 85, "L;4": 17}.get(raw_mode, 1)
    return np.where(transparent, 0, 255).astype(np.uint8)
