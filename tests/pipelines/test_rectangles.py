"""Images whose height and width differ, against Pillow's triangle filter."""

import numpy as np
import pytest
from PIL import Image

import pipelines
from benchmarks.faults.image_files import encode
from pipelines.augmentation.policy import Augmentation
from tests.pipelines import files

SIZE = (24, 40)
HEIGHT, WIDTH = 60, 90
PIXELS = (
    np.random.default_rng(0).integers(0, 256, (HEIGHT // 6, WIDTH // 6, 3)).astype(np.uint8).repeat(6, 0).repeat(6, 1)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of one photograph, one grey level of a pixel apart in each file."""
    root = tmp_path_factory.mktemp("rectangles")

    def pixels(label, number):
        image = PIXELS.copy()
        image[number, len(label)] ^= 1
        return image

    files.two_classes(root, pixels, count=10)
    return root


def load(folder, cache, **options):
    options = {"image_size": SIZE, "batch_size": 4, "mean": (0,), "std": (1,), "data_dir": str(cache)} | options
    return pipelines.load(str(folder), **options)


def resized(box=None):
    """The whole photograph, or a box of it, by Pillow: uint8 (24, 40, 3)."""
    return np.asarray(Image.fromarray(PIXELS).resize(SIZE[::-1], Image.Resampling.BILINEAR, box=box))


@pytest.mark.parametrize(("fit", "box"), [(None, (0, 3, 90, 57)), ("crop", (0, 3, 90, 57)), ("squash", None)])
def test_evaluation_resizes_as_pillow_does(folder, tmp_path, fit, box):
    """54 rows of 60 have the aspect of the input."""
    data = load(folder, tmp_path, fit=fit)
    images, _ = next(iter(data.evaluation("test")))
    assert data.image_shape == (*SIZE, 3)
    np.testing.assert_allclose(images[0] * 255, resized(box), atol=1.5)


def test_padding_keeps_the_aspect(folder, tmp_path):
    """36 columns of 40 are the photograph."""
    images = next(load(folder, tmp_path, fit="pad").evaluation("test").as_numpy_iterator())[0]
    assert np.abs(images[0][:, [0, -1]]).max() == 0
    photograph = np.asarray(Image.fromarray(PIXELS).resize((36, 24), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(images[0, :, 3:-3] * 255, photograph[:, 1:-1], atol=1.5)  # but its blurred border


@pytest.mark.parametrize(
    ("fit", "augmentation"),
    [
        ("crop", Augmentation(scale=(0.9, 0.9), ratio=(1.0, 1.0))),  # 54 x 90: the crop of the evaluation
        ("squash", Augmentation(scale=(0.9999, 1.0), ratio=(1.0, 1.0))),
        ("squash", Augmentation(margin=1e-9)),
    ],
)
def test_training_shows_the_aspect_of_the_evaluation(folder, tmp_path, fit, augmentation):
    """A crop of the largest scale differs from the evaluation by its place alone."""
    data = load(folder, tmp_path, fit=fit, augmentation=augmentation)
    images, _ = next(iter(data.train()))
    assert images.shape == (4, *SIZE, 3)
    height = 54 if fit == "crop" else 60
    places = [resized((0, top, 90, top + height)) for top in range(61 - height)]
    for image in np.asarray(images) * 255:
        assert min(np.abs(image - place).mean() for place in places) < 2


def test_enlarged_sides_are_scaled_alike(folder, tmp_path):
    assert load(folder, tmp_path, image_scale=1.5).image_shape == (36, 60, 3)


def test_one_number_is_a_square(folder, tmp_path):
    square = load(folder, tmp_path, image_size=24)
    pair = load(folder, tmp_path, image_size=(24, 24))
    assert square.image_shape == pair.image_shape == (24, 24, 3)
    np.testing.assert_array_equal(next(iter(square.train()))[0], next(iter(pair.train()))[0])


def test_a_sound_has_no_aspect(tmp_path):
    np.savez(
        tmp_path / "sounds.npz",
        x=np.zeros((40, 100), np.float32) + np.linspace(0, 1, 100, dtype=np.float32),
        y=[0, 1] * 20,
    )
    with pytest.raises(pipelines.BadData, match="100x1 are no images and keep their shape: leave crop_mode out"):
        pipelines.load(str(tmp_path / "sounds.npz"), fit="squash")


def test_a_large_photograph_is_decoded_smaller(tmp_path):
    """At 120 x 200 pixels a JPEG of 1000 x 1000 holds a crop of 96 x 160 at a half of its size, and no less."""
    photograph = Image.fromarray(PIXELS).resize((400, 400))
    for label in ("one", "other"):
        for number in range(10):
            files.put(
                tmp_path / "photos" / label / f"{number}.jpg", encode(np.asarray(photograph) // 2 + number, "JPEG")
            )
    data = load(tmp_path / "photos", tmp_path, image_size=(40, 90), augmentation=Augmentation(scale=(0.9, 1.0)))
    images, _ = next(iter(data.train()))
    assert images.shape == (4, 40, 90, 3)
    assert data.preparation.spare == 400 / 90
