"""PSNR and SSIM against scikit-image; reconstructions of files."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from skimage import metrics

from tfcnn.results import Classes, Evaluation, Options, results_of
from tfcnn.results.reconstruction import signal_to_noise, structural_similarity
from tfcnn.trained import Trained

FACTS = {
    "task": "reconstruction",
    "image_shape": (16, 16, 3),
    "value_range": (0, 255),
    "fit": "pad",
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.25, 0.3],
    "class_names": [],
}


@pytest.fixture(scope="module")
def pairs():
    """Images in 0 ... 1, and the same with noise."""
    rng = np.random.default_rng(0)
    images = rng.random((5, 20, 17, 3))
    return images, (images + rng.normal(scale=0.1, size=images.shape)).clip(0, 1)


def test_psnr_is_scikit_images(pairs):
    expected = [metrics.peak_signal_noise_ratio(a, b, data_range=1) for a, b in zip(*pairs, strict=True)]
    np.testing.assert_allclose(signal_to_noise(*pairs), expected, rtol=1e-6)


def test_ssim_is_scikit_images_with_the_windows_of_the_paper(pairs):
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    expected = [metrics.structural_similarity(a, b, channel_axis=-1, **options) for a, b in zip(*pairs, strict=True)]
    np.testing.assert_allclose(structural_similarity(*pairs), expected, atol=1e-4)


def test_small_images_and_sounds_have_no_ssim():
    assert structural_similarity(np.zeros((1, 10, 20, 1)), np.zeros((1, 10, 20, 1))) is None
    assert structural_similarity(np.zeros((1, 100, 1)), np.zeros((1, 100, 1))) is None


class Images:
    """The part of pipelines.dataset.Data that an evaluation uses."""

    mean = tuple(FACTS["mean"])
    std = tuple(FACTS["std"])

    def __init__(self):
        self.images = np.random.default_rng(0).normal(size=(7, 16, 16, 3)).astype("float32")

    def evaluation(self, split):
        return tf.data.Dataset.from_tensor_slices((self.images, self.images)).batch(3)


def halved():
    inputs = keras.Input((16, 16, 3))
    return keras.Model(inputs, keras.layers.Rescaling(0.5)(inputs))


@pytest.fixture(scope="module")
def evaluation():
    data = Images()
    model = halved()
    classes = Classes([], [])
    scores = results_of("reconstruction").evaluate(model, data, "test", classes)
    return Evaluation(model, data, "test", classes, scores)


def test_scores_of_a_split(evaluation):
    images = evaluation.data.images
    errors = ((images - images / 2) * np.array(FACTS["std"])).reshape(7, -1)
    ratios = -10 * np.log10((errors**2).mean(1))
    assert evaluation.scores["psnr"] == pytest.approx(ratios.mean(), rel=1e-5)
    assert [row[1] for row in evaluation.scores["ranked"] if row[0] == "worst"] == np.argsort(ratios)[:2].tolist()
    text = results_of("reconstruction").describe({"split": "test", "examples": 7} | evaluation.scores)
    assert f"PSNR      {ratios.mean():.2f} dB of 7 test examples" in text


def test_the_sheet_is_drawn(evaluation, tmp_path):
    results_of("reconstruction").pictures["sheet"](evaluation, tmp_path / "x.png", "title")
    with Image.open(tmp_path / "x.png") as drawn:
        assert min(drawn.size) > 300


def test_reconstructions_have_the_size_of_their_files(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "small.png")
    Image.fromarray(np.kron(pixels, np.ones((3, 4, 1), np.uint8))).save(tmp_path / "wide.png")
    paths = [str(tmp_path / "small.png"), str(tmp_path / "wide.png")]
    trained = Trained(halved(), FACTS)
    examples = trained.inputs.open(paths)
    lines = list(results_of("reconstruction").predict(trained, examples, Options(out=tmp_path / "out")))
    with Image.open(tmp_path / "out" / "wide.png") as picture:
        assert picture.size == (64, 48)
    with Image.open(tmp_path / "out" / "small.png") as picture:
        middle = 255 * np.array(FACTS["mean"])
        np.testing.assert_allclose(np.asarray(picture), (pixels + middle) / 2, atol=1)
    assert lines[0].startswith(f"{paths[0]}  ")
    ratio = metrics.peak_signal_noise_ratio(pixels, (pixels + middle) / 2, data_range=255)
    assert f"PSNR {ratio:.2f} dB  SSIM" in lines[0]
    assert (tmp_path / "out" / "predictions.csv").read_text().startswith("image,psnr,ssim\n")
