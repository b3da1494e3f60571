"""weights.bin: the weights of a network, pruned and shared.

All numbers are little-endian; n is a whole number of 7 bits a byte (`byte_reader.number_bytes`).

    8 bytes   "tfcnnDC1"
    4 bytes   CRC-32 of all that follows
    n         number of weights; then for each, in the order of the network's `weights`:
    1 byte    1: values are float16, else float32; + 2: a kernel; + 4: a kernel with Huffman's code
    n, n ...  number of axes and their sizes
              not a kernel: the values
              a kernel:
    n, values   the codebook: the nonzero values, ascending. Code 0 is a filler of value 0, code i the i-th value
    1 byte      bits of a gap (0: every weight is stored, zeros as fillers). A code has the bits that the codebook needs
    n           stored entries, fillers included
    twice       gaps, then codes: with Huffman's code the length of each symbol's word, two a byte, the first in the
                upper half; n, the bytes of the stream; the stream, from the highest bit of each byte on

A gap is the number of zeros before an entry that are not stored (`relative_index`); zeros after the last entry are not
stored. Huffman's words are canonical (`huffman`); without it they have the fixed width of the gap or code. A stream of
words of no bits is empty.

Codebooks and biases are float16, to which the network is rounded before it is evaluated: their rounding, 0.05 %, is far
below the distance of two shared values. All others, batch norm's statistics among them, stay float32: a variance may
leave float16's range. So does a codebook or bias with a value beyond it.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tfcnn.compression.byte_reader import ByteReader, number_bytes
from tfcnn.compression.kernel_code import decode as decode_kernel
from tfcnn.compression.kernel_code import encode as encode_kernel
from tfcnn.compression.pruning import is_kernel

MAGIC = b"tfcnnDC1"
HALF = 1
KERNEL = 2
HUFFMAN = 4
MOST_WEIGHTS = 100_000  # tensors of a network
MOST_AXES = 8
FLOAT16 = np.dtype("<f2")
FLOAT32 = np.dtype("<f4")

Shape = tuple[int, ...]


class Weight(NamedTuple):
    """A weight and its form in the file.

    Attributes:
        path: of the network's variable, as "conv1/kernel".
        values: float32.
        bytes: that it takes.
        gap_bits, code_bits: of a kernel, else None.
    """

    path: str
    values: np.ndarray
    bytes: int
    gap_bits: int | None = None
    code_bits: int | None = None


def type_of(path: str, values: np.ndarray) -> np.dtype:
    """The type of a weight's values, or of a kernel's codebook, in the file."""
    is_short = is_kernel(path) or path.endswith("bias")
    return FLOAT16 if is_short and np.abs(values).max(initial=0) <= np.finfo(FLOAT16).max else FLOAT32


def as_stored(path: str, values: np.ndarray) -> np.ndarray:
    """Values rounded to what the file holds, float32; a zero has no sign."""
    return values.astype(type_of(path, values)).astype(FLOAT32) + 0.0


def encode(paths: Sequence[str], weights: Sequence[np.ndarray], huffman: bool) -> tuple[bytes, list[Weight]]:
    """The content of the file, and what each weight takes of it.

    Args:
        paths: of the network's variables.
        weights: float32, as `as_stored` leaves them; kernels of at most 255 distinct values other than zero.
        huffman: whether gaps and codes have Huffman's words.
    """
    parts = [number_bytes(len(weights))]
    rows = []
    for path, values in zip(paths, weights, strict=True):
        dtype = type_of(path, values)
        kind = HALF if dtype == FLOAT16 else 0
        shape = number_bytes(values.ndim) + b"".join(map(number_bytes, values.shape))
        if is_kernel(path):
            code = encode_kernel(values, dtype, huffman)
            part = bytes([kind | KERNEL | (HUFFMAN if huffman else 0)]) + shape + code.content
            rows.append(Weight(path, values, len(part), code.gap_bits, code.code_bits))
        else:
            part = bytes([kind]) + shape + values.astype(dtype).tobytes()
            rows.append(Weight(path, values, len(part)))
        parts.append(part)
    body = b"".join(parts)
    return MAGIC + zlib.crc32(body).to_bytes(4, "little") + body, rows


def decode(content: bytes, shapes: Sequence[Shape]) -> list[np.ndarray]:
    """The weights of a file, float32.

    Args:
        content: of the file.
        shapes: of the network's weights, in order.

    Raises:
        ValueError: it is no such file, it is damaged, or it is of another network.
    """
    if content[: len(MAGIC)] != MAGIC:
        raise ValueError(f"it does not begin with {MAGIC.decode()}")
    body = content[len(MAGIC) + 4 :]
    if content[len(MAGIC) : len(MAGIC) + 4] != zlib.crc32(body).to_bytes(4, "little"):
        raise ValueError("it is damaged or cut off: its checksum is of other bytes")
    reader = ByteReader(body)
    count = reader.number(MOST_WEIGHTS)
    if count != len(shapes):
        raise ValueError(f"it has {count:,} weights, the network {len(shapes):,}")
    weights = [_decode_weight(reader, shape) for shape in shapes]
    if reader.place != len(body):
        raise ValueError(f"it has {len(body) - reader.place:,} bytes too many")
    return weights


def _decode_weight(reader: ByteReader, shape: Shape) -> np.ndarray:
    kind = reader.take(1)[0]
    sizes = tuple(reader.number(2**62) for _ in range(reader.number(MOST_AXES)))
    if kind > HALF | KERNEL | HUFFMAN or sizes != shape:
        raise ValueError(f"it has a weight of kind {kind} and shape {sizes}, where the network has shape {shape}")
    size = math.prod(shape)
    dtype = FLOAT16 if kind & HALF else FLOAT32
    if kind & KERNEL:
        values = decode_kernel(reader, size, dtype, bool(kind & HUFFMAN))
    else:
        values = reader.values(size, dtype).astype(FLOAT32)
    return values.reshape(shape)
