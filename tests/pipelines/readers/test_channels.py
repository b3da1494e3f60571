"""Arrays whose channels stand first are refused, or turned by a flag."""

import numpy as np
import pytest

from pipelines.errors import BadData
from pipelines.readers.npz import read_npz
from pipelines.readers.splits import cut_by_position

LABELS = np.arange(40) % 4


def save(tmp_path, **arrays):
    np.savez(tmp_path / "set.npz", **arrays)
    return tmp_path / "set.npz"


FIRST = [
    ((3, 32, 48), np.uint8),
    ((1, 28, 28), np.uint8),
    ((4, 64, 64), np.uint8),
    ((13, 64, 64), np.float32),
    ((200, 16, 16), np.float32),
    ((6, 48, 64), np.float32),
    ((20, 32, 48), np.float32),
    ((60, 96, 128), np.uint8),
    ((2, 20, 30), np.float32),
    ((3, 100, 1200), np.uint8),
    ((3, 17, 32, 32), np.float32),
    ((1, 16, 16, 16), np.uint8),
    ((2, 1600), np.float32),
    ((1, 64), np.int16),
    ((1, 40), np.float32),
    ((1, 12, 14), np.float32),
    ((2, 5, 6), np.uint8),
    ((1, 6, 7, 8), np.float32),
]
LAST = [
    ((32, 48, 3), np.uint8),
    ((28, 28, 1), np.uint8),
    ((64, 64, 13), np.float32),
    ((48, 64, 200), np.float32),
    ((4, 100, 3), np.uint8),
    ((1, 128, 9), np.float32),
    ((3, 128, 2), np.float32),
    ((7, 7, 512), np.float32),
    ((7, 10, 512), np.float32),
    ((17, 32, 32, 3), np.float32),
    ((4, 32, 32, 3), np.uint8),
    ((16, 16, 16, 1), np.uint8),
    ((1600, 2), np.float32),
    ((1, 1, 512), np.float32),
    ((2, 2, 512), np.float32),
    ((12, 14, 1), np.float32),
    ((28, 28), np.uint8),
    ((8, 64), np.float32),
    ((2, 64), np.uint8),
]


@pytest.mark.parametrize(("shape", "dtype"), FIRST, ids=str)
def test_channels_first_are_refused_or_turned(tmp_path, shape, dtype):
    path = save(tmp_path, x=(np.arange(20 * np.prod(shape)) % 251).reshape(20, *shape).astype(dtype), y=LABELS[:20])
    with pytest.raises(BadData, match=r"channels first: .*channels first, .*channels last"):
        read_npz(path)
    turned = read_npz(path, channels="first")
    assert turned.splits["test"][0].shape[1:] == (*shape[1:], shape[0])
    with np.load(path) as arrays:
        rows = cut_by_position(LABELS[:20], ("validation", "test"))["test"]
        np.testing.assert_array_equal(turned.splits["test"][0][..., 0], arrays["x"][rows][:, 0])


@pytest.mark.parametrize(("shape", "dtype"), LAST, ids=str)
def test_channels_last_are_not_taken_for_first(tmp_path, shape, dtype):
    x = (np.arange(20 * np.prod(shape)) % 251).reshape(20, *shape).astype(dtype)
    assert len(read_npz(save(tmp_path, x=x, y=LABELS[:20])).splits["train"][0]) == 16


def test_a_shape_that_is_as_meant(tmp_path):
    path = save(tmp_path, x=np.zeros((40, 3, 32, 48), np.uint8), y=LABELS)
    assert read_npz(path, channels="last").splits["train"][0].shape[1:] == (3, 32, 48)
