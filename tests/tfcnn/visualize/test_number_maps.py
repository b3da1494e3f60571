"""Small maps with their values in the cells."""

import numpy as np
import pytest

from tfcnn.visualize.number_maps import draw_number_maps


def test_values_are_written_row_by_row_under_the_titles():
    figure = draw_number_maps({"a": np.array([[1, -2], [0.125, -0.0]]), "b": np.array([3, 4, 5])})
    (place,) = figure.axes
    assert [text.get_text() for text in place.texts] == ["1", "-2", "0.12", "0", "a", "3", "4", "5", "b"]
    positions = np.array([text.get_position() for text in place.texts])
    np.testing.assert_allclose(positions[:4] - positions[0], [(0, 0), (1, 0), (0, 1), (1, 1)])
    np.testing.assert_allclose(positions[5:8] - positions[5], [(0, 0), (1, 0), (2, 0)])


@pytest.mark.parametrize("maps", [{}, {"volume": np.zeros((2, 2, 2))}])
def test_maps_without_rows_and_columns(maps):
    with pytest.raises(ValueError, match="maps must have one or two axes"):
        draw_number_maps(maps)
