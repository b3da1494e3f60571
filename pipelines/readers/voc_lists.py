"""The lists of PASCAL VOC: which images are of which split, one name a line in train.txt, val.txt and test.txt."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pipelines.errors import BadData
from pipelines.readers import tree
from pipelines.readers.splits import SPLITS


class NameList(NamedTuple):
    """One list."""

    split: str
    file: Path
    lines: list[str]  # not empty


def read_lists(folder: Path) -> list[NameList]:
    """The lists in a folder, those of the training split first; trainval.txt is for training if train.txt is missing.

    Raises:
        BadData: no list is for training, or one cannot be read.
    """
    files = {split: [path for path in sorted(folder.glob("*.txt")) if _split_of(path) == split] for split in SPLITS}
    if not files["train"]:
        files["train"] = [path for path in (folder / "trainval.txt",) if path.is_file()]
    if not files["train"]:
        raise BadData(f"'{folder}' holds no train.txt (--dataset)")
    return [NameList(split, path, _read_lines(path)) for split, paths in files.items() for path in paths]


def _split_of(path: Path) -> str | None:
    return tree.SPLIT_OF.get(tree.plain(path.stem))


def _read_lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"'{path}' cannot be read: {error} (--dataset)") from None
