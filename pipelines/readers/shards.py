"""Files of records: TFRecords and tars of samples (WebDataset), by a pattern, a file or a folder; and their splits.

The name of a file tells its split, in any of the words that the name of a folder may have ("imagenet-val-000.tar",
"test-00000-of-00004.tfrecord"), else that of its folder does ("train/000.tar"); of neither, it is for training.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipelines import places
from pipelines.errors import BadData
from pipelines.readers import samples, tfrecords, tree
from pipelines.readers.class_file import read_class_names
from pipelines.readers.record_labels import Record


class Shard(NamedTuple):
    """A file of records, and its split."""

    path: str
    split: str


def find_shards(name: str) -> list[Shard]:
    """The files of records that a pattern, a file or a folder stands for; none of any other.

    A folder holds nothing but records, or such folders named as splits.

    Raises:
        BadData: a pattern without files, or with files of another kind; compressed files; none for training.
    """
    if places.is_pattern(name):
        paths = [Path(path) for path in places.matches(name)]
        other = next((path for path in paths if not places.is_records(path.name)), None)
        if not paths or other is not None:
            matched = f"matches '{other}'" if other else "matches no file"
            raise BadData(f"'{name}' {matched}: a pattern is for .tfrecord or .tar files (--dataset)")
    else:
        root = Path(name).expanduser()
        single = [root] if places.is_records(root.name) else []
        paths = _in_folder(root) if root.is_dir() else single
    shards = [Shard(str(path.absolute()), _split_of(path)) for path in paths]
    for shard in shards:
        _check_text(shard.path)
        if places.COMPRESSED.search(shard.path):
            raise BadData(f"'{shard.path}' is compressed, and records are read by their place: unpack it (--dataset)")
    if shards and not any(shard.split == "train" for shard in shards):
        raise BadData(f"'{name}' holds no records for training, only {shards[0].split} (--dataset)")
    return shards


def _check_text(path: str) -> None:
    """Raises BadData for a path that TensorFlow cannot hold."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise BadData(f"the name of '{path.encode(errors='replace').decode()}' is not UTF-8 (--dataset)") from None


def _in_folder(root: Path) -> list[Path]:
    """The files of records in a folder and its splits; none if it holds other folders, or images."""
    folders = tree.folders(root)
    if any(tree.meaning(folder).split is None for folder in folders):
        return []
    inside = [root, *(root / folder for folder in folders)]
    files = sorted(path for folder in inside for path in folder.iterdir() if path.is_file())
    records = [path for path in files if places.is_records(path.name)]
    return [] if any(tree.images(folder, deep=False) for folder in inside) else records


def _split_of(path: Path) -> str:
    """The split that the name of a file tells, or that of its folder."""
    for word in re.findall(r"[a-z]+", path.name.lower()):
        if word in tree.SPLIT_OF:
            return tree.SPLIT_OF[word]
    return tree.meaning(path.absolute().parent.name).split or "train"


def read_shards(name: str, shards: list[Shard]) -> tuple[list[Record], tuple[str, ...] | None]:
    """The records of the shards in order, and the names of their classes in a classes.txt next to them.

    Raises:
        BadData: shards of both kinds, or without a record; one that is damaged, or lacks what a record must have.
    """
    kinds = {places.TAR.search(shard.path) is not None for shard in shards}
    if len(kinds) > 1:
        raise BadData(f"'{name}' holds .tfrecord and .tar files: give a pattern for one kind (--dataset)")
    read = samples.read_tar if kinds.pop() else tfrecords.read_tfrecord
    records = [record for shard in shards for record in _of_split(read(shard.path), shard)]
    if not records:
        raise BadData(f"'{name}' holds no record (--dataset)")
    folder = os.path.commonpath([os.path.dirname(shard.path) for shard in shards])
    return records, read_class_names(Path(folder) / "classes.txt")


def _of_split(records: Iterator[Record], shard: Shard) -> Iterator[Record]:
    for record in records:
        yield record._replace(split=shard.split)
