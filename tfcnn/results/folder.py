"""The folder that `tfcnn.predict --out` writes: whole or not at all, and only in place of an earlier one."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tfcnn.files import Kind, writing
from tfcnn.records import Records
from tfcnn.tables import as_csv


def is_predictions(path: Path) -> bool:
    """Whether a path is a folder of nothing but files as `writing_predictions` has left them, or an empty one."""
    if path.is_symlink() or not path.is_dir():
        return False
    records = Records(path)
    recorded = {path / name for name in records.read()} | {records.path}
    return all(
        file.is_file() and not file.is_symlink() and file in recorded and records.problem_of(file) is None
        for file in path.rglob("*")
    )


PREDICTIONS = Kind("a folder of predictions", is_predictions)


@contextlib.contextmanager
def writing_predictions(path: Path) -> Iterator[Path]:
    """A folder to write to, which becomes `path` when the block ends without an error; files.json records its files.

    Raises:
        BadInput: `path` is something else, or its files are no longer as they were written.
        DiskFull: there is no room.
    """
    with writing(path, replaces=PREDICTIONS) as draft:
        draft.mkdir()
        yield draft
        Records(draft).write(*sorted(draft.iterdir()))


def write_table(folder: Path, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write predictions.csv: a line of names, then the rows; None is empty."""
    text = as_csv(head, rows) + "\n"
    (folder / "predictions.csv").write_text(text, "utf-8", errors="surrogateescape")


def name_outputs(paths: Sequence[str], endings: Sequence[str]) -> list[list[str]]:
    """Names of the output files of each example: its stem with each ending; of stems that would clash, with a number.

    >>> name_outputs(["a/cat.jpg", "b/cat.png"], [".png", "-overlay.png"])
    [['cat.png', 'cat-overlay.png'], ['cat-2.png', 'cat-2-overlay.png']]
    >>> name_outputs(["scans.npz[0]", "scans.npz[1]"], [".npz"])
    [['scans-0.npz'], ['scans-1.npz']]
    """
    taken: set[str] = set()
    rows = []
    for path in paths:
        stem = _stem_of(Path(path).name)
        number = 1
        names = [stem + ending for ending in endings]
        while taken & {name.lower() for name in names}:  # some file systems take A and a for one name
            number += 1
            names = [f"{stem}-{number}{ending}" for ending in endings]
        taken |= {name.lower() for name in names}
        rows.append(names)
    return rows


def _stem_of(name: str) -> str:
    """The name of a file, or of an example in a .npz file, without its format.

    >>> _stem_of("cat.jpg"), _stem_of("scans.npz[3]"), _stem_of("scan.nii.gz")
    ('cat', 'scans-3', 'scan')
    """
    if of_several := re.fullmatch(r"(.+)\.npz\[(\d+)\]", name):
        return f"{of_several[1]}-{of_several[2]}"
    if compressed := re.fullmatch(r"(.+)\.nii\.gz", name, re.IGNORECASE):
        return compressed[1]
    return Path(name).stem
