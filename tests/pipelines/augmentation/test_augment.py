import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from pipelines.augmentation import geometry, mixup
from pipelines.augmentation.augment import augment
from pipelines.augmentation.draws import DRAWS, draw_epoch, draw_example
from pipelines.augmentation.policy import NAMES, Augmentation, choose_augmentation

SIDE = 24
RAND = Augmentation(
    hflip=0.5, vflip=0.5, degrees=20, translate=0.1, zoom=0.1, color_jitter=0.2, randaugment=(2, 9.0), erase=0.3
)


def images_of(count, channels=3, seed=0):
    """Smooth random pictures: float32 (count, SIDE, SIDE, channels)."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (count, 4, 4, channels))
    return tf.image.resize(coarse, (SIDE, SIDE), "bicubic").numpy().clip(0, 255)


@pytest.mark.parametrize("fill_mode", ["CONSTANT", "REFLECT"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_shape_type_and_range_stay(channels, fill_mode):
    images = images_of(40, channels)
    result = augment(tf.constant(images), draw_epoch(0, 0, 40), RAND, fill_mode=fill_mode)
    assert (result.shape, result.dtype) == (images.shape, tf.float32)
    assert np.isfinite(result).all()
    assert result.numpy().min() >= 0
    assert result.numpy().max() <= 255.01


@pytest.mark.parametrize("side", [1, 2, 3])
def test_the_smallest_images(side):
    images = tf.fill([60, side, side, 3], 50.0)
    result = augment(images, draw_epoch(0, 0, 60), RAND, fill_mode="REFLECT")
    assert result.shape == images.shape
    assert np.isfinite(result).all()


def test_nothing_asked_for_is_the_input_itself():
    images = tf.constant(images_of(3))
    masks = tf.zeros([3, SIDE, SIDE, 1], tf.uint8)
    boxes = tf.constant([[[1.0, 2.0, 9.0, 9.0], [-1, -1, -1, -1]]] * 3)
    draws = draw_epoch(0, 0, 3)
    nothing = choose_augmentation("none", side=SIDE, characters=False)
    assert augment(images, draws, nothing, fill_mode="REFLECT") is images
    together = augment(images, draws, nothing, fill_mode="REFLECT", masks=masks, boxes=boxes)
    assert together["images"] is images
    assert together["masks"] is masks
    np.testing.assert_allclose(together["boxes"], boxes, atol=1e-5)
    np.testing.assert_array_equal(together["keep"], [[True, False]] * 3)


CHANGES = {
    "hflip": 0.5,
    "vflip": 0.5,
    "degrees": 12.0,
    "translate": 0.1,
    "zoom": 0.2,
    "color_jitter": 0.2,
    "randaugment": (2, 9.0),
    "erase": 0.5,
    "mixup": 0.4,
    "cutmix": 1.0,
    "scale": (0.2, 0.9),
    "ratio": (1.0, 1.0),
}


def test_every_field_is_tried():
    # tests/pipelines/test_dataset.py has a window of fixed scale; quarter turns are for volumes, below.
    elsewhere = {"margin", "quarter_turns"}
    assert set(CHANGES) | elsewhere == {field.name for field in dataclasses.fields(Augmentation)}


@pytest.mark.parametrize("name", CHANGES)
def test_every_field_changes_something(name):
    images = tf.constant(images_of(16))
    draws = draw_epoch(0, 0, 16)
    base = Augmentation(scale=(0.2, 0.9)) if name == "ratio" else Augmentation()
    a = dataclasses.replace(base, **{name: CHANGES[name]})
    if name in ("scale", "ratio"):
        result, plain = (geometry.crop_window(*tf.constant([90, 120]), draws[0], each).numpy() for each in (a, base))
        assert (result != plain).any()
    elif name in ("mixup", "cutmix"):
        mixed, targets = mixup.mix(images, tf.eye(16), 0, 0, 0, a)
        assert (mixed != images).numpy().any()
        assert (targets != tf.eye(16)).numpy().any()
    else:
        changed = (augment(images, draws, a, fill_mode="REFLECT") != images).numpy().any(axis=(1, 2, 3))
        assert 0.2 < changed.mean() <= (0.8 if name in ("hflip", "vflip", "erase") else 1)


def share_mirrored(a, fill_mode="REFLECT", count=2000):
    gradient = tf.tile(tf.linspace(0.0, 255.0, 16)[None, None, :, None], [count, 16, 1, 1])
    images = augment(gradient, draw_epoch(0, 0, count), a, fill_mode=fill_mode).numpy()
    return (images[:, :, 4].mean((1, 2)) > images[:, :, 11].mean((1, 2))).mean()


@pytest.mark.parametrize("rest", [{}, {"degrees": 12.0, "zoom": 0.15, "translate": 0.09}])
def test_shares_of_mirrored_images(rest):
    assert share_mirrored(Augmentation(hflip=0.0, **rest)) == 0
    assert share_mirrored(Augmentation(hflip=0.5, **rest)) == pytest.approx(0.5, abs=0.04)
    assert share_mirrored(Augmentation(hflip=1.0, **rest)) == 1


def test_photographs_are_mirrored_and_written_characters_are_not():
    assert share_mirrored(choose_augmentation("light", side=16, characters=False)) == pytest.approx(0.5, abs=0.04)
    assert share_mirrored(choose_augmentation("light", side=16, characters=True), "CONSTANT") == 0


def test_erased_boxes_are_as_timms():
    """The probability; area of 0.02 ... 1/3, ratio 0.3 ... 1/0.3; here in the mean colour."""
    count = 3000
    side = 40
    gradient = np.linspace(0, 200, side * side * 3, dtype=np.float32).reshape(1, side, side, 3)
    images = tf.tile(tf.constant(gradient), [count, 1, 1, 1])
    result = augment(images, draw_epoch(1, 0, count), Augmentation(erase=0.4), fill_mode="REFLECT").numpy()
    erased = (result != gradient).any(axis=3)
    touched = erased.any(axis=(1, 2))
    assert touched.mean() == pytest.approx(0.4, abs=0.03)
    erased = erased[touched]
    result = result[touched]
    heights = erased.any(axis=2).sum(1)
    widths = erased.any(axis=1).sum(1)
    np.testing.assert_array_equal(heights * widths, erased.sum((1, 2)))
    np.testing.assert_allclose(result[erased], np.tile(gradient.mean((0, 1, 2)), (erased.sum(), 1)), atol=0.01)
    areas = heights * widths / side**2
    ratios = np.log(widths / heights)
    assert 0.015 < areas.min() < 0.03
    assert 0.3 < areas.max() < 0.36
    assert areas.mean() == pytest.approx((0.02 + 1 / 3) / 2, abs=0.01)
    assert np.abs(ratios).max() < np.log(1 / 0.3) + 0.25
    assert ratios.mean() == pytest.approx(0, abs=0.08)
    where = erased.mean(0)
    np.testing.assert_allclose(where, where[::-1, ::-1], atol=0.1)


@pytest.mark.parametrize("fill_mode", ["CONSTANT", "REFLECT"])
def test_image_mask_and_box_stay_together_under_every_operation(fill_mode):
    """A bright square: the mask's class 1 lies where the image is bright, and the box around it."""
    count = 200
    side = 48
    masks = np.zeros((count, side, side, 1), np.int32)
    masks[:, 17:29, 20:32] = 1
    a = dataclasses.replace(RAND, color_jitter=0.0, erase=0.0, randaugment=(2, 4.0))
    boxes = np.tile(np.float32([[20, 17, 32, 29]]), (count, 1, 1))
    draws = draw_epoch(0, 0, count)
    # Three kinds of content in the channels would be recoloured: only what moves pixels is compared, on brightness.
    images = tf.constant(masks * 200.0 + 20, tf.float32)
    result = augment(images, draws, a, fill_mode=fill_mode, masks=tf.constant(masks), boxes=tf.constant(boxes))
    labels = result["masks"].numpy()[..., 0]
    assert labels.dtype == np.int32
    assert set(np.unique(labels)) == ({0, 1, 255} if fill_mode == "CONSTANT" else {0, 1})
    comparisons = 0
    for image, label, box, keep in zip(
        result["images"].numpy()[..., 0], labels, result["boxes"].numpy(), result["keep"].numpy(), strict=True
    ):
        y, x = np.nonzero(label == 1)
        if fill_mode == "CONSTANT":
            assert keep[0]
            hull = [x.min(), y.min(), x.max() + 1, y.max() + 1]
            np.testing.assert_allclose(box[0], hull, atol=2)
        inside = image[label == 1]
        outside = image[label == 0]
        if abs(np.median(inside) - np.median(outside)) > 60:  # not equalized, solarized or washed out
            bright = np.abs(image - np.median(inside)) < np.abs(image - np.median(outside))
            assert (bright == (label == 1))[label != 255].mean() > 0.96
            comparisons += 1
    assert comparisons > 100


def test_erasing_leaves_masks_and_boxes():
    masks = tf.ones([4, SIDE, SIDE, 1], tf.uint8)
    boxes = tf.constant([[[2.0, 2.0, 20.0, 20.0]]] * 4)
    result = augment(
        images_of(4), draw_epoch(0, 0, 4), Augmentation(erase=1.0), fill_mode="CONSTANT", masks=masks, boxes=boxes
    )
    np.testing.assert_array_equal(result["masks"], masks)
    np.testing.assert_allclose(result["boxes"], boxes, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMES, "everything"])
def test_an_example_does_not_depend_on_its_batch(name):
    a = RAND if name == "everything" else choose_augmentation(name, side=SIDE, characters=False)
    images = images_of(30)
    draws = draw_epoch(4, 2, 30)
    together = augment(tf.constant(images), draws, a, fill_mode="REFLECT").numpy()
    dataset = tf.data.Dataset.from_tensor_slices((images, draws))
    dataset = dataset.map(lambda x, row: augment(x[None], row[None], a, fill_mode="REFLECT")[0], num_parallel_calls=4)
    np.testing.assert_allclose(together, list(dataset.as_numpy_iterator()), atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("large", [True, False])
def test_the_same_draws_give_the_same_bytes_and_another_epoch_gives_others(large):
    """Twice through one graph with parallel calls: nothing keeps a state, nothing depends on which comes first."""
    images = tf.constant(images_of(8))

    def augment_example(epoch, i):
        if large:
            return augment(tf.gather(images, [i]), draw_example(3, epoch, i)[None], RAND, fill_mode="REFLECT")
        return augment(images, draw_epoch(3, epoch, 8), RAND, fill_mode="REFLECT")

    epochs = np.repeat([0, 7], 8 if large else 1)
    examples = np.tile(np.arange(8 if large else 1), 2)
    dataset = tf.data.Dataset.from_tensor_slices((epochs, examples)).map(augment_example, num_parallel_calls=4)
    first, again = (np.concatenate(list(dataset.as_numpy_iterator())) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (first[:8] != first[8:]).any(axis=(1, 2, 3)).all()


def test_draws_have_the_promised_shape():
    assert draw_epoch(0, 0, 7).shape == (7, DRAWS)
    assert draw_example(0, 0, 7).shape == (DRAWS,)
