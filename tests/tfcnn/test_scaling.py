import pytest

from tfcnn.scaling import scale_width


@pytest.mark.parametrize("channels", [*range(1, 40), 84, 120, 728, 1280])
def test_scaled_widths_grow_with_the_multiplier(channels):
    """Never less for more, 90 % of the product, and for multiples of 8 the rule of MobileNet's authors."""
    widths = [percent / 100 for percent in range(1, 401)]
    scaled = [scale_width(channels, width) for width in widths]
    assert scaled == sorted(scaled)
    assert scaled[99] == channels
    assert all(found >= 0.9 * channels * width for found, width in zip(scaled, widths, strict=True))
    if channels % 8 == 0:
        assert scaled == [make_divisible(channels * width) for width in widths]


def make_divisible(v, divisor=8):
    """As in slim's MobileNet: the nearest multiple, and the next one where that is below 0.9 v."""
    nearest = max(divisor, int(v + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * v else nearest
