"""Python's numbers from those of other libraries."""

import numpy as np
import pytest

from tfcnn.arithmetic.integers import as_int, as_number, as_tuple


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_any_integer_is_pythons(value):
    assert type(as_int(value, "filters")) is int
    assert as_int(value, "filters") == 3


@pytest.mark.parametrize("value", [True, np.True_, 3.0, np.float32(3), "3", None, 0, -1])
def test_what_is_no_integer_from_the_minimum_up_is_named(value):
    with pytest.raises(ValueError, match="filters must be an integer, 1 or more, got "):
        as_int(value, "filters")


@pytest.mark.parametrize("value", [np.int64(2), (2, 2), [np.int32(2), 2], np.array([2, 2])])
def test_one_for_all_axes_or_one_for_each(value):
    assert as_tuple(value, 2, "strides") == (2, 2)
    assert all(type(stride) is int for stride in as_tuple(value, 2, "strides"))


@pytest.mark.parametrize("value", [(2,), (2, 2, 2), (2, 0), (2, True), 1.5, "22", None])
def test_another_number_of_axes_is_named(value):
    with pytest.raises(ValueError, match="strides must be one integer or 2, each 1 or more, got "):
        as_tuple(value, 2, "strides")


@pytest.mark.parametrize(("value", "kind"), [(np.int64(2), int), (np.float32(2), float), (2, int), (2.0, float)])
def test_numbers_keep_their_kind(value, kind):
    assert type(as_number(value)) is kind
    assert as_number(value) == 2


@pytest.mark.parametrize("value", [True, "half", None, (1, 2)])
def test_anything_else_stays(value):
    assert as_number(value) is value
