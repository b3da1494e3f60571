"""From a data set's name to its `Data`: read it, choose how it is prepared, and hold what fits in memory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines import catalogue, decoding, places
from pipelines.augmentation.policy import Augmentation, Policy, choose_augmentation
from pipelines.bounds import RESPONSES, check_memory, check_number, sides_of
from pipelines.dataset import Data, without_autograph
from pipelines.errors import BadData
from pipelines.fitting import FITS
from pipelines.holding import Held, hold_in_memory
from pipelines.pixels import FULL_SCALE
from pipelines.preparation import Preparation
from pipelines.readers.contents import Reading, read_contents
from pipelines.sources import Cache, Contents, Decoded, Encoded, Source, Stream, uncopied

DATA_MEMORY = 2048  # MiB
SMALLEST = 32  # pixels: the default size of images of one size is theirs, but at least this
USUAL = 224  # pixels: the default size of images of many sizes
MEASURED_DECODED = 4096  # training examples that give mean and std
MEASURED_ENCODED = 512
CHANNELS = ("auto", "first", "last")  # where they stand in the arrays of a .npz file
CLASS_SAMPLINGS = ("none", "balanced")


@without_autograph
def load(
    name: str,
    *,
    task: str | None = None,
    image_size: int | Sequence[int] | None = None,
    image_scale: float = 1.0,
    batch_size: int = 32,
    seed: int = 0,
    augmentation: str | Policy | Augmentation = "light",
    fit: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    like: dict[str, Any] | None = None,
    data_dir: str | None = None,
    data_memory: int = DATA_MEMORY,
    on_bad_image: str = "error",
    max_bad: float = 0.1,
    channels: str = "auto",
    mask_values: Sequence[int] | None = None,
    dataset_module: str | None = None,
    sound_length: int | None = None,
    class_sampling: str = "none",
) -> Data:
    """Load a data set.

    Args:
        name: an embedded data set, any name of TensorFlow Datasets ("mnist", "emnist/letters"), a folder, a .csv or
            .npz file, files of records by a pattern ("data/*.tfrecord", "data/*.tar"), or "hf:" and a folder, a file or
            the name of a repository: see `readers.folder`, `npz`, `shards` and `hub`.
        task: "classification", "segmentation", "detection" or "reconstruction"; None: the first that the data serve.
        image_size: height and width of the images, in pixels, or one number for both. Default: a square of the data's
            own size where it is fixed, at least 32; 224 where it varies, or files are larger than 256. Sounds and
            volumes keep their shape.
        image_scale: multiplies the sides, default or not; the products are rounded.
        batch_size: examples a batch, at most the training split.
        seed: decides order and augmentation.
        augmentation: "light", "rand" or "none"; a `Policy` to change one of these, as Policy("rand", mixup=0.2); or an
            `Augmentation`, of which the data decide nothing. See `augmentation.policy`.
        fit: "crop" the middle of an image of another aspect, "pad" it, or "squash" it. Default: crop to classify, else
            pad.
        mean, std: of each channel, in 0 ... 1, for standardisation; averaged where the data have another number of
            channels. Default: those of training examples.
        like: facts of an earlier loading (`Data.facts`), whose fit, mean, std, value_range and white_level apply.
            Default: those of these data.
        data_dir: folder of prepared data sets. Default: that of TensorFlow Datasets.
        data_memory: MiB that examples may take in memory.
        on_bad_image: "error", or "skip" to leave out files that cannot be used.
        max_bad: the largest share of files that may be left out.
        channels: of the inputs in a .npz file, "last" or "first" in an example; "auto": last, and inputs whose shape
            shows that they come first are refused.
        mask_values: the value of each class in the masks, in order. Default: 0 ... k, or 0 and 255 where there are no
            others; see `readers.mask_values`.
        dataset_module: a .py file or an importable module that registers builders of TensorFlow Datasets.
        sound_length: samples of each sound in a folder of .wav files, which are cut or padded. Default: 16,000.
        class_sampling: "none": each training example comes once an epoch; "balanced": as many of each class, see
            `BalancedOrder`.

    Raises:
        BadData: unknown name; not on the disk and no network; another task; bad files; or too few examples.
    """
    _check_numbers(batch_size=batch_size, seed=seed, data_memory=data_memory, max_bad=max_bad)
    sides = None if image_size is None else sides_of(image_size)
    _check_choice("--on-bad-image", on_bad_image, RESPONSES)
    _check_choice("--channels", channels, CHANNELS)
    if fit is not None:
        _check_choice("fit (--crop-mode)", fit, FITS)
    _check_choice("--class-sampling", class_sampling, CLASS_SAMPLINGS)
    memory = data_memory << 20
    reading = Reading(
        data_dir=data_dir,
        memory=memory,
        on_bad_image=on_bad_image,
        max_bad=max_bad,
        channels=channels,
        mask_values=None if mask_values is None else tuple(mask_values),
        dataset_module=dataset_module,
        sound_length=sound_length,
    )
    contents = read_contents(name, task, reading)
    if like is not None:
        mean, std = like["mean"], like["std"]
        contents = _as_before(contents, name, like)
    contents = _decode_records(contents, memory)
    shape = _input_shape(contents, sides, image_scale, fit)
    fit = fit if like is None else like["fit"]
    _check_batch(contents, name, shape, batch_size)
    preparation = _prepare(contents, shape, fit, _choose_augmentation(augmentation, contents, shape))
    preparation = _standardise(preparation, contents.source, mean, std)
    held = hold_in_memory(contents.source, preparation, memory)
    data = _collect(name, contents, held, batch_size, seed)
    return data.with_balanced_classes() if class_sampling == "balanced" else data


def _collect(name: str, contents: Contents, held: Held, batch_size: int, seed: int) -> Data:
    """The facts of the contents and of how they are prepared and held, as one value."""
    preparation = held.preparation
    return Data(
        name=places.absolute(name, catalogue.is_path(name)),
        task=contents.task,
        image_shape=preparation.shape,
        num_classes=len(contents.class_names),
        class_names=contents.class_names,
        sizes=held.source.sizes,
        value_range=contents.value_range,
        white_level=contents.white_level,
        dtype=contents.source.dtype,
        mean=preparation.mean,
        std=preparation.std,
        fit=preparation.fit,
        augmentation=preparation.augmentation,
        fingerprint=contents.fingerprint,
        storage=held.description,
        notes=contents.notes,
        bad=contents.bad,
        batch_size=batch_size,
        seed=seed,
        source=held.source,
        preparation=preparation,
        cached_evaluation=held.cached_evaluation,
        duplicates=contents.duplicates,
        fingerprint_of_positions=contents.fingerprint_of_positions,
        sample_rate=contents.sample_rate,
    )


def _check_numbers(**numbers: float | None) -> None:
    """Raises BadData for a number outside its bounds; None is a default."""
    for name, value in numbers.items():
        if value is not None:
            check_number(name, value)


def _check_batch(contents: Contents, name: str, shape: tuple[int, ...], batch_size: int) -> None:
    """Raises BadData if a batch is larger than the training split or than the memory."""
    check_memory(shape, batch_size)
    if contents.source.sizes["train"] < batch_size:
        raise BadData(
            f"data set '{name}' has {contents.source.sizes['train']} training examples, "
            f"fewer than a batch of {batch_size} (--batch-size)"
        )


def _check_choice(flag: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise BadData(f"{flag} must be one of {', '.join(choices)}, got '{value}'")


def _prepare(contents: Contents, shape: tuple[int, ...], fit: str | None, augmentation: Augmentation) -> Preparation:
    """The preparation of the examples, without their standardisation."""
    return Preparation(
        task=contents.task,
        shape=shape,
        num_classes=len(contents.class_names),
        fit=fit or ("crop" if contents.task == "classification" else "pad"),
        augmentation=augmentation,
        fill_mode="CONSTANT" if contents.characters or contents.task == "detection" else "REFLECT",
        value_range=contents.value_range,
        mask_table=contents.mask_table,
        mean=(0.0,) * shape[-1],
        std=(1.0,) * shape[-1],
        cache=Cache(),
        white_level=contents.white_level,
    )


def _standardise(
    preparation: Preparation, source: Source, mean: Sequence[float] | None, std: Sequence[float] | None
) -> Preparation:
    """The preparation with a mean and a standard deviation of each channel, measured where one is None."""
    channels = preparation.shape[-1]
    if mean is None or std is None:
        mean, std = _measure_statistics(source, preparation)
    elif len(mean) != channels:
        mean = (sum(mean) / len(mean),) * channels
        std = (sum(std) / len(std),) * channels
    return dataclasses.replace(preparation, mean=tuple(mean), std=tuple(std))


def _as_before(contents: Contents, name: str, like: dict[str, Any]) -> Contents:
    """The contents with the white of 16-bit grey of an earlier loading. Raises BadData if their range is another."""
    if tuple(contents.value_range) != tuple(like["value_range"]):
        low, high = like["value_range"]
        raise BadData(
            f"values of '{name}' lie in {contents.value_range[0]:g} ... {contents.value_range[1]:g}, "
            f"but those that the run was trained on in {low:g} ... {high:g} (--dataset)"
        )
    return dataclasses.replace(contents, white_level=like.get("white_level", FULL_SCALE))


def _decode_records(contents: Contents, memory: int) -> Contents:
    """The contents with the images of records decoded, if these are of one size and fit in memory."""
    source = contents.source
    lengths = [length for length in contents.shape if length is not None]
    if not isinstance(source, Encoded) or source.files or len(lengths) < len(contents.shape):
        return contents
    if sum(source.sizes.values()) * np.prod(lengths) > memory:
        return contents
    decoded = decoding.decode_all(source, lengths[-1], contents.white_level, contents.mask_table)
    return dataclasses.replace(contents, source=decoded)


def _choose_augmentation(
    policy: str | Policy | Augmentation, contents: Contents, shape: tuple[int, ...]
) -> Augmentation:
    """The augmentation of these data. Raises BadData where it mixes what cannot be mixed."""
    side = math.isqrt(shape[0] * shape[1]) if len(shape) == 3 else SMALLEST
    if None in contents.shape:
        side = USUAL
    augmentation = choose_augmentation(policy, side=side, characters=contents.characters, axes=len(shape) - 1)
    mixes = augmentation.mixup or augmentation.cutmix
    if mixes and (contents.task != "classification" or len(shape) != 3):
        raise BadData("MixUp and CutMix are for the classification of images (--mixup, --cutmix)")
    return augmentation


def _input_shape(
    contents: Contents, sides: tuple[int, int] | None, image_scale: float, fit: str | None
) -> tuple[int, ...]:
    """The shape of the network's inputs. Raises BadData for a size or a fit of sounds or volumes."""
    if len(contents.shape) != 3:
        flags = {"--image-size": sides is not None, "--phi": image_scale != 1, "--crop-mode": fit is not None}
        flag = next((flag for flag, applies in flags.items() if applies), None)
        if flag is not None:
            shape = "x".join(map(str, contents.shape))
            raise BadData(f"examples of {shape} are no images and keep their shape: leave {flag} out")
        return tuple(length for length in contents.shape if length is not None)
    height, width, channels = contents.shape
    if sides is None:
        sides = (USUAL if height is None or width is None else max(height, width, SMALLEST),) * 2
    return (*(round(side * image_scale) for side in sides), channels or 3)


def _measure_statistics(source: Source, preparation: Preparation) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, standard deviation) of each channel, in 0 ... 1, of all training examples or of some spread evenly."""
    low, high = preparation.value_range
    count = min(source.sizes["train"], MEASURED_DECODED if isinstance(source, Decoded) else MEASURED_ENCODED)
    rows = np.linspace(0, source.sizes["train"] - 1, count).astype(int)
    if isinstance(source, Stream):
        examples = source.examples("train").take(count)
    else:
        examples = tf.data.Dataset.from_tensor_slices(rows).map(lambda row: source.fetch("train", row))

    def moments(example: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        pixels = (tf.cast(preparation.decode(example)["image"], tf.float64) - low) / (high - low)
        axes = list(range(pixels.shape.rank - 1))
        return tf.reduce_mean(pixels, axes), tf.reduce_mean(pixels**2, axes)

    means, squares = uncopied(examples.map(moments, tf.data.AUTOTUNE).batch(count)).get_single_element()
    mean = means.numpy().mean(0)
    std = np.sqrt(np.maximum(squares.numpy().mean(0) - mean**2, 1e-6))
    return tuple(mean.round(4).tolist()), tuple(std.round(4).tolist())
