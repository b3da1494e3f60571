"""Where a data set is, by its name alone: a data set of the Hugging Face hub, or files of records. Standard library."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

HUB = "hf:"  # begins the names of data sets that Hugging Face's `datasets` reads
TFRECORD = re.compile(r"\.(tfrecords?|tfrec)(-\d+-of-\d+)?$", re.IGNORECASE)
TAR = re.compile(r"\.tar$", re.IGNORECASE)
COMPRESSED = re.compile(r"\.(tgz|((tfrecords?|tfrec)(-\d+-of-\d+)?|tar)\.(gz|bz2|xz|zst))$", re.IGNORECASE)


def is_hub(name: str) -> bool:
    """Whether Hugging Face's `datasets` reads a data set."""
    return name.startswith(HUB)


def local_part(name: str) -> Path | None:
    """The folder or file that a name of the hub gives; None for the name of a repository.

    >>> local_part("hf:./photos"), local_part("hf:mnist")
    (PosixPath('photos'), None)
    """
    place = os.path.expanduser(name.removeprefix(HUB))
    return Path(place) if place.startswith((".", "/")) or os.path.exists(place) else None


def is_records(name: str) -> bool:
    """Whether a file is named as records are, compressed or not.

    >>> is_records("train.tfrecord-00000-of-00004"), is_records("shard-000.tar"), is_records("photos.zip")
    (True, True, False)
    """
    return any(suffix.search(name) for suffix in (TFRECORD, TAR, COMPRESSED))


def is_pattern(name: str) -> bool:
    """Whether a name stands for the files that it matches, as "data/train-*.tfrecord", and for no file itself.

    >>> is_pattern("data/train-*.tfrecord"), is_pattern("mnist:3.*.*")
    (True, False)
    """
    return glob.has_magic(name) and ":" not in name and not os.path.lexists(name)


def matches(name: str) -> list[str]:
    """The paths that a pattern matches, sorted."""
    return sorted(glob.glob(os.path.expanduser(name), recursive=True))


def absolute(name: str, is_path: bool) -> str:
    """A name that is valid in any working directory."""
    if is_path:
        return str(Path(name).resolve())
    local = local_part(name) if is_hub(name) else None
    return name if local is None else HUB + str(local.resolve())
