"""From the name of a data set to its contents, wherever it is: the choice among the readers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import catalogue
from pipelines.errors import BadData
from pipelines.readers import folder, idx, npz, tfds, wav
from pipelines.readers.features import SECOND
from pipelines.readers.listing import Files, Listing
from pipelines.sources import Contents, Decoded, Encoded

LARGEST = 256  # pixels: files of one size up to this keep it by default; larger ones are photographs, and get the usual


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a data set is read: arguments of `load`."""

    data_dir: str | None
    memory: int  # bytes
    on_bad_image: str
    max_bad: float
    channels: str
    mask_values: tuple[int, ...] | None
    dataset_module: str | None
    sound_length: int | None


def read_contents(name: str, task: str | None, reading: Reading) -> Contents:
    """Read a data set, wherever it is; name and task as for `load`. Raises BadData, also for flags without effect."""
    contents = _read_place(name, task, reading)
    if reading.mask_values is not None and contents.task != "segmentation":
        values = ",".join(map(str, reading.mask_values))
        raise BadData(f"--mask-values {values} is for masks, and '{name}' is read for {contents.task}: leave it out")
    return contents


def _read_place(name: str, task: str | None, reading: Reading) -> Contents:
    """The contents by the kind of place: a builder's name, arrays, or files."""
    arrays = catalogue.is_path(name) and name.lower().endswith((".npz", ".npy")) and not Path(name).is_dir()
    if reading.channels != "auto" and not arrays:
        raise BadData(f"--channels {reading.channels} is for an .npz file, and '{name}' is none: leave it out")
    sounds = catalogue.is_path(name) and Path(name).is_dir() and wav.is_wav_folder(Path(name))
    if reading.sound_length is not None and not sounds:
        raise BadData(
            f"--sound-length {reading.sound_length} is for a folder of .wav files, and '{name}' is none: leave it out"
        )
    if not catalogue.is_path(name):
        versioned = catalogue.choose_version(name, task)
        builder = catalogue.prepare_builder(versioned, reading.data_dir, reading.dataset_module)
        return tfds.read_builder(builder, name, task, reading.memory, reading.mask_values)
    if arrays:
        contents = _contents_of(npz.read_npz(name, reading.channels, reading.mask_values))
    elif idx.is_idx_folder(Path(name).expanduser()):
        contents = dataclasses.replace(_contents_of(idx.read_idx(name)), characters=True)
    elif sounds:
        contents = _contents_of(wav.read_wav_folder(name, reading.sound_length or SECOND))
    else:
        contents = _read_files(name, task, reading)
    if task not in (None, contents.task, "reconstruction"):
        raise BadData(f"data set '{name}' serves {contents.task}, reconstruction, not {task} (--dataset, --arch)")
    names = () if task == "reconstruction" else contents.class_names
    return dataclasses.replace(contents, task=task or contents.task, class_names=names)


def _contents_of(arrays: npz.Arrays) -> Contents:
    """The contents of arrays in memory."""
    if arrays.task == "segmentation":
        columns = {split: {"image": x, "mask": masks[..., None]} for split, (x, masks) in arrays.splits.items()}
    else:
        columns = {split: {"image": x, "label": labels} for split, (x, labels) in arrays.splits.items()}
    source = Decoded(columns)
    return Contents(
        task=arrays.task,
        class_names=arrays.class_names,
        shape=source.shape,
        source=source,
        value_range=arrays.value_range,
        white_level=arrays.white_level,
        fingerprint=arrays.fingerprint,
        duplicates=arrays.duplicates,
        notes=arrays.notes,
        sample_rate=arrays.sample_rate,
    )


def _read_files(name: str, task: str | None, reading: Reading) -> Contents:
    """The contents of a folder or a .csv file."""
    listing = folder.read_folder(
        name,
        task=task,
        on_bad_image=reading.on_bad_image,
        max_bad=reading.max_bad,
        cache_dir=str(Path(reading.data_dir) / "scans") if reading.data_dir else None,
        mask_values=reading.mask_values,
    )
    columns = {split: _columns(files) for split, files in listing.splits.items()}
    return Contents(
        task=listing.task,
        class_names=listing.class_names,
        shape=(*_shared_size(listing), listing.channels),
        source=Encoded(columns, listing.splits["train"].shapes, files=True),
        value_range=(0, 255),
        white_level=listing.white_level,
        mask_table=listing.mask_table,
        fingerprint=listing.fingerprint,
        bad=listing.bad,
        notes=listing.notes,
        duplicates=listing.duplicates,
        fingerprint_of_positions=listing.fingerprint_of_positions,
    )


def _shared_size(listing: Listing) -> tuple[int | None, int | None]:
    """Height and width of all images, if these are one size of up to `LARGEST` pixels a side."""
    shapes = np.unique(np.concatenate([files.shapes for files in listing.splits.values()]), axis=0)
    if len(shapes) > 1 or shapes.max() > LARGEST:
        return None, None
    height, width = shapes[0].tolist()
    return height, width


def _columns(files: Files) -> dict[str, Any]:
    """The columns of one split, as `Encoded` takes them."""
    columns: dict[str, Any] = {"image": files.paths, "decoder": files.decoders}
    if files.masks is not None:
        return columns | {"mask": files.masks, "mask_decoder": files.mask_decoders}
    if files.boxes is not None:
        return columns | {"boxes": files.boxes, "labels": files.box_labels}
    return columns | {"label": files.labels}
