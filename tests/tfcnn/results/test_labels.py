"""Views of images against slices of their pixels; the place of Grad-CAM's heat in the image."""

import keras
import numpy as np
import pytest
from PIL import Image

from tfcnn.errors import BadInput
from tfcnn.results import Options, results_of
from tfcnn.results.views import describe_views, predict_views
from tfcnn.trained import Trained

SIDE = 14  # 8/7 of it are 16
FACTS = {
    "task": "classification",
    "image_shape": (SIDE, SIDE, 3),
    "value_range": (0, 255),
    "fit": "crop",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "class_names": ["a", "b", "c"],
}


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(0)
    layers = [keras.Input((SIDE, SIDE, 3)), keras.layers.Flatten(), keras.layers.Dense(3)]
    return Trained(keras.Sequential(layers), FACTS)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three images (16, 16, 3), and their files."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    paths = [str(tmp_path_factory.mktemp("photos") / f"{number}.png") for number in range(3)]
    for image, path in zip(pixels, paths, strict=True):
        Image.fromarray(image).save(path)
    return pixels, paths


def probabilities(trained, pixels):
    logits = trained.model((pixels / 255 - 0.5) / 0.25).numpy()
    shares = np.exp(logits)
    return shares / shares.sum(-1, keepdims=True)


def mean_over_crops(trained, pixels, mirrored):
    total = []
    for top, left in [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]:
        crop = pixels[:, top : top + SIDE, left : left + SIDE]
        total.append(probabilities(trained, crop))
        if mirrored:
            total.append(probabilities(trained, crop[:, :, ::-1]))
    return sum(total) / len(total)


@pytest.mark.parametrize(("tta", "mirrored"), [("five-crop", False), ("ten-crop", True)])
def test_crops_are_corners_and_middle_of_a_larger_image(trained, photos, tta, mirrored):
    pixels, paths = photos
    batches = list(predict_views(trained, trained.inputs.open(paths), Options(tta=tta, batch_size=2)))
    assert [len(batch) for batch in batches] == [2, 1]
    np.testing.assert_allclose(np.concatenate(batches), mean_over_crops(trained, pixels, mirrored), atol=1e-5)


def test_flip_is_the_mean_of_the_image_and_its_mirror_image(trained, photos):
    _, paths = photos
    examples = trained.inputs.open(paths)
    (answer,) = predict_views(trained, examples, Options(tta="flip"))
    (inputs,) = trained.inputs.batches(examples, 3)
    pixels = (inputs * 0.25 + 0.5) * 255
    expected = (probabilities(trained, pixels) + probabilities(trained, pixels[:, :, ::-1])) / 2
    np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_without_views_the_probabilities_are_those_of_the_run(trained, photos):
    _, paths = photos
    examples = trained.inputs.open(paths)
    (answer,) = predict_views(trained, examples, Options())
    np.testing.assert_array_equal(answer, trained.predict(paths))


def test_a_run_that_has_seen_no_mirror_image_has_a_note():
    never = FACTS | {"augmentation": {"hflip": 0.0}}
    assert "five-crop mirrors none" in describe_views(never, "ten-crop")
    assert describe_views(never, "five-crop") == ""
    assert describe_views(FACTS | {"augmentation": {"hflip": 0.5}}, "flip") == ""
    assert describe_views(FACTS, "flip") == ""  # runs of earlier versions


@pytest.mark.parametrize("options", [{"tta": "flip"}, {"cam": True}])
def test_sounds_have_no_views_and_no_pictures(options, tmp_path):
    trained = Trained(keras.Sequential([keras.Input((80, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]), SOUNDS)
    np.savez(tmp_path / "sound.npz", x=np.zeros((1, 80)))
    examples = trained.inputs.open([str(tmp_path / "sound.npz")])
    with pytest.raises(BadInput, match=r"is for images, and this run takes examples of 80x1"):
        list(results_of("classification").predict(trained, examples, Options(out=tmp_path / "out", **options)))
    assert not (tmp_path / "out").exists()


SOUNDS = FACTS | {"image_shape": (80, 1), "mean": [0.0], "std": [1.0], "class_names": ["a", "b"]}


def brightness():
    """Its maps are the brightness, which speaks for the first class."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(1, 2, strides=2, kernel_initializer="ones", activation="relu", name="maps")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))
    model.get_layer("logits").set_weights([np.array([[1.0, -1.0, -1.0]]), np.zeros(3)])
    return model


def test_the_heat_lies_over_what_the_class_is_seen_in(tmp_path):
    """An image of 28 x 60: the network is given columns 16 to 43, and the bright spot is right of their middle."""
    pixels = np.full((28, 60, 3), 40, np.uint8)
    pixels[16:24, 32:40] = 250
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    trained = Trained(brightness(), FACTS)
    examples = trained.inputs.open([str(tmp_path / "photo.png")])
    options = Options(out=tmp_path / "out", cam=True)
    list(results_of("classification").predict(trained, examples, options))
    with Image.open(tmp_path / "out" / "photo-cam.png") as picture:
        assert picture.size == (60, 28)
        colours = np.asarray(picture).astype(int)
    np.testing.assert_array_equal(colours[:, :16], pixels[:, :16])  # beyond the crop the image is grey
    np.testing.assert_array_equal(colours[:, 44:], pixels[:, 44:])
    hot = (colours - 0.35 * pixels)[..., 0] > 0.65 * 200  # red to yellow
    assert hot[18:22, 34:38].all()
    assert not hot[:13].any()
    assert not hot[:, :29].any()
