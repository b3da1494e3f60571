"""Panels of what is no image."""

import numpy as np

from tfcnn.visualize.sheet import Row, as_picture, draw_sheet


def test_a_tone_is_a_line_at_its_frequency():
    """Of 128 frequencies from 0 Hz, below, to half the sample rate: a quarter of that is row 32 from below."""
    tone = np.sin(2 * np.pi * np.arange(8000) / 8)
    picture = as_picture(tone[:, None])
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert (picture.argmax(0) == len(picture) - 1 - 32).all()


def test_a_volume_is_its_slice_of_most_contrast():
    volume = np.zeros((6, 8, 8, 1))
    volume[4, 2:6, 2:6] = 1
    np.testing.assert_array_equal(as_picture(volume), volume[4, ..., 0])


def test_the_heading_of_a_narrow_sheet_is_whole_and_inside_the_picture(tmp_path, saved_figures):
    title = "lenet5: images that excite a map most (Olah et al. 2017)"
    note = "mean ± standard deviation of each map; 0 is grey"
    draw_sheet([Row("stage1", [np.zeros((8, 8))])], tmp_path / "sheet.png", title=title, note=note)
    (figure,) = saved_figures
    assert " ".join(figure.get_suptitle().split("\n")) == f"{title} {note}"
    edges = figure.texts[0].get_window_extent()
    assert edges.x0 >= 0
    assert edges.x1 <= figure.bbox.width
    assert edges.y0 >= figure.axes[0].get_window_extent().y1


def test_colours_that_rounding_put_above_1_are_drawn_without_a_message(tmp_path, caplog):
    draw_sheet([Row("", [np.full((4, 4, 3), np.float32(1 + 1e-6))])], tmp_path / "sheet.png", title="rounded")
    assert not caplog.records
