"""Prefix codes: Huffman's lengths, canonical codes, and streams of their bits.

Huffman 1952, "A method for the construction of minimum-redundancy codes". A code is stored as the lengths of its words:
in canonical form these follow one another in the order of (length, symbol), so that the lengths say them all. A code of
fixed width is the special case of equal lengths.
"""

from __future__ import annotations

import heapq

import numpy as np

LONGEST = 15  # bits of a word: a length takes 4 bits in a file


def code_lengths(counts: np.ndarray) -> np.ndarray:
    """The lengths of Huffman's words.

    Args:
        counts: int (symbols,), how often each symbol occurs; at most 2 ** LONGEST symbols.

    Returns:
        uint8 (symbols,): bits of each word, 0 for a symbol that does not occur, 1 for one that occurs alone. Where a
        word is longer than LONGEST, the counts are halved until none is, as bzip2 does.
    """
    counts = np.asarray(counts, np.int64)
    lengths = _unlimited_lengths(counts)
    while lengths.max(initial=0) > LONGEST:
        counts = (counts + 1) // 2
        lengths = _unlimited_lengths(counts)
    return lengths.astype(np.uint8)


def _unlimited_lengths(counts: np.ndarray) -> np.ndarray:
    lengths = np.zeros(len(counts), np.int64)
    heap = [(int(count), symbol, [symbol]) for symbol, count in enumerate(counts) if count]
    if len(heap) == 1:
        lengths[heap[0][1]] = 1
    heapq.heapify(heap)
    while len(heap) > 1:
        first_count, _, first = heapq.heappop(heap)
        second_count, number, second = heapq.heappop(heap)
        symbols = first + second
        lengths[symbols] += 1
        heapq.heappush(heap, (first_count + second_count, number, symbols))
    return lengths


def fixed_lengths(bits: int) -> np.ndarray:
    """The lengths of the code whose words are the numbers of `bits` bits: uint8 (2 ** bits,)."""
    return np.full(2**bits, bits, np.uint8)


def _canonical_order(lengths: np.ndarray) -> np.ndarray:
    """The symbols that have a word, in the order of (length, symbol)."""
    order = np.argsort(lengths, kind="stable")
    return order[lengths[order] > 0]


def _spans(lengths: np.ndarray) -> np.ndarray:
    """Of all numbers of LONGEST bits, how many begin with a word of each length."""
    return 1 << (LONGEST - lengths.astype(np.int64))


def _aligned_words(lengths: np.ndarray) -> np.ndarray:
    """The word of each symbol at the upper end of LONGEST bits: uint16 (symbols,)."""
    order = _canonical_order(lengths)
    spans = _spans(lengths[order])
    words = np.zeros(len(lengths), np.uint16)
    words[order] = np.cumsum(spans) - spans
    return words


def pack(symbols: np.ndarray, lengths: np.ndarray) -> bytes:
    """The words of symbols, one after another, from the highest bit of the first byte on.

    Args:
        symbols: int (n,), each with a word.
        lengths: uint8, of each symbol's word.
    """
    words = _aligned_words(lengths)[symbols]
    places = np.arange(LONGEST, dtype=np.uint16)
    bits = (words[:, None] >> (LONGEST - 1 - places)) & 1
    return np.packbits(bits[places < lengths[symbols][:, None]].astype(np.uint8)).tobytes()


def unpack(stream: bytes, count: int, lengths: np.ndarray) -> np.ndarray:
    """The first `count` symbols of a stream of `pack`: int64 (count,).

    Raises:
        ValueError: the lengths are of no code, or the stream is shorter or has another word.
    """
    order = _canonical_order(lengths)
    spans = _spans(lengths[order])
    if spans.sum() > 1 << LONGEST or (lengths > LONGEST).any():
        raise ValueError("its code lengths are of no prefix code")
    if count == 0:
        return np.zeros(0, np.int64)
    symbol_of = np.full(1 << LONGEST, -1)
    symbol_of[: spans.sum()] = np.repeat(order, spans)
    windows = _windows(stream)
    steps = np.where(symbol_of < 0, 0, lengths[symbol_of])[windows].astype(np.uint8).tobytes()
    starts = []
    place = 0
    for _ in range(count):
        if place >= len(steps):
            raise ValueError("a stream of its codes ends early")
        starts.append(place)
        place += steps[place]
    symbols = symbol_of[windows[starts]]
    if place > len(steps) or symbols.min() < 0:
        raise ValueError("a stream of its codes is damaged")
    return symbols


def _windows(stream: bytes) -> np.ndarray:
    """The LONGEST bits from each bit of a stream on, zeros after its end: uint32 (8 * bytes,)."""
    octets = np.frombuffer(stream + b"\0\0", np.uint8).astype(np.uint32)
    words = (octets[:-2] << 16) | (octets[1:-1] << 8) | octets[2:]
    shifts = 24 - LONGEST - np.arange(8, dtype=np.uint32)
    return ((words[:, None] >> shifts) & ((1 << LONGEST) - 1)).ravel()
