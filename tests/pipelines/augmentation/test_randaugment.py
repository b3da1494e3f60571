import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from pipelines.augmentation import draws as column
from pipelines.augmentation.augment import augment
from pipelines.augmentation.draws import draw_epoch
from pipelines.augmentation.policy import Augmentation
from pipelines.augmentation.randaugment import OPERATIONS

MAGNITUDE = 8.0
# Name, and what it does with a Pillow image at magnitude 8 of 10 one way or the other: torchvision's table, its
# 0 ... 30 scaled to 0 ... 10. Pillow's matrices are about the corner, these about the centre of 40 x 40 pixels.


def about_centre(a, b, c, d, e, f):
    m = 20.0
    return (a, b, c + m - a * m - b * m, d, e, f + m - d * m - e * m)


def affine(*numbers):
    return lambda image: image.transform(
        image.size, Image.Transform.AFFINE, about_centre(*numbers), Image.Resampling.BILINEAR
    )


def enhance(enhancer):
    return lambda sign: lambda image: enhancer(image).enhance(1 + sign * 0.72)


def rotate(sign):
    angle = sign * math.radians(24)
    return affine(math.cos(angle), -math.sin(angle), 0, math.sin(angle), math.cos(angle), 0)


WITH_PILLOW = {
    "shear_x": lambda sign: affine(1, sign * 0.24, 0, 0, 1, 0),
    "shear_y": lambda sign: affine(1, 0, 0, sign * 0.24, 1, 0),
    "translate_x": lambda sign: affine(1, 0, sign * 14.4, 0, 1, 0),
    "translate_y": lambda sign: affine(1, 0, 0, 0, 1, sign * 14.4),
    "rotate": rotate,
    "identity": lambda sign: lambda image: image,
    "brightness": enhance(ImageEnhance.Brightness),
    "saturation": enhance(ImageEnhance.Color),
    "contrast": enhance(ImageEnhance.Contrast),
    "sharpness": enhance(ImageEnhance.Sharpness),
    "posterize": lambda sign: lambda image: ImageOps.posterize(image, 5),
    "solarize": lambda sign: lambda image: ImageOps.solarize(image, 51),
    "auto_contrast": lambda sign: ImageOps.autocontrast,
    "equalize": lambda sign: ImageOps.equalize,
}


def picture():
    y, x = np.mgrid[:40, :40]
    waves = [120 + 90 * np.sin(x / 5 + c) * np.cos(y / (4 + c)) for c in range(3)]
    return np.stack(waves, axis=-1).astype(np.uint8)


def row_for(*operations):
    """Draws in which the operations are those named, each with its sign."""
    row = np.full(column.DRAWS, 0.5, np.float32)
    for k, (name, sign) in enumerate(operations):
        row[column.OPERATION[k]] = (OPERATIONS.index(name) + 0.5) / len(OPERATIONS)
        row[column.DIRECTION[k]] = 0.25 if sign < 0 else 0.75
    return row


def test_the_fourteen_operations_of_the_paper():
    assert set(OPERATIONS) == set(WITH_PILLOW)
    assert len(OPERATIONS) == 14


def test_each_operation_is_pillows():
    operations = [(name, sign) for name in OPERATIONS for sign in (-1, 1)]
    draws = np.stack([row_for(each) for each in operations])
    images = np.tile(picture()[None].astype(np.float32), (len(operations), 1, 1, 1))
    result = augment(tf.constant(images), draws, Augmentation(randaugment=(1, MAGNITUDE)), fill_mode="CONSTANT").numpy()
    for (name, sign), image in zip(operations, result, strict=True):
        expected = np.asarray(WITH_PILLOW[name](sign)(Image.fromarray(picture())), np.float32)
        # Pillow cuts the border of a moved image off, here it fades out.
        inside = scipy.ndimage.binary_erosion(expected.min(axis=-1) > 0)
        if name in ("brightness", "contrast", "solarize", "equalize", "auto_contrast", "saturation"):
            inside[:] = True
        assert inside.mean() > 0.5
        assert np.abs(image - expected)[inside].max() < 2.1, (name, sign)


def test_operations_follow_each_other():
    first_dark = row_for(("brightness", -1), ("posterize", 1))
    first_coarse = row_for(("posterize", 1), ("brightness", -1))
    images = np.tile(picture()[None].astype(np.float32), (2, 1, 1, 1))
    a = Augmentation(randaugment=(2, 9.0))
    result = augment(tf.constant(images), np.stack([first_dark, first_coarse]), a, fill_mode="CONSTANT").numpy()
    dark = images[0] * (1 - 0.81)
    np.testing.assert_allclose(result[0], np.floor(dark / 16) * 16, atol=1e-3)
    np.testing.assert_allclose(result[1], np.floor(images[1] / 16) * 16 * (1 - 0.81), atol=1e-3)
    twice = np.stack([row_for(("translate_x", 1), ("translate_x", 1)), row_for(("rotate", 1), ("rotate", -1))])
    moved = augment(tf.constant(images), twice, Augmentation(randaugment=(2, 2.5)), fill_mode="CONSTANT").numpy()
    shift = 2 * round(0.45 * 0.25 * 40 * 2) // 2  # 2 x 4.5 pixels
    np.testing.assert_allclose(moved[0, :, :-shift], images[0, :, shift:], atol=1e-3)
    np.testing.assert_allclose(moved[1], images[1], atol=0.1)


def test_a_magnitude_that_varies_is_normal_and_clipped():
    """Grey of 100 after the operation brightness is 100 (1 +- 0.9 m / 10): the distribution of m is scipy's."""
    draws = draw_epoch(0, 0, 4000).numpy()
    draws[:, column.OPERATION[0]] = (OPERATIONS.index("brightness") + 0.5) / len(OPERATIONS)
    grey = tf.fill((4000, 2, 2, 1), 100.0)
    result = augment(grey, draws, Augmentation(randaugment=(1, 9.0, 1.0)), fill_mode="CONSTANT").numpy()[:, 0, 0, 0]
    magnitudes = np.abs(result / 100 - 1) / 0.09
    assert (result > 100).mean() == pytest.approx(0.5, abs=0.03)
    assert (magnitudes > 10 - 1e-3).mean() == pytest.approx(scipy.stats.norm.sf(1), abs=0.02)
    inside = np.sort(magnitudes[magnitudes < 10 - 1e-3])
    below = scipy.stats.truncnorm(-np.inf, 1, loc=9).cdf(inside)
    assert np.abs(below - np.arange(len(inside)) / len(inside)).max() < 0.03


def test_each_image_is_posterized_by_its_own_magnitude():
    draws = np.tile(row_for(("posterize", 1)), (3, 1))
    normal = np.array([-1.0, 0.0, 1.0])  # magnitudes 3, 5, 7 with a deviation of 2: 8 - round(1.2, 2, 2.8) bits
    draws[:, column.DIRECTION[0]] = 0.5 + scipy.stats.norm.cdf(normal) / 2
    images = np.tile(picture()[None].astype(np.float32), (3, 1, 1, 1))
    result = augment(tf.constant(images), draws, Augmentation(randaugment=(1, 5.0, 2.0)), fill_mode="CONSTANT").numpy()
    for image, bits in zip(result, (7, 6, 5), strict=True):
        np.testing.assert_allclose(image, np.floor(images[0] / 2 ** (8 - bits)) * 2 ** (8 - bits), atol=1e-3)


def test_every_operation_is_drawn_evenly_and_in_both_directions():
    draws = draw_epoch(0, 0, 7000).numpy()
    plain = tf.tile(tf.constant([[[[0.0], [60.0]], [[120.0], [180.0]]]]), [7000, 1, 1, 1])
    posterized = augment(plain, draws, Augmentation(randaugment=(1, 10.0)), fill_mode="REFLECT").numpy()
    inverted = (posterized == 255 - plain.numpy()).all(axis=(1, 2, 3)).mean()  # solarize at magnitude 10
    assert inverted == pytest.approx(1 / 14, abs=0.012)
    brighter = (posterized == np.minimum(plain.numpy() * 1.9, 255)).all(axis=(1, 2, 3)).mean()
    darker = (np.abs(posterized - plain.numpy() * 0.1) < 1e-3).all(axis=(1, 2, 3)).mean()
    assert brighter == pytest.approx(1 / 28, abs=0.01)
    assert darker == pytest.approx(1 / 28, abs=0.01)
    same = (np.abs(posterized - plain.numpy()) < 1e-3).all(axis=(1, 2, 3)).mean()
    # Identity; saturation of grey; sharpness, which spares the border; too few pixels to equalize.
    assert same == pytest.approx(4 / 14, abs=0.02)
