"""What belongs to an image goes through the preparation with it: here the image shows its own mask."""

import numpy as np
import pytest
from PIL import Image

import pipelines
from pipelines.augmentation.policy import Augmentation
from pipelines.preparation import Preparation
from pipelines.sources import Cache

SHADE = 100  # grey levels a class


@pytest.fixture(scope="module")
def shaded_folder(tmp_path_factory):
    """Twelve images of 90x120 in three classes, each with its own rows and columns, and a mask that shows them."""
    root = tmp_path_factory.mktemp("shaded")
    for part in ("images", "masks"):
        (root / part).mkdir()
    for number in range(12):
        mask = np.zeros((90, 120), np.uint8)
        mask[10 + 3 * number :, 20 + 5 * number :] = 1
        mask[60:, :50] = 2
        Image.fromarray(mask).save(root / "masks" / f"{number:02}.png")
        Image.fromarray(SHADE * mask).save(root / "images" / f"{number:02}.png")
    return root


@pytest.mark.parametrize(
    "augmentation",
    [Augmentation(hflip=0.5, scale=(0.1, 0.5)), Augmentation(hflip=0.5, margin=0.5)],
    ids=["resized", "window"],
)
@pytest.mark.parametrize(("image_size", "fit"), [(48, "pad"), ((40, 56), "squash")], ids=["square", "squashed"])
def test_a_mask_is_cropped_as_its_image_is(shaded_folder, augmentation, image_size, fit, tmp_path):
    data = pipelines.load(
        str(shaded_folder),
        image_size=image_size,
        fit=fit,
        batch_size=8,
        augmentation=augmentation,
        data_dir=str(tmp_path),
    )
    shares = set()
    for inputs, masks in data.train(6).as_numpy_iterator():
        shades = np.round((inputs * data.std + data.mean)[..., 0] * 255 / SHADE)
        for image, mask in zip(shades, masks, strict=True):
            assert (image == mask).mean() > 0.9  # all but the blurred edges of the classes
            shares.add((mask == 1).mean().round(2))
    assert len(shares) > 10  # and the crops differ


def test_an_object_that_is_cut_off_has_no_label():
    """Of an image of 40x80 the middle is left: x from 20 to 60."""
    preparation = Preparation(
        task="detection",
        shape=(40, 40, 3),
        num_classes=3,
        fit="crop",
        augmentation=Augmentation(),
        fill_mode="CONSTANT",
        value_range=(0, 255),
        mask_table=None,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        cache=Cache(),
    )
    boxes = np.array([[0.0, 0.1, 0.2, 0.9], [0.5, 0.25, 0.625, 0.5], [0.25, 0.0, 0.5, 1.0]], "float32")
    example = {"image": np.zeros((40, 80, 3), np.uint8), "boxes": boxes, "labels": np.array([0, 1, 2])}
    _, target = preparation.prepare_example(example, None)
    np.testing.assert_allclose(target["boxes"], [[-1] * 4, [20, 10, 30, 20], [0, 0, 20, 40]], atol=1e-4)
    np.testing.assert_array_equal(target["labels"], [-1, 1, 2])


def test_sounds_around_zero_are_shifted_into_silence(tmp_path):
    """Whole numbers -32,768 ... 32,767 become 0 ... 1, and silence a half."""
    sounds = np.full((40, 100, 1), 16384, np.int16)
    np.savez(tmp_path / "sounds.npz", x=sounds, y=np.repeat([0, 1], 20))
    data = pipelines.load(str(tmp_path / "sounds.npz"), batch_size=8, augmentation=Augmentation(translate=0.2))
    inputs = next(iter(data.train(1)))[0].numpy() * data.std + data.mean
    np.testing.assert_allclose(np.unique(inputs.round(4)), [0.5, 0.75], atol=1e-3)
