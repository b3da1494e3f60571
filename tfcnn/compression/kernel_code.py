"""A kernel of few distinct values as bytes: gaps, codes and a codebook, each as short as it can be.

Deep Compression (Han, Mao & Dally 2015), sections 2 to 4.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfcnn.compression.byte_reader import ByteReader, number_bytes
from tfcnn.compression.huffman import code_lengths, fixed_lengths, pack, unpack
from tfcnn.compression.relative_index import Gaps, gaps_of, places_of

MOST_BITS = 8  # of a gap and of a code


class KernelCode(NamedTuple):
    """A kernel as it is stored.

    Attributes:
        content: the bytes, without the kernel's shape.
        gap_bits: of a gap before Huffman's code, 0 where all weights are stored.
        code_bits: of a code before Huffman's code.
    """

    content: bytes
    gap_bits: int
    code_bits: int


def encode(kernel: np.ndarray, codebook_type: np.dtype, huffman: bool) -> KernelCode:
    """The shortest form of a kernel over the bits of its gaps.

    Args:
        kernel: float32, with at most 255 distinct values other than zero.
        codebook_type: float16 or float32, which holds these values exactly.
        huffman: whether gaps and codes have Huffman's words, or words of fixed width.

    Raises:
        ValueError: too many distinct values.
    """
    flat = kernel.ravel()
    places = np.flatnonzero(flat)
    codebook, codes = np.unique(flat[places], return_inverse=True)
    if len(codebook) >= 2**MOST_BITS:
        raise ValueError(f"a kernel has {len(codebook):,} distinct values, more than {2**MOST_BITS - 1}")
    code_bits = len(codebook).bit_length()  # code 0 is the filler
    head = number_bytes(len(codebook)) + codebook.astype(codebook_type).tobytes()
    forms = []
    for gap_bits in range(MOST_BITS + 1):
        content = head + _streams(gaps_of(places, gap_bits), codes + 1, gap_bits, code_bits, huffman)
        forms.append(KernelCode(content, gap_bits, code_bits))
    return min(forms, key=lambda form: len(form.content))


def _streams(gaps: Gaps, codes: np.ndarray, gap_bits: int, code_bits: int, huffman: bool) -> bytes:
    """The bits of a gap, the number of entries, then the gaps and the codes."""
    symbols = np.zeros(len(gaps.zeros), np.int64)
    symbols[gaps.is_weight] = codes
    parts = [bytes([gap_bits]), number_bytes(len(symbols))]
    for values, bits in ((gaps.zeros, gap_bits), (symbols, code_bits)):
        lengths = fixed_lengths(bits)
        if huffman and bits:
            lengths = code_lengths(np.bincount(values, minlength=2**bits))
            parts.append(_as_nibbles(lengths))
        stream = pack(values, lengths)
        parts += [number_bytes(len(stream)), stream]
    return b"".join(parts)


def _as_nibbles(lengths: np.ndarray) -> bytes:
    """Two lengths a byte."""
    pairs = lengths.reshape(-1, 2)
    return (pairs[:, 0] << 4 | pairs[:, 1]).tobytes()


def decode(reader: ByteReader, size: int, codebook_type: np.dtype, huffman: bool) -> np.ndarray:
    """The values of a kernel that `encode` wrote: float32 (size,).

    Raises:
        ValueError: the bytes end early, or are of no kernel of this size.
    """
    codebook = np.concatenate([[0], reader.values(reader.number(2**MOST_BITS - 1), codebook_type)]).astype(np.float32)
    code_bits = (len(codebook) - 1).bit_length()
    gap_bits = reader.number(MOST_BITS)
    entries = reader.number(size)
    zeros = _read_symbols(reader, entries, gap_bits, huffman)
    codes = _read_symbols(reader, entries, code_bits, huffman)
    places = places_of(zeros)
    if entries and (places[-1] >= size or codes.max() >= len(codebook)):
        raise ValueError("a weight is outside of its kernel or its codebook")
    flat = np.zeros(size, np.float32)
    flat[places] = codebook[codes]
    return flat


def _read_symbols(reader: ByteReader, entries: int, bits: int, huffman: bool) -> np.ndarray:
    lengths = fixed_lengths(bits)
    if huffman and bits:
        pairs = reader.values(2**bits // 2, np.dtype(np.uint8))
        lengths = np.stack([pairs >> 4, pairs & 15], axis=-1).ravel()
    stream = reader.take(reader.number(2 * entries))
    return unpack(stream, entries, lengths) if bits else np.zeros(entries, np.int64)
