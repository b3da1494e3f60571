"""What the command looks into: the network of a run, or one with ImageNet weights, with the reader of its images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from pipelines.inputs import Inputs
from tfcnn import imagenet
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.model_files import in_float32
from tfcnn.run_directory import RunDirectory
from tfcnn.visualize.maximisation import Standard


class Subject(NamedTuple):
    """A network to look into.

    Attributes:
        name: for titles.
        model: keras.Model in float32.
        inputs: reads and prepares image files.
        standard: how pixels from 0 to 1 become its inputs.
        class_names: of its outputs; empty where it has no classes.
    """

    name: str
    model: keras.Model
    inputs: Inputs
    standard: Standard
    class_names: tuple[str, ...]

    def read(self, paths: Sequence[str]) -> np.ndarray:
        """The images of files as the network takes them, float32 (images, height, width, channels).

        Raises:
            pipelines.BadData: a file that cannot be used.
        """
        examples = self.inputs.open(paths)
        return np.concatenate(list(self.inputs.batches(examples, len(examples))))

    def pixels(self, inputs: np.ndarray) -> np.ndarray:
        """The network's inputs as pixels from 0 to 1."""
        return inputs * np.asarray(self.standard.std) + np.asarray(self.standard.mean)


def of_run(run: RunDirectory) -> Subject:
    """The network of a finished run. Raises BadInput where it does not take images."""
    facts = run.read_config()["data"]
    shape = facts["image_shape"]
    if len(shape) != 3 or facts["task"] == "detection":
        sizes = "x".join(map(str, shape))
        raise BadInput(f"the run in '{run.path}' is for {facts['task']} of {sizes}: give a run for images (RUN)")
    return _subject(run.path.name, run.load_model(), facts)


def of_weights(config: Config) -> Subject:
    """A network with ImageNet weights. Raises BadInput."""
    standardisation = imagenet.standardisation_of(config)
    model, arguments, _ = imagenet.load(config)
    return _subject(config.arch, model, imagenet.data_facts(arguments["input_shape"], standardisation))


def _subject(name: str, model: keras.Model, facts: dict[str, Any]) -> Subject:
    standard = Standard(facts["mean"], facts["std"])
    return Subject(name, in_float32(model), Inputs(facts), standard, tuple(facts["class_names"] or ()))
