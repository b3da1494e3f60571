"""Boxes in a picture."""

import numpy as np
from PIL import ImageColor

from pipelines.labelled_boxes import Labelled, colour_of, draw_boxes, is_light

GREY = np.full((60, 90, 3), 128, "uint8")


def pixels_of(picture, number):
    """How many pixels have the colour of a class."""
    return int((picture == ImageColor.getrgb(colour_of(number))).all(-1).sum())


def test_a_small_picture_is_enlarged_by_a_whole_factor():
    picture = draw_boxes(GREY, [])
    assert picture.shape == (480, 720, 3)
    assert (picture == 128).all()


def test_a_large_picture_keeps_its_size():
    assert draw_boxes(np.zeros((500, 700, 1), "uint8"), []).shape == (500, 700, 3)


def test_a_box_is_drawn_where_it_is():
    picture = draw_boxes(GREY, [Labelled((20, 30, 60, 50), "disc", 0)])
    rows, columns = np.nonzero((picture == ImageColor.getrgb(colour_of(0))).all(-1))
    assert abs(columns.min() - 8 * 20) <= 2
    assert abs(columns.max() - 8 * 60) <= 3
    assert abs(rows.max() - 8 * 50) <= 3


def test_words_do_not_cover_one_another():
    """Five boxes on one place: each word shows as much of its ground as alone."""
    box = (20, 20, 60, 50)
    alone = [pixels_of(draw_boxes(GREY, [Labelled(box, "square 99%", number)]), number) for number in range(5)]
    lines = [pixels_of(draw_boxes(GREY, [Labelled(box, "", number)]), number) for number in range(5)]
    picture = draw_boxes(GREY, [Labelled(box, "square 99%", number) for number in range(5)])
    for number in range(1, 5):  # their lines lie below those of the first
        assert pixels_of(picture, number) > 0.9 * (alone[number] - lines[number])


def test_words_stay_inside_the_picture():
    changed = []
    for box in ((0, 0, 90, 60), (10, 20, 80, 50)):
        pair = [draw_boxes(GREY, [Labelled(box, text, 2)]) for text in ("star 50%", "")]
        changed.append((pair[0] != pair[1]).any(-1).sum())
    assert changed[0] > 0.8 * changed[1] > 0


def test_ink_is_legible_on_every_colour():
    """By the contrast of WCAG 2.1, at least 3 to 1."""
    for number in range(10):
        channels = np.array(ImageColor.getrgb(colour_of(number))) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        luminance = linear @ [0.2126, 0.7152, 0.0722]
        contrast = (luminance + 0.05) / 0.05 if is_light(colour_of(number)) else 1.05 / (luminance + 0.05)
        assert contrast >= 3
