"""Reconstruction: how near an example comes to itself, as PSNR and SSIM, and its picture."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcnn.results import Classes, Evaluation, Facts, Network, Options, Outputs, Results, Scores, Served, before_noun
from tfcnn.results.folder import name_outputs, write_table, writing_predictions
from tfcnn.results.outputs import outputs_of, responding
from tfcnn.results.ranking import Ranked, fetch_examples, rank
from tfcnn.tasks import TASKS

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

    from pipelines.dataset import Data
    from pipelines.inputs import Example

SSIM_SIDE = 11  # pixels of the window, below which an image has no SSIM
EXACT = 1e-10  # the least mean squared error: 100 dB


def signal_to_noise(truth: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in decibels, float64 (batch,), of examples (batch, ...) in 0 ... 1.

    >>> import numpy as np
    >>> signal_to_noise(np.zeros((2, 4, 4, 1)), np.full((2, 4, 4, 1), 0.1)).round(6).tolist()
    [20.0, 20.0]
    """
    import numpy as np

    squares = (np.asarray(truth, float) - images) ** 2
    return -10 * np.log10(np.maximum(squares.reshape(len(squares), -1).mean(1), EXACT))


def structural_similarity(truth: np.ndarray, images: np.ndarray) -> np.ndarray | None:
    """Structural similarity, float (batch,); None for what are no images, or those of less than 11 pixels a side.

    Wang, Bovik, Sheikh & Simoncelli, "Image quality assessment: from error visibility to structural similarity" (2004),
    section III-C: windows of 11 x 11 pixels with Gaussian weights of 1.5 pixels, averaged over the channels.

    Args:
        truth: (batch, height, width, channels) in 0 ... 1.
        images: of that shape; what lies outside 0 ... 1 is clipped, as in a picture.
    """
    import numpy as np
    import tensorflow as tf

    if truth.ndim != 4 or min(truth.shape[1:3]) < SSIM_SIDE:
        return None
    first = tf.constant(truth, tf.float32)
    second = tf.constant(np.clip(images, 0, 1), tf.float32)
    return tf.image.ssim(first, second, max_val=1.0, filter_size=SSIM_SIDE, filter_sigma=1.5).numpy()


def evaluate(model: keras.Model, data: Data, split: str, classes: Classes) -> Scores:
    """The scores of a network that returns its input.

    Returns:
        dict: "psnr" in decibels, of values in 0 ... 1, and "ssim" (None of what are no images), each averaged over the
        examples; and "ranked": the worst, the median and the best examples by their PSNR, as lists of [group, number
        in the split, PSNR].
    """
    import numpy as np

    ratios: list[float] = []
    similarities: list[float] = []
    for inputs, _ in data.evaluation(split):
        truth = _shares(inputs.numpy(), data.mean, data.std)
        images = _shares(model.predict_on_batch(inputs), data.mean, data.std)
        ratios += signal_to_noise(truth, images).tolist()
        similarity = structural_similarity(truth, images)
        similarities += [] if similarity is None else similarity.tolist()
    return {
        "psnr": float(np.mean(ratios)),
        "ssim": float(np.mean(similarities)) if similarities else None,
        "ranked": [list(ranked) for ranked in rank(ratios)],
    }


def _shares(examples: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Standardised examples in 0 ... 1."""
    import numpy as np

    return np.asarray(examples, np.float32) * np.asarray(std, np.float32) + np.asarray(mean, np.float32)


def describe(result: Scores) -> str:
    """The scores as text."""
    ssim = "-, of images of 11 pixels a side or more alone" if result["ssim"] is None else f"{result['ssim']:.4f}"
    examples = f"{result['examples']:,} {before_noun(result['split'])}examples"
    return f"PSNR      {result['psnr']:.2f} dB of {examples}\nSSIM      {ssim}"


def draw_sheet(evaluation: Evaluation, path: Path, title: str) -> None:
    """Draw original, reconstruction and error of the worst, the median and the best examples."""
    import numpy as np
    from matplotlib import colormaps

    from tfcnn.visualize import sheet

    data = evaluation.data
    ranked = [Ranked(*row) for row in evaluation.scores["ranked"]]
    inputs, _ = fetch_examples(data, evaluation.split, [row.number for row in ranked])
    originals = _shares(inputs, data.mean, data.std).clip(0, 1)
    images = _shares(evaluation.model.predict_on_batch(inputs), data.mean, data.std).clip(0, 1)
    errors = abs(originals - images).mean(-1)
    largest = max(float(errors.max()), 1e-6)
    rows: list[sheet.Row] = []
    for row, original, image, error in zip(ranked, originals, images, errors, strict=True):
        headline = TASKS["reconstruction"].headline
        label = f"{row.group}\nnumber {row.number}\n{headline.label}\n{headline.form.format(row.score)}"
        panels = [sheet.as_picture(original), sheet.as_picture(image)]
        shares = sheet.as_picture(error[..., None] / largest)
        titles = [] if rows else ["original", "reconstruction", "error"]
        rows.append(sheet.Row(label, [*panels, np.asarray(colormaps["inferno"](shares))[..., :3]], titles))
    note = f"error: absolute difference, black 0, yellow {largest:.2f} of the range"
    sheet.draw_sheet(rows, path, title=title, note=note)


def answer(model: keras.Model, inputs: np.ndarray, facts: Facts) -> np.ndarray:
    """Examples float32 (batch, *image_shape) in the range of the training data."""
    import numpy as np

    low, high = facts["value_range"]
    shares = _shares(outputs_of(model, inputs), facts["mean"], facts["std"])
    return np.clip(shares * (high - low) + low, low, high).astype(np.float32)


def predict(network: Network, examples: Sequence[Example], options: Options) -> Iterator[str]:
    """For each example a line: its path, PSNR and SSIM; with --out its reconstruction, and predictions.csv.

    Images are written as PNG at their own size, other examples as the array `reconstruction` of a .npz file.
    """
    shape = network.inputs.shape
    pictures = len(shape) == 3 and shape[-1] in (1, 3)
    names = name_outputs([example.name for example in examples], (".png" if pictures else ".npz",))
    width = max(len(example.name) for example in examples)
    rows = []
    with contextlib.ExitStack() as stack:
        folder = None if options.out is None else stack.enter_context(writing_predictions(options.out))
        for example, (name,) in zip(examples, names, strict=True):
            pixels = network.inputs.pixels(example)
            output = network.predict_pixels(pixels[None])
            scores = _compare(network, pixels, output)
            rows.append((example.name, *scores))
            if folder is not None and pictures:
                _write_picture(network.facts, output, pixels.shape[:2], folder / name)
            elif folder is not None:
                _write_array(output[0], folder / name)
            ssim = "" if scores[1] is None else f"  SSIM {scores[1]:.4f}"
            yield f"{example.name:{width}}  PSNR {scores[0]:.2f} dB{ssim}"
        if folder is not None:
            write_table(folder, ("image", "psnr", "ssim"), rows)


def _compare(network: Network, pixels: np.ndarray, output: np.ndarray) -> tuple[float, float | None]:
    """PSNR and SSIM of an example, at the network's size."""
    low, high = network.facts["value_range"]
    inputs = network.inputs.from_pixels(pixels[None])
    truth = _shares(inputs, network.facts["mean"], network.facts["std"])
    image = (output - low) / (high - low)
    similarity = structural_similarity(truth, image)
    ratio = round(float(signal_to_noise(truth, image)[0]), 4)
    return ratio, None if similarity is None else round(float(similarity[0]), 4)


def _write_picture(facts: Facts, output: np.ndarray, size: tuple[int, int], path: Path) -> None:
    """Write a reconstruction (1, height, width, channels) as PNG of the size of its image."""
    import numpy as np
    from PIL import Image

    from pipelines.fitting import undo_fit

    low, high = facts["value_range"]
    height, width, _ = facts["image_shape"]
    pixels = (output - low) * (255 / (high - low))
    values, _ = undo_fit(pixels, np.array(size, np.int32), height, width, facts["fit"], (0, 0), (1, 1))
    picture = values.numpy()[0].clip(0, 255).round().astype(np.uint8)
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(path)


def _write_array(output: np.ndarray, path: Path) -> None:
    import numpy as np

    np.savez_compressed(path, reconstruction=output)


def serve(model: keras.Model, facts: Facts) -> Served:
    """All endpoints return the image (batch, *image_shape), in the range of the data."""
    import numpy as np
    import tensorflow as tf

    low, high = facts["value_range"]
    mean = np.asarray(facts["mean"], np.float32)
    std = np.asarray(facts["std"], np.float32)

    def ready(outputs: tf.Tensor) -> Outputs:
        return {"image": tf.clip_by_value((outputs * std + mean) * (high - low) + low, low, high)}

    def with_sizes(outputs: tf.Tensor, sizes: Any) -> Outputs:
        return ready(outputs)

    return Served(ready, with_sizes, with_sizes)


RESULTS = Results(
    evaluate=evaluate,
    describe=describe,
    pictures={"sheet": draw_sheet},
    tables={},
    answer=answer,
    flags=("out",),
    predict=predict,
    serve=serve,
    respond=responding(serve),
)
