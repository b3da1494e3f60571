"""weights.bin: what is written is read, to the bit; what is damaged is refused."""

import zlib

import numpy as np
import pytest

from tfcnn.compression.sharing import share
from tfcnn.compression.weights_file import MAGIC, as_stored, decode, encode

RNG = np.random.default_rng(0)
PATHS = ["conv/kernel", "conv/bias", "norm/moving_variance", "dense/kernel"]


def shared_kernel(shape, sparsity, bits):
    kernel = RNG.normal(size=shape).astype(np.float32)
    kernel[RNG.random(shape) < sparsity] = 0
    shared = share(kernel, bits)
    return as_stored("kernel", np.concatenate([[0], shared.centroids])[shared.codes])


@pytest.fixture
def weights():
    bias = as_stored("bias", RNG.normal(size=8).astype(np.float32))
    variance = RNG.uniform(1e-9, 1e6, 8).astype(np.float32)
    return [shared_kernel((3, 3, 4, 8), 0.7, 4), bias, variance, shared_kernel((300, 40), 0.95, 5)]


def shapes_of(weights):
    return [weight.shape for weight in weights]


@pytest.mark.parametrize("huffman", [False, True])
@pytest.mark.parametrize("sparsity", [0, 0.5, 0.99, 1])
def test_round_trip_to_the_bit(huffman, sparsity, weights):
    weights[3] = shared_kernel((60, 50), sparsity, 3) if sparsity < 1 else np.zeros((60, 50), np.float32)
    content, rows = encode(PATHS, weights, huffman)
    for values, expected in zip(decode(content, shapes_of(weights)), weights, strict=True):
        np.testing.assert_array_equal(values.view(np.uint32), expected.view(np.uint32))
    assert sum(row.bytes for row in rows) == len(content) - len(MAGIC) - 5  # checksum and number of weights


def test_huffman_is_shorter(weights):
    assert len(encode(PATHS, weights, True)[0]) < len(encode(PATHS, weights, False)[0])


def test_a_dense_kernel_takes_the_bits_of_its_codes():
    kernel = shared_kernel((100, 80), 0, 3)
    _, (row,) = encode(["kernel"], [kernel], False)
    assert (row.gap_bits, row.code_bits) == (0, 3)
    assert 0 <= row.bytes - (8000 * 3 // 8 + 7 * 2) < 16


def test_values_beyond_float16_stay_float32():
    bias = np.array([1e5, 0.1], np.float32)
    np.testing.assert_array_equal(as_stored("bias", bias), bias)
    assert as_stored("bias", bias[1:]) == np.float16(0.1)


def test_a_zero_has_no_sign():
    assert not np.signbit(as_stored("kernel", np.array([-0.0, -1e-9], np.float32))).any()


@pytest.mark.parametrize(
    ("huffman", "body"),
    [(False, "01 03 01 04 01 003e 00 04 00 01 50"), (True, "01 07 01 04 01 003e 00 04 00 11 01 50")],
)
def test_the_documented_bytes(huffman, body):
    """One kernel of 4 weights, the codebook 1.5, no gaps, and the codes 0, 1, 0, 1."""
    body = bytes.fromhex(body)
    content, _ = encode(["kernel"], [np.array([0, 1.5, 0, 1.5], np.float32)], huffman)
    assert content == b"tfcnnDC1" + zlib.crc32(body).to_bytes(4, "little") + body


@pytest.mark.parametrize("step", [1, 2, 128, 256])
def test_the_bits_of_a_gap_are_the_best(step):
    kernel = np.zeros(20 * step, np.float32)
    kernel[step - 1 :: step] = 1
    _, (row,) = encode(["kernel"], [kernel], False)
    assert (2**row.gap_bits, row.code_bits) == (step if step > 2 else 1, 1)


def test_a_kernel_has_at_most_255_values():
    values = np.arange(1, 257, dtype=np.float32)
    content, _ = encode(["kernel"], [values[:255]], False)
    np.testing.assert_array_equal(decode(content, [(255,)])[0], values[:255])
    with pytest.raises(ValueError, match="256 distinct values, more than 255"):
        encode(["kernel"], [values], False)


def with_checksum(body):
    return MAGIC + zlib.crc32(body).to_bytes(4, "little") + body


def test_damage_is_refused(weights):
    content, _ = encode(PATHS, weights, True)
    shapes = shapes_of(weights)
    for damaged, words in (
        (content[:-1], "damaged or cut off"),
        (content[:10], "damaged or cut off"),
        (b"", "does not begin with"),
        (b"PK" + content[2:], "does not begin with"),
        (with_checksum(content[12:-5]), "ends early"),
        (with_checksum(content[12:] + b"0"), "1 bytes too many"),
    ):
        with pytest.raises(ValueError, match=words):
            decode(damaged, shapes)
    with pytest.raises(ValueError, match="it has 4 weights, the network 3"):
        decode(content, shapes[:3])
    with pytest.raises(ValueError, match="where the network has shape"):
        decode(content, [(3, 3, 4, 9), *shapes[1:]])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("01 03 01 04 01 007e 00 04 00 01 50", "not finite"),  # the codebook NaN
        ("01 03 01 04 01 003e 01 03 01 e0 01 e0", "outside of its kernel"),  # the third place is 5
        ("01 03 01 02 01 003e 01 02 01 40 01 c0", "outside of its kernel"),  # the second place is 2, the size
        ("01 03 01 04 02 003e0040 00 04 00 01 ff", "outside of its kernel or its codebook"),  # code 3 of 2
        ("01 03 01 " + "80" * 20, "where at most|where the network has shape"),
        ("01 0b 01 04 01 003e 00 04 00 01 50", "a weight of kind 11"),
    ],
)
def test_hostile_bytes_are_refused(body, words):
    with pytest.raises(ValueError, match=words):
        decode(with_checksum(bytes.fromhex(body)), [(2,) if " 02 01 003e" in body else (4,)])


def test_every_changed_byte_is_refused_or_read():
    """A hostile file has the checksum of its bytes; nothing but ValueError comes out."""
    kernel = shared_kernel((20, 10), 0.7, 3)
    body = encode(["kernel"], [kernel], True)[0][12:]
    refused = 0
    for place in range(len(body)):
        for value in (0, 127, 255):
            changed = body[:place] + bytes([value]) + body[place + 1 :]
            try:
                (values,) = decode(with_checksum(changed), [(20, 10)])
                assert values.shape == (20, 10)
            except ValueError:
                refused += 1
    assert refused > len(body) / 2
