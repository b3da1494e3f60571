"""From the name of a data set to its contents, wherever it is: the choice among the readers."""

from __future__ import annotations

import collections
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import catalogue, places
from pipelines.errors import BadData, BadFile
from pipelines.parts import Part, read_part
from pipelines.readers import folder, hub, idx, listing, npz, shards, tfds, wav
from pipelines.readers.features import SECOND
from pipelines.readers.listing import Files, Listing, Scan
from pipelines.readers.record_labels import Record, name_classes
from pipelines.readers.scan import scan_parts
from pipelines.readers.tree import Example
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

    @property
    def scans(self) -> str | None:
        """The folder of what is remembered of examined files; None: the usual one."""
        return str(Path(self.data_dir) / "scans") if self.data_dir else None


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
    if not (catalogue.is_path(name) or places.is_hub(name)):
        versioned = catalogue.choose_version(name, task)
        builder = catalogue.prepare_builder(versioned, reading.data_dir, reading.dataset_module)
        return tfds.read_builder(builder, name, task, reading.memory, reading.mask_values)
    if places.is_hub(name):
        catalogue.check_name(name, reading.dataset_module)
        contents = _read_records(name, *hub.read_hub(name, reading.data_dir), reading)
    elif arrays:
        contents = _contents_of(npz.read_npz(name, reading.channels, reading.mask_values))
    elif idx.is_idx_folder(Path(name).expanduser()):
        contents = dataclasses.replace(_contents_of(idx.read_idx(name)), characters=True)
    elif sounds:
        contents = _contents_of(wav.read_wav_folder(name, reading.sound_length or SECOND))
    elif files := shards.find_shards(name):
        contents = _read_records(name, *shards.read_shards(name, files), reading)
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
    files = folder.read_folder(
        name,
        task=task,
        on_bad_image=reading.on_bad_image,
        max_bad=reading.max_bad,
        cache_dir=reading.scans,
        mask_values=reading.mask_values,
    )
    columns = {split: _columns(part) for split, part in files.splits.items()}
    return _contents_of_files(files, Encoded(columns, files.splits["train"].shapes, files=True))


def _contents_of_files(files: Listing, source: Encoded) -> Contents:
    """The contents of image files, or of records that hold them."""
    return Contents(
        task=files.task,
        class_names=files.class_names,
        shape=(*_shared_size(files), files.channels),
        source=source,
        value_range=(0, 255),
        white_level=files.white_level,
        mask_table=files.mask_table,
        fingerprint=files.fingerprint,
        bad=files.bad,
        notes=files.notes,
        duplicates=files.duplicates,
        fingerprint_of_positions=files.fingerprint_of_positions,
    )


def _read_records(name: str, records: list[Record], names: tuple[str, ...] | None, reading: Reading) -> Contents:
    """The contents of records: in memory if they fit, else read from their files. Raises BadData."""
    class_names, labels = name_classes(records, names, name)
    parts = {f"{record.part.path}: {record.name} at {record.part.offset}": record.part for record in records}
    rows = zip(parts, records, labels, strict=True)
    examples = [Example(record.name, path, record.split, label) for path, record, label in rows]
    label_of = dict(zip(parts, labels, strict=True))
    scan = Scan({}, {}, {})
    for file in scan_parts(parts, places.absolute(name, catalogue.is_path(name)), reading.scans):
        if isinstance(file, BadFile):
            scan.bad[file.path] = dataclasses.replace(file, class_name=label_of[file.path])
        else:
            scan.images[file.path] = file
    files = listing.collect(
        "classification",
        class_names,
        examples,
        scan,
        name,
        collections.Counter(),
        on_bad_image=reading.on_bad_image,
        max_bad=reading.max_bad,
    )
    in_memory = sum(part.length for part in parts.values()) <= reading.memory
    columns = {}
    for split, chosen in files.splits.items():
        columns[split] = _columns(chosen) | _stored([parts[path] for path in chosen.paths], in_memory)
    return _contents_of_files(files, Encoded(columns, files.splits["train"].shapes, files=not in_memory))


def _stored(parts: list[Part], in_memory: bool) -> dict[str, Any]:
    """The columns with the bytes of parts, or with their places. Raises BadData."""
    if in_memory:
        return {"image": np.array([read_part(part) for part in parts], object)}
    paths, offsets, lengths = zip(*parts, strict=True)
    return {"image": list(paths), "offset": np.array(offsets, np.int64), "length": np.array(lengths, np.int64)}


def _shared_size(files: Listing) -> tuple[int | None, int | None]:
    """Height and width of all images, if these are one size of up to `LARGEST` pixels a side."""
    shapes = np.unique(np.concatenate([part.shapes for part in files.splits.values()]), axis=0)
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
