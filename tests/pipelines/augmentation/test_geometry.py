import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import tensorflow as tf

from pipelines.augmentation import draws as column
from pipelines.augmentation import geometry
from pipelines.augmentation.policy import Augmentation

HEIGHT, WIDTH = 20, 26
EVERYTHING = Augmentation(hflip=0.5, vflip=0.5, degrees=40, translate=0.2, zoom=0.3)


def random_draws(count, seed=0):
    return np.random.default_rng(seed).uniform(size=(count, column.DRAWS)).astype(np.float32)


def inverse_in_numpy(row, a):
    """Where each point (x, y) from the centre of the image goes, step by step; the inverse is what is read."""
    signed = 2 * row.astype(float) - 1
    images = []
    for x, y in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)):  # the origin, and one step along each axis
        x -= a.translate * WIDTH * signed[column.SHIFT_X]
        y -= a.translate * HEIGHT * signed[column.SHIFT_Y]
        x = -x if row[column.FLIP_X] < a.hflip else x
        y = -y if row[column.FLIP_Y] < a.vflip else y
        turn = complex(x, y) * np.exp(-1j * math.radians(a.degrees) * signed[column.ANGLE])
        images.append(np.array([turn.real, turn.imag]) * math.exp(a.zoom * signed[column.ZOOM]))
    forward = np.eye(3)
    forward[:2, 2] = images[0]
    forward[:2, 0] = images[1] - images[0]
    forward[:2, 1] = images[2] - images[0]
    return np.linalg.inv(forward)


def resample_in_scipy(image, inverse, order, mode, cval):
    """One image (height, width, channels) by SciPy, whose coordinates are (row, column) from the corner."""
    swapped = inverse[:2, :2][::-1, ::-1]
    centre = np.array([HEIGHT - 1, WIDTH - 1]) / 2
    offset = inverse[:2, 2][::-1] + centre - swapped @ centre
    planes = np.moveaxis(image, -1, 0)
    moved = [scipy.ndimage.affine_transform(p, swapped, offset, order=order, mode=mode, cval=cval) for p in planes]
    return np.stack(moved, axis=-1)


@pytest.mark.parametrize(("fill_mode", "mode"), [("CONSTANT", "grid-constant"), ("REFLECT", "reflect")])
def test_resampling_is_that_of_scipy(fill_mode, mode):
    rng = np.random.default_rng(1)
    draws = random_draws(12)
    images = rng.uniform(0, 255, (12, HEIGHT, WIDTH, 3)).astype(np.float32)
    masks = rng.integers(0, 9, (12, HEIGHT, WIDTH, 1))
    matrices = geometry.matrices(tf.constant(draws), EVERYTHING, HEIGHT, WIDTH)
    moved = geometry.resample(images, matrices, interpolation="BILINEAR", fill_mode=fill_mode)
    for dtype in (np.uint8, np.int32):
        labels = geometry.resample(
            masks.astype(dtype), matrices, interpolation="NEAREST", fill_mode=fill_mode, fill_value=255
        )
        assert labels.dtype == dtype
    for i, row in enumerate(draws):
        inverse = inverse_in_numpy(row, EVERYTHING)
        np.testing.assert_allclose(moved[i], resample_in_scipy(images[i], inverse, 1, mode, 0), atol=0.02)
        oracle = resample_in_scipy(masks[i], inverse, 0, mode, 255)
        assert (labels[i].numpy() == oracle).mean() > 0.995  # rounding at the very middle between two pixels


def test_mirroring_alone_is_what_the_matrices_say():
    a = Augmentation(hflip=0.5, vflip=0.5)
    draws = random_draws(16)
    images = np.random.default_rng(0).uniform(0, 255, (16, HEIGHT, WIDTH, 3)).astype(np.float32)
    mirrored = geometry.mirror(tf.constant(images), draws, a).numpy()
    for row, image, result in zip(draws, images, mirrored, strict=True):
        image = image[:, ::-1] if row[column.FLIP_X] < 0.5 else image
        np.testing.assert_array_equal(result, image[::-1] if row[column.FLIP_Y] < 0.5 else image)
    matrices = geometry.matrices(tf.constant(draws), a, HEIGHT, WIDTH)
    resampled = geometry.resample(images, matrices, interpolation="BILINEAR", fill_mode="REFLECT")
    np.testing.assert_allclose(mirrored, resampled, atol=1e-3)


@pytest.mark.parametrize(("fill_mode", "mode"), [("CONSTANT", "constant"), ("REFLECT", "symmetric")])
def test_images_that_are_shifted_alone_are_not_blurred(fill_mode, mode):
    """As by a window of the padded image: each pixel is one of the image."""
    rng = np.random.default_rng(2)
    a = Augmentation(hflip=0.5, translate=0.125)
    draws = random_draws(40)
    images = rng.uniform(0, 255, (40, HEIGHT, WIDTH, 3)).astype(np.float32)
    matrices = geometry.matrices(tf.constant(draws), a, HEIGHT, WIDTH)
    moved = geometry.resample(images, matrices, interpolation="BILINEAR", fill_mode=fill_mode)
    shifts = set()
    for row, image, result in zip(draws, images, moved.numpy(), strict=True):
        down = round(0.125 * HEIGHT * (2 * float(row[column.SHIFT_Y]) - 1))
        right = round(0.125 * WIDTH * (2 * float(row[column.SHIFT_X]) - 1))
        padded = np.pad(image, [(4, 4), (4, 4), (0, 0)], mode=mode)
        window = padded[4 + down : 4 + down + HEIGHT, 4 + right : 4 + right + WIDTH]
        np.testing.assert_allclose(result, window[:, ::-1] if row[column.FLIP_X] < 0.5 else window, atol=1e-3)
        shifts.add(down)
    assert shifts == {-2, -1, 0, 1, 2}


@pytest.mark.parametrize("degrees", [0, 10, 45, 90, 133, 180])
def test_image_mask_and_box_move_together(degrees):
    side = 64
    count = 8
    draws = random_draws(count, seed=degrees)
    draws[:, column.ANGLE] = 1.0 - 1e-7  # the whole angle
    a = Augmentation(hflip=0.5, vflip=0.5, degrees=degrees, translate=0.1, zoom=0.2)
    images = np.zeros((count, side, side, 1), np.float32)
    images[:, 24:38, 20:41] = 255
    boxes = np.tile(np.float32([[20, 24, 41, 38], [-1, -1, -1, -1]]), (count, 1, 1))
    matrices = geometry.matrices(tf.constant(draws), a, side, side)
    masks = geometry.resample(
        (images > 0).astype(np.uint8), matrices, interpolation="NEAREST", fill_mode="CONSTANT", fill_value=255
    ).numpy()
    results = geometry.resample(images, matrices, interpolation="BILINEAR", fill_mode="CONSTANT").numpy()
    moved, keep = geometry.move_boxes(tf.constant(boxes), matrices, side, side)
    np.testing.assert_array_equal(keep, [[True, False]] * count)
    np.testing.assert_array_equal(moved[:, 1], -np.ones((count, 4)))
    for i in range(count):
        for mask in (masks[i, :, :, 0] == 1, results[i, :, :, 0] > 127):
            y, x = np.nonzero(mask)
            hull = [x.min(), y.min(), x.max() + 1, y.max() + 1]
            np.testing.assert_allclose(moved[i, 0], hull, atol=1.3)


def test_a_box_that_leaves_the_image_is_clipped_and_then_dropped():
    boxes = tf.constant([[[0.0, 0.0, 10.0, 10.0]]])
    for shift, left in ((0.0, 10), (5.0, 5), (7.9, 2.1), (8.1, 0), (30.0, 0)):
        matrix = geometry.matrix(1.0, 0.0, shift, 0.0, 1.0, 0.0)[None]  # moves what is seen to the left
        moved, keep = geometry.move_boxes(boxes, matrix, 40, 40)
        assert bool(keep[0, 0]) == bool(left)
        expected = [0, 0, left, 10] if left else [-1, -1, -1, -1]
        np.testing.assert_allclose(moved[0, 0], expected, atol=1e-4)


def test_boxes_are_cropped_as_the_image_is():
    image = np.zeros((50, 60, 1), np.float32)
    image[10:30, 12:40] = 1
    window = tf.constant([5, 20, 40, 30])
    result = tf.image.resize(image[5:45, 20:50], (80, 90), "nearest").numpy()[..., 0]
    boxes = tf.constant([[12.0, 10, 40, 30], [0, 0, 10, 10], [-1, -1, -1, -1]])
    cropped, keep = geometry.crop_boxes(boxes, window, 80, 90)
    y, x = np.nonzero(result)
    np.testing.assert_allclose(cropped[0], [x.min(), y.min(), x.max() + 1, y.max() + 1])
    np.testing.assert_array_equal(keep, [True, False, False])
    np.testing.assert_array_equal(cropped[1:], -np.ones((2, 4)))


def torchvision_rule(height, width, scale, ratio, uniform):
    """RandomResizedCrop.get_params of torchvision, one number of `uniform()` at a time."""
    for _ in range(10):
        area = height * width * (scale[0] + (scale[1] - scale[0]) * uniform("area"))
        low = math.log(ratio[0])
        high = math.log(ratio[1])
        aspect = math.exp(low + (high - low) * uniform("ratio"))
        w = round(math.sqrt(area * aspect))
        h = round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(uniform("y") * (height - h + 1)), int(uniform("x") * (width - w + 1)), h, w
    w, h = width, height
    if width / height < min(ratio):
        h = round(w / min(ratio))
    elif width / height > max(ratio):
        w = round(h * max(ratio))
    return (height - h) // 2, (width - w) // 2, h, w


def windows(height, width, draws, a, aspect=1.0):
    size = tf.constant(height), tf.constant(width)
    dataset = tf.data.Dataset.from_tensor_slices(draws)
    dataset = dataset.map(lambda row: geometry.crop_window(*size, row, a, aspect)).batch(len(draws))
    return next(iter(dataset)).numpy()


@pytest.mark.parametrize("size", [(300, 400), (50, 50), (31, 400), (400, 31), (2, 900)])
@pytest.mark.parametrize(("scale", "aspect"), [((0.08, 1.0), 1.0), ((0.6, 0.9), 1.0), ((0.25, 1.0), 160 / 96)])
def test_each_crop_is_torchvisions(size, scale, aspect):
    """Of another aspect that with the ratios times this aspect."""
    a = Augmentation(scale=scale)
    ratio = [aspect * bound for bound in a.ratio]
    draws = random_draws(200)
    expected = []
    for row in draws:
        queues = {"area": iter(row[column.CROP_AREA]), "ratio": iter(row[column.CROP_RATIO])}
        queues |= {"y": iter(row[[column.CROP_Y]]), "x": iter(row[[column.CROP_X]])}
        expected.append(torchvision_rule(*size, scale, ratio, lambda name, queues=queues: float(next(queues[name]))))
    difference = np.abs(windows(*size, draws, a, aspect) - expected)
    assert difference.max() <= 1  # float32 against float64, at the middle between two pixels
    assert (difference > 0).any(axis=1).mean() < 0.02


def test_crops_are_distributed_as_torchvisions():
    a = Augmentation(scale=(0.25, 1.0))
    rng = np.random.default_rng(5)
    crops = windows(300, 400, random_draws(2000), a)
    oracle = np.array([torchvision_rule(300, 400, a.scale, a.ratio, lambda _: rng.uniform()) for _ in range(4000)])
    assert (crops[:, :2] >= 0).all()
    assert (crops[:, :2] + crops[:, 2:] <= [300, 400]).all()
    for measure in (
        lambda w: w[:, 2] * w[:, 3],
        lambda w: w[:, 3] / w[:, 2],
        lambda w: w[:, 0],
        lambda w: w[:, 1],
        lambda w: w[:, 0] + w[:, 2],
    ):
        assert scipy.stats.ks_2samp(measure(crops), measure(oracle)).statistic < 0.05
    always_fit = windows(400, 400, random_draws(2000), Augmentation(scale=(0.1, 0.7)))
    area = always_fit[:, 2] * always_fit[:, 3] / 400**2
    assert scipy.stats.kstest(area, "uniform", (0.1, 0.6)).statistic < 0.04


def test_no_crop_is_the_whole_image():
    np.testing.assert_array_equal(windows(37, 500, random_draws(3), Augmentation()), [[0, 0, 37, 500]] * 3)
