"""Where pixels come from: affine matrices, crop windows and bounding boxes.

A matrix maps a point (x, y, 1) of the augmented image to the point of the input image that it shows, in pixels from the
image's centre. Transforms compose by multiplication, the first one on the left.
"""

from __future__ import annotations

import math

import tensorflow as tf

from pipelines.augmentation import draws as column
from pipelines.augmentation import partition
from pipelines.augmentation.policy import Augmentation

VISIBLE = 0.2  # share of a moved box that must remain in the image


def matrix(
    a: float | tf.Tensor,
    b: float | tf.Tensor,
    c: float | tf.Tensor,
    d: float | tf.Tensor,
    e: float | tf.Tensor,
    f: float | tf.Tensor,
) -> tf.Tensor:
    """The matrices ((a, b, c), (d, e, f), (0, 0, 1)), from numbers or float32 (batch,): float32 (batch, 3, 3)."""
    like = tf.zeros_like(sum((a, b, c, d, e, f)))
    rows = [[a, b, c], [d, e, f], [0.0, 0.0, 1.0]]
    return tf.stack([tf.stack([like + value for value in row], axis=-1) for row in rows], axis=-2)


def matrices(draws: tf.Tensor, augmentation: Augmentation, height: int, width: int) -> tf.Tensor:
    """Mirror, turn, zoom and shift, in this order: float32 (batch, 3, 3). A shift alone is by whole pixels."""
    centred = 2 * draws - 1
    angle = math.radians(augmentation.degrees) * centred[:, column.ANGLE]
    zoom = tf.exp(augmentation.zoom * centred[:, column.ZOOM])
    cos = tf.cos(angle) / zoom
    sin = tf.sin(angle) / zoom
    flip_x = tf.where(draws[:, column.FLIP_X] < augmentation.hflip, -1.0, 1.0)
    flip_y = tf.where(draws[:, column.FLIP_Y] < augmentation.vflip, -1.0, 1.0)
    right = augmentation.translate * width * centred[:, column.SHIFT_X]
    down = augmentation.translate * height * centred[:, column.SHIFT_Y]
    if not (augmentation.degrees or augmentation.zoom or augmentation.randaugment):
        right, down = tf.round(right), tf.round(down)
    return matrix(flip_x * cos, -flip_x * sin, right, flip_y * sin, flip_y * cos, down)


def resample(
    images: tf.Tensor, matrices: tf.Tensor, *, interpolation: str, fill_mode: str, fill_value: float = 0.0
) -> tf.Tensor:
    """Images (batch, height, width, channels) of any type as the matrices (batch, 3, 3) show them."""
    height, width = images.shape[1], images.shape[2]
    x, y = (width - 1) / 2, (height - 1) / 2  # pixels are counted by their centres
    from_corner = tf.constant([[1.0, 0.0, -x], [0.0, 1.0, -y], [0.0, 0.0, 1.0]])
    to_corner = tf.constant([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.reshape(to_corner @ matrices @ from_corner, [-1, 9])[:, :8],
        output_shape=[height, width],
        fill_value=fill_value,
        interpolation=interpolation,
        fill_mode=fill_mode,
    )


def turn_volumes(volumes: tf.Tensor, draws: tf.Tensor, augmentation: Augmentation, fill_value: int = 0) -> tf.Tensor:
    """Volumes (batch, depth, height, width, channels) of any type, turned in their three planes in turn and zoomed.

    Each voxel shows the nearest one of the input: interpolation would remove what single voxels are, noise and sharp
    edges, from the training examples alone.
    """
    *sides, channels = volumes.shape[1:]
    _, height, width = sides
    middle = (tf.constant(sides, tf.float32)[:, None] - 1) / 2
    axes = tf.meshgrid(*(tf.range(side, dtype=tf.float32) for side in sides), indexing="ij")
    places = tf.reshape(tf.stack(axes), (3, -1)) - middle
    zoom = tf.exp(augmentation.zoom * (2 * draws[:, column.ZOOM, None, None] - 1))
    source = _turns(draws, augmentation) / zoom @ places  # (batch, 3, voxels)
    nearest = tf.cast(tf.round(source + middle), tf.int32)
    inside = tf.reduce_all((nearest >= 0) & (nearest < tf.constant(sides)[:, None]), axis=1)
    flat = tf.where(inside, tf.reduce_sum(nearest * tf.constant([[height * width], [width], [1]]), axis=1), 0)
    turned = tf.gather(tf.reshape(volumes, (-1, math.prod(sides), channels)), flat, axis=1, batch_dims=1)
    turned = tf.where(inside[..., None], turned, tf.constant(fill_value, volumes.dtype))
    return tf.reshape(turned, (-1, *sides, channels))


def _turns(draws: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Rotations of (z, y, x) in the planes (y, x), (z, x) and (z, y): float32 (batch, 3, 3)."""
    turns = tf.eye(3)
    for first, second, number in ((1, 2, column.ANGLE), (0, 2, column.ANGLE_Y), (0, 1, column.ANGLE_X)):
        chance = draws[:, number]
        angle = tf.zeros_like(chance)
        if augmentation.quarter_turns:  # the first two bits decide their number
            angle = math.pi / 2 * tf.floor(4 * chance)
            chance = 4 * chance - tf.floor(4 * chance)
        angle += math.radians(augmentation.degrees) * (2 * chance - 1)
        rows = [[tf.ones_like(angle) if i == j else tf.zeros_like(angle) for j in range(3)] for i in range(3)]
        rows[first][first] = rows[second][second] = tf.cos(angle)
        rows[first][second] = -tf.sin(angle)
        rows[second][first] = tf.sin(angle)
        turns = turns @ tf.stack([tf.stack(row, axis=-1) for row in rows], axis=-2)
    return turns


def mirror(images: tf.Tensor, draws: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Images (batch, height, width, channels) of any type, mirrored as `matrices` says, without resampling."""
    _, height, width, channels = images.shape
    # Along the middle of three axes TensorFlow copies whole pixels; else single numbers, which takes ten times as long.
    rows = {column.FLIP_X: (-1, width, channels), column.FLIP_Y: (-1, height, width * channels)}
    for flip, share in ((column.FLIP_X, augmentation.hflip), (column.FLIP_Y, augmentation.vflip)):
        if share:

            def reverse(some: tf.Tensor, shape: tuple[int, ...] = rows[flip]) -> tf.Tensor:
                return tf.reshape(tf.reverse(tf.reshape(some, shape), [1]), (-1, height, width, channels))

            images = partition.change(images, draws[:, flip] < share, [reverse])
    return images


def move_boxes(boxes: tf.Tensor, matrices: tf.Tensor, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Move boxes with the pixels of `resample`: the upright hull of the moved corners, clipped to the image.

    Args:
        boxes: float32 (batch, n, 4), x and y of the first corner and of the last, in pixels; rows of -1 are padding.
        matrices: float32 (batch, 3, 3).

    Returns:
        (boxes, keep): rows of -1 where there was no box or less than a fifth of the moved one is left in the image;
        bool (batch, n), where one is left.
    """
    x, y = tf.gather(boxes, [0, 2, 2, 0], axis=-1), tf.gather(boxes, [1, 1, 3, 3], axis=-1)
    corners = tf.stack([x - width / 2, y - height / 2, tf.ones_like(x)], axis=-1)  # (batch, n, 4, 3)
    moved = tf.einsum("bij,bnkj->bnki", tf.linalg.inv(matrices), corners)[..., :2] + [width / 2, height / 2]
    hull = tf.concat([tf.reduce_min(moved, axis=2), tf.reduce_max(moved, axis=2)], axis=-1)
    return _visible(hull, tf.reduce_any(boxes != -1, axis=-1), height, width)


def crop_boxes(boxes: tf.Tensor, window: tf.Tensor, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """As `move_boxes`, for the boxes float32 (n, 4) of one image whose crop `window` is resized to (height, width)."""
    y, x, h, w = tf.unstack(tf.cast(window, tf.float32))
    scale = tf.stack([width / w, height / h, width / w, height / h])
    return _visible((boxes - tf.stack([x, y, x, y])) * scale, tf.reduce_any(boxes != -1, axis=-1), height, width)


def _visible(boxes: tf.Tensor, present: tf.Tensor, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    clipped = tf.clip_by_value(boxes, 0.0, [width, height, width, height])
    keep = present & (_area(clipped) > 0) & (_area(clipped) >= VISIBLE * _area(boxes))
    return tf.where(keep[..., None], clipped, -1.0), keep


def _area(boxes: tf.Tensor) -> tf.Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def crop_window(
    height: tf.Tensor, width: tf.Tensor, draws: tf.Tensor, augmentation: Augmentation, aspect: float | tf.Tensor = 1.0
) -> tf.Tensor:
    """The random resized crop of one image, by torchvision's rule.

    The area is uniform in `augmentation.scale`, the ratio log-uniform in `augmentation.ratio`, times `aspect`. The
    window is the first of ten tries that fits into the image, else the largest centred one whose ratio is allowed.

    Args:
        height, width: int32 scalars.
        draws: float32 (DRAWS,).
        aspect: width by height of a window that is not distorted; torchvision has 1 for every size of the result.

    Returns:
        int32 (4,): y, x, height and width, as `tf.io.decode_and_crop_jpeg` takes them; the whole image if the scale is
        (1, 1).
    """
    if augmentation.scale == (1.0, 1.0):
        return tf.stack([0, 0, height, width])
    rows = tf.cast(height, tf.float32)
    columns = tf.cast(width, tf.float32)
    narrowest, widest = augmentation.ratio
    ratios = _between(math.log(narrowest), math.log(widest), draws[column.CROP_RATIO])
    area = rows * columns * _between(*augmentation.scale, draws[column.CROP_AREA])
    ratio = tf.exp(ratios) * aspect
    w = tf.round(tf.sqrt(area * ratio))
    h = tf.round(tf.sqrt(area / ratio))
    fits = (w >= 1) & (w <= columns) & (h >= 1) & (h <= rows)
    first = tf.argmax(fits)
    any_fits = tf.reduce_any(fits)
    w = tf.where(any_fits, w[first], tf.minimum(columns, tf.round(rows * (widest * aspect))))
    h = tf.where(any_fits, h[first], tf.minimum(rows, tf.round(columns / (narrowest * aspect))))

    def corner(chance: tf.Tensor, free: tf.Tensor) -> tf.Tensor:
        return tf.where(any_fits, tf.floor(chance * (free + 1)), tf.floor(free / 2))

    y = corner(draws[column.CROP_Y], rows - h)
    x = corner(draws[column.CROP_X], columns - w)
    return tf.cast(tf.stack([y, x, h, w]), tf.int32)


def _between(low: float, high: float, share: tf.Tensor) -> tf.Tensor:
    return low + (high - low) * share
