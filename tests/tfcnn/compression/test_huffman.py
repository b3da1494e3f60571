import numpy as np
import pytest

from tfcnn.compression.huffman import LONGEST, code_lengths, fixed_lengths, pack, unpack

RNG = np.random.default_rng(0)


def least_cost(counts):
    """The bits of an optimal code: the sum of all merged counts, by repeated search for the two smallest."""
    counts = [int(count) for count in counts if count]
    cost = 0
    while len(counts) > 1:
        counts.sort()
        cost += counts[0] + counts[1]
        counts = [counts[0] + counts[1], *counts[2:]]
    return cost


@pytest.mark.parametrize("symbols", [2, 3, 16, 200])
def test_lengths_are_of_an_optimal_prefix_code(symbols):
    counts = RNG.geometric(0.05, symbols) * (RNG.random(symbols) < 0.8)
    lengths = code_lengths(counts).astype(int)
    present = counts > 0
    assert (lengths[~present] == 0).all()
    assert (counts * lengths).sum() == least_cost(counts)
    assert (0.5 ** lengths[present]).sum() == 1  # Kraft's equality


def test_a_single_symbol_has_a_word():
    assert code_lengths(np.array([0, 7, 0])).tolist() == [0, 1, 0]


def test_words_are_at_most_15_bits():
    fibonacci = [1, 1]
    while len(fibonacci) < 30:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    lengths = code_lengths(np.array(fibonacci)).astype(int)
    assert lengths.max() <= LONGEST
    assert (0.5**lengths).sum() <= 1


def test_words_of_15_bits_are_read():
    lengths = np.array([*range(1, 15), 15, 15], np.uint8)
    symbols = np.arange(16)
    np.testing.assert_array_equal(unpack(pack(symbols, lengths), 16, lengths), symbols)


def words(lengths):
    """Canonical words as text, from the definition: each the one before plus one, lengthened by zeros."""
    table = {}
    word = 0
    before = 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        word <<= length - before
        table[symbol] = format(word, f"0{length}b")
        word += 1
        before = length
    return table


def test_the_stream_has_the_canonical_words():
    symbols = np.concatenate([RNG.integers(0, 60, 1000), np.full(200, 30)])
    lengths = code_lengths(np.bincount(symbols, minlength=64))
    text = "".join(words(lengths.tolist())[symbol] for symbol in symbols)
    assert "".join(f"{octet:08b}" for octet in pack(symbols, lengths)) == text + "0" * (-len(text) % 8)


def test_fixed_words_are_the_numbers():
    symbols = RNG.integers(0, 8, 50)
    text = "".join(f"{symbol:03b}" for symbol in symbols)
    assert "".join(f"{octet:08b}" for octet in pack(symbols, fixed_lengths(3)))[: len(text)] == text


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_round_trip(count):
    symbols = np.minimum(RNG.geometric(0.2, count) - 1, 40)
    lengths = code_lengths(np.bincount(symbols, minlength=64))
    np.testing.assert_array_equal(unpack(pack(symbols, lengths), count, lengths), symbols)


def test_damage_is_refused():
    lengths = code_lengths(np.array([5, 1, 1]))
    stream = pack(np.array([0, 1, 2, 0]), lengths)
    with pytest.raises(ValueError, match="ends early"):
        unpack(stream, 9, lengths)
    with pytest.raises(ValueError, match="no prefix code"):
        unpack(stream, 4, np.array([1, 1, 1], np.uint8))
    with pytest.raises(ValueError, match="no prefix code"):
        unpack(stream, 4, np.array([1, 16], np.uint8))
    with pytest.raises(ValueError, match="is damaged"):
        unpack(b"\xff", 2, np.array([2, 2], np.uint8))
    with pytest.raises(ValueError, match="is damaged"):
        unpack(b"\x01", 8, lengths)  # seven words of one bit, and half of one of two
