"""The examples of a run that its exported files are compared on, and those that int8 measures."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from pipelines.errors import BadData
from tfcnn.detection.examples import Example as RegionExample
from tfcnn.detection.examples import read_examples
from tfcnn.errors import BadInput
from tfcnn.evaluate import load_data_of
from tfcnn.export.comparison import MOST_EXAMPLES, Examples, raw_examples
from tfcnn.results import Classes
from tfcnn.training.data import describe_change
from tfcnn.training.targets import match_masks

if TYPE_CHECKING:
    import keras

    from pipelines.dataset import Data

SAMPLES = 200  # training examples, evenly spread, of which int8 takes the ranges of activations
RANDOM_EXAMPLES = 32
MOST_IMAGES = 200  # of a detector: selective search takes some 0.1 seconds for each
RANDOM_REGIONS = 8


def examples_of(
    facts: dict[str, Any], model: keras.Model, data_dir: str | None, with_samples: bool
) -> tuple[Examples, np.ndarray | None]:
    """The first test examples of a run, and raw training examples or None.

    A run that was not trained, as `tfcnn.pretrained` writes, has no data: its examples are random.

    Args:
        facts: of the run, as config.json has them.
        model: of the run.
        data_dir: folder of prepared data sets; default: that of the training.
        with_samples: whether training examples are asked for.

    Raises:
        pipelines.BadData: the data set cannot be loaded.
        BadInput: the data have changed.
    """
    data_facts = facts["data"]
    if not data_facts["sizes"]["test"]:
        return random_examples(data_facts), None
    data = load_data_of(facts, data_dir, None, None)
    change = describe_change(data_facts, data)
    if change:
        raise BadInput(f"the data of the run have changed: {change}; restore them, or give their --data-dir")
    if data_facts["task"] == "detection":
        return region_examples(data, data_facts), None
    samples = raw_examples(spread_inputs(data), data_facts) if with_samples else None
    data = match_masks(data, model)
    size = min(data.sizes["test"], MOST_EXAMPLES)
    batches = data.evaluation("test").unbatch().take(size).batch(data.batch_size)
    return Examples(batches, classes_of(data_facts), f"{size:,} test examples", size, data), samples


def classes_of(facts: dict[str, Any]) -> Classes:
    """The classes of a run, whose numbers its own data have."""
    names = facts["class_names"] or []
    return Classes(names, range(len(names)))


def region_examples(data: Data, facts: dict[str, Any]) -> Examples:
    """The first test images of a detector with the regions that selective search proposes."""
    rows = list(itertools.islice(read_examples(data, "test"), MOST_IMAGES))
    return Examples(None, classes_of(facts), f"{len(rows):,} test images", len(rows), data, rows)


def spread_inputs(data: Data) -> np.ndarray:
    """Standardised training examples, not augmented, evenly spread over the split; of streamed data the first."""
    size = data.sizes["train"]
    numbers = np.unique(np.linspace(0, size - 1, min(SAMPLES, size)).astype(np.int64))
    try:
        return np.asarray(data.inputs("train", tf.constant(numbers)))
    except BadData:
        inputs = data.evaluation("train").unbatch().take(SAMPLES).as_numpy_iterator()
        return np.stack([example for example, _ in inputs])


def random_examples(facts: dict[str, Any], count: int = RANDOM_EXAMPLES) -> Examples:
    """Random values of the training data's range, standardised, without targets."""
    shares = np.random.default_rng(0).uniform(size=(count, *facts["image_shape"]))
    inputs = ((shares - np.asarray(facts["mean"])) / np.asarray(facts["std"])).astype(np.float32)
    if facts["task"] == "detection":
        rows = [_with_random_regions(image, number) for number, image in enumerate(inputs)]
        return Examples(None, None, f"{count} random examples", count, regions=rows)
    batches = tf.data.Dataset.from_tensor_slices((inputs, inputs)).batch(8)
    return Examples(batches, None, f"{count} random examples", count)


def _with_random_regions(image: np.ndarray, seed: int) -> RegionExample:
    height, width, _ = image.shape
    corners = np.random.default_rng(seed).uniform(size=(2, RANDOM_REGIONS, 2)) * (width, height)
    return RegionExample(image, np.concatenate([corners.min(0), corners.max(0)], axis=-1).astype(np.float32), {})
