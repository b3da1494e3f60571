import pytest

from tfcnn.compression.byte_reader import ByteReader, number_bytes


@pytest.mark.parametrize("number", [0, 127, 128, 16_383, 16_384, 2**62])
def test_numbers_are_read_as_written(number):
    content = number_bytes(number)
    assert len(content) == max(1, -(-number.bit_length() // 7))
    assert ByteReader(content).number(number) == number
    with pytest.raises(ValueError, match="where at most"):
        ByteReader(content).number(number - 1)
