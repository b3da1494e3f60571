"""What a trained network is given after its training, arrays or files, prepared as for its evaluation."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from pipelines.augmentation.policy import Augmentation
from pipelines.dataset import without_autograph
from pipelines.errors import BadData, BadFile
from pipelines.pixels import DEPTHS, FULL_SCALE
from pipelines.preparation import Preparation
from pipelines.readers import tree
from pipelines.readers.image_files import PILLOW, ImageFile, examine, is_image_name, read_image
from pipelines.readers.nifti import is_nifti, read_nifti
from pipelines.readers.npz import read_inputs
from pipelines.readers.scan import examine_path
from pipelines.readers.wav import cut_or_pad, is_sound, read_wav
from pipelines.sources import Cache

# Ranges whose ends say what is black and what is white; an 8-bit file is mapped to them.
NAMED_RANGES = ((0.0, 1.0), (-1.0, 1.0), (-32768.0, 32768.0), *((0.0, 2.0**bits - 1) for bits in DEPTHS))
LOUDEST = (1.0, 32768.0)  # the values of full scale that a .wav file is mapped to


class Example(NamedTuple):
    """One example of a file.

    Attributes:
        name: the path; of one of several in a .npz file with its number, "scans.npz[3]".
        content: an image file, examined; or the raw values (..., channels).
    """

    name: str
    content: ImageFile | np.ndarray


class Inputs:
    """The inputs of a network, from the facts of its training data.

    Args:
        facts: as `Data.facts` has them: image_shape, value_range, fit, mean, std; white_level and sample_rate, if they
            are there.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self.shape = tuple(facts["image_shape"])
        self.value_range = (float(facts["value_range"][0]), float(facts["value_range"][1]))
        self.white_level = facts.get("white_level", FULL_SCALE)
        self.sample_rate = facts.get("sample_rate")
        self._arrays = self._preparation(facts, self.value_range)
        self._files = self._preparation(facts, (0.0, 255.0))

        @functools.partial(
            tf.function,
            autograph=False,
            input_signature=[tf.TensorSpec((None, None, None, self.shape[-1]), tf.float32)],
        )
        def prepare_pixels(images: tf.Tensor) -> tf.Tensor:
            return self._files.prepare_batch({"image": images}, None)[0]

        # A graph of any size: a server prepares an image in a quarter of the time.
        self._prepare_pixels = prepare_pixels

    def _preparation(self, facts: dict[str, Any], value_range: tuple[float, float]) -> Preparation:
        return Preparation(
            task="reconstruction",  # whose targets are the inputs
            shape=self.shape,
            num_classes=0,
            fit=facts["fit"],
            augmentation=Augmentation(),
            fill_mode="CONSTANT",
            value_range=value_range,
            mean=tuple(facts["mean"]),
            std=tuple(facts["std"]),
            mask_table=None,
            cache=Cache(),
            white_level=self.white_level,
        )

    def from_arrays(self, examples: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        """Prepare raw examples.

        Args:
            examples: (batch, height, width, channels), or a sequence of (height, width, channels), of any size; of one
                channel also without that axis. Sounds and volumes have the network's shape. Values as in the training
                data.

        Returns:
            float32 (batch, *image_shape), standardised.

        Raises:
            BadData: another shape, or values of another range than that of the training data.
        """
        if isinstance(examples, np.ndarray) or tf.is_tensor(examples):
            return self._prepare_batch(np.asarray(examples))
        arrays = [np.asarray(example) for example in examples]
        if not arrays:
            return np.zeros((0, *self.shape), np.float32)
        return np.concatenate([self._prepare_batch(array[None]) for array in arrays])

    def _prepare_batch(self, examples: np.ndarray) -> np.ndarray:
        examples = self._check_arrays(examples)
        if len(examples) == 0:
            return np.zeros((0, *self.shape), np.float32)
        images = tf.constant(examples.astype(np.float32))  # outside a graph, Keras rounds what it resizes to the type
        inputs, _ = self._arrays.prepare_batch({"image": images}, None)
        return inputs.numpy()

    def _check_arrays(self, examples: np.ndarray) -> np.ndarray:
        """The examples with an axis of channels. Raises BadData for another shape, type or range."""
        if self.shape[-1] == 1 and examples.ndim == len(self.shape) and examples.shape[-1] != 1:
            examples = examples[..., None]
        sized = examples.shape[-1:] == self.shape[-1:] if len(self.shape) == 3 else examples.shape[1:] == self.shape
        if examples.ndim != len(self.shape) + 1 or not sized or 0 in examples.shape[1:]:
            expected = ("height", "width", self.shape[-1]) if len(self.shape) == 3 else self.shape
            raise BadData(
                f"an array of shape {examples.shape}; this run takes (batch, {', '.join(map(str, expected))})"
            )
        if examples.dtype.kind not in "biuf":
            raise BadData(f"an array of {examples.dtype}; this run takes numbers from {self._words(*self.value_range)}")
        if len(examples):
            self._check_range(examples)
        return examples

    def _check_range(self, examples: np.ndarray) -> None:
        """Raise for values far outside the range of the training data, and for -1 ... 1 where it is much wider."""
        least, largest = float(examples.min()), float(examples.max())
        low, high = lowest_value(self.shape, self.value_range), self.value_range[1]
        slack = (high - low) / 2
        inside = low - slack <= least and largest <= high + slack  # not so for NaN
        unit = max(-least, largest) <= 1 and high - low > 20 and bool(examples.any())
        if not inside or (unit and examples.dtype.kind == "f"):
            raise BadData(
                f"values from {self._words(least, largest)}, but this run was trained on {self._words(low, high)}: "
                f"map them to that range"
            )

    def open(self, paths: Sequence[str]) -> list[Example]:
        """The examples of files, all of which are examined before any is used: images, .npz, .wav for sounds, and for
        volumes .nii and .nii.gz, in the orientation that `read_nifti` says. Of a folder those of its files, and of the
        folders in it, whose names say that the network takes them.

        Raises:
            BadData: the first file that cannot be used, with the reason; a folder without any; or a run that takes no
                such files.
        """
        return [example for path in self._all_files(paths) for example in self._open_file(path)]

    def open_usable(self, paths: Sequence[str]) -> tuple[list[Example], list[str]]:
        """As `open`, without the files that cannot be used, and what is wrong with each of those, in words.

        Raises:
            BadData: no file can be used, or a folder without any.
        """
        examples: list[Example] = []
        problems = []
        for path in self._all_files(paths):
            try:
                examples += self._open_file(path)
            except BadData as error:
                problems.append(error.message)
        if not examples:
            others = f" (and {len(problems) - 1} more that cannot be used)" if len(problems) > 1 else ""
            raise BadData(problems[0] + others)
        return examples, problems

    def _all_files(self, paths: Sequence[str]) -> list[str]:
        """The files at the paths, and in the folders there."""
        return [file for path in paths for file in self._files_of(path)]

    def _open_file(self, path: str) -> list[Example]:
        """The examples of one file. Raises BadData."""
        if path.lower().endswith(".npz"):
            return self._open_arrays(path)
        if len(self.shape) == 4 and is_nifti(path):
            return [Example(path, self._read_volume(path))]
        if len(self.shape) == 2:
            return [Example(path, self._read_sound(path))]
        return [Example(file.path, file) for file in self.examine_files([path])]

    def _files_of(self, path: str) -> list[str]:
        """The file at a path, or the files of a folder, as training finds them."""
        if not os.path.isdir(path):
            return [path]
        is_taken = {2: is_sound, 3: is_image_name, 4: is_nifti}[len(self.shape)]
        try:
            files, _ = tree.files(Path(path), is_taken)
        except BadData as error:
            raise BadData(error.message.replace("(--dataset)", "(IMAGE)")) from None
        if not files:
            kind, suffix = {2: ("sound", ".wav"), 3: ("image", "image"), 4: ("volume", ".nii")}[len(self.shape)]
            raise BadData(f"bad {kind} '{path}': a folder without {suffix} files (IMAGE)")
        return files

    def _open_arrays(self, path: str) -> list[Example]:
        """The examples of a .npz file: its array x or images."""
        values = self._check_values(path, read_inputs(path, len(self.shape)))
        if not len(values):
            raise BadData(f"'{path}' holds no example (IMAGE)")
        return [Example(f"{path}[{number}]", value) for number, value in enumerate(values)]

    def _read_volume(self, path: str) -> np.ndarray:
        """The voxels of a NIfTI file, in the range of the training data."""
        return self._check_values(path, read_nifti(path, self.shape)[None])[0]

    def _check_values(self, path: str, values: np.ndarray) -> np.ndarray:
        """`_check_arrays` of what a file holds. Raises BadData, with its path."""
        try:
            return self._check_arrays(values)
        except BadData as error:
            raise BadData(f"'{path}' holds {error.message} (IMAGE)") from None

    def _read_sound(self, path: str) -> np.ndarray:
        """The samples of a .wav file, in the range of the training data."""
        length, channels = self.shape
        loudest = self.value_range[1]
        if not is_sound(path) or channels != 1 or loudest not in LOUDEST:
            takes = ".wav or .npz files" if channels == 1 and loudest in LOUDEST else ".npz files"
            raise BadData(f"this run takes sounds of {length} samples in {takes}, got '{path}' (IMAGE)")
        try:
            samples, rate = read_wav(Path(path))
        except BadData as error:
            raise BadData(error.message.replace("(--dataset)", "(IMAGE)")) from None
        if self.sample_rate not in (None, rate):
            raise BadData(
                f"'{path}' has {rate} samples a second, but this run was trained on {self.sample_rate}: resample it, "
                f"with scipy.signal.resample_poly for instance (IMAGE)"
            )
        return cut_or_pad(samples, length)[:, None] * np.float32(loudest)

    def examine_files(self, paths: Sequence[str]) -> list[ImageFile]:
        """Examine image files as training does.

        Raises:
            BadData: the first file that cannot be used, with the reason; or a run that takes no files.
        """
        self._check_takes_files()
        return [self._check_file(examine_path(path), f"image '{path}'") for path in paths]

    def read_content(self, content: bytes) -> np.ndarray:
        """The pixels of the content of an image file, uint8 (height, width, channels), examined as a file is.

        Raises:
            BadData: content that cannot be used, with the reason; or a run that takes no files.
        """
        self._check_takes_files()
        self._check_file(examine("", content, mask=False)[0], "image")
        return read_image(io.BytesIO(content), self.shape[-1], self.white_level)

    def _check_takes_files(self) -> None:
        """Raises BadData for a run whose training data tell nothing of files."""
        if len(self.shape) != 3 or self.shape[-1] not in (1, 3):
            shape = "x".join(map(str, self.shape))
            raise BadData(f"this run takes examples of {shape}; image files have 1 or 3 channels (IMAGE)")
        if self.value_range not in NAMED_RANGES:
            raise BadData(
                f"image files have values from 0 to 255, but this run was trained on arrays from "
                f"{self._words(*self.value_range)}: which of them is white is not known; "
                f"give arrays to tfcnn.load(RUN).predict (IMAGE)"
            )

    def _check_file(self, file: ImageFile | BadFile, what: str) -> ImageFile:
        """A file that can be used. Raises BadData."""
        if isinstance(file, BadFile):
            raise BadData(f"bad {what}: {file.reason} (IMAGE)")
        if file.samples and file.samples[1] > self.white_level:
            raise BadData(
                f"bad {what}: 16-bit samples up to {file.samples[1]:,}, but those of this run's training "
                f"images do not exceed {self.white_level:,}, which became white (IMAGE)"
            )
        return file

    def batches(self, examples: Sequence[Example], batch_size: int) -> Iterator[np.ndarray]:
        """Prepare opened examples: batches float32 (batch, *image_shape), standardised, in order."""
        files = [example.content for example in examples if isinstance(example.content, ImageFile)]
        if len(files) == len(examples):
            yield from self.from_files(files, batch_size)
            return
        for first in range(0, len(examples), batch_size):
            part = examples[first : first + batch_size]
            yield np.concatenate([self.from_pixels(self.pixels(example)[None]) for example in part])

    def pixels(self, example: Example) -> np.ndarray:
        """The values (..., channels) of an example, at its own size: the range of the training data as 0 ... 255."""
        if isinstance(example.content, ImageFile):
            return read_image(example.content.path, self.shape[-1], self.white_level)
        low, high = self.value_range
        return (example.content.astype(np.float32) - low) * np.float32(255 / (high - low))

    def from_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Prepare values 0 ... 255, (batch, ..., channels): float32 (batch, *image_shape), standardised."""
        images = tf.constant(pixels, tf.float32)
        if len(self.shape) == 3:
            return self._prepare_pixels(images).numpy()
        inputs, _ = self._files.prepare_batch({"image": images}, None)
        return inputs.numpy()

    @without_autograph
    def from_files(self, files: Sequence[ImageFile], batch_size: int) -> Iterator[np.ndarray]:
        """Prepare examined files: batches float32 (batch, *image_shape), standardised, in order."""
        paths = [file.path for file in files]
        decoders = [file.decoder if file.channels == self.shape[-1] else PILLOW for file in files]
        examples = tf.data.Dataset.from_tensor_slices(
            {
                "image": paths,
                "image_path": paths,
                "decoder": np.array(decoders, np.uint8),
                "index": np.arange(len(files)),
            }
        )

        def prepare(example: dict[str, tf.Tensor]) -> tf.Tensor:
            return self._files.prepare_example(example, None)[0]

        return examples.map(prepare, tf.data.AUTOTUNE).batch(batch_size).as_numpy_iterator()

    @staticmethod
    def _words(low: float, high: float) -> str:
        return f"{low:g} to {high:g}"


def lowest_value(shape: Sequence[int], value_range: Sequence[float]) -> float:
    """The least raw value of examples of a shape. Sounds swing about the 0 that their range begins with.

    >>> lowest_value((8000, 1), (0, 32768)), lowest_value((28, 28, 1), (0, 255))
    (-32768, 0)
    """
    low, high = value_range
    return -high if len(shape) == 2 and low == 0 else low
