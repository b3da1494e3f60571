"""The names of classes in the file classes.txt of a folder, one a line."""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import BadData
from pipelines.targets import IGNORE_LABEL


def read_class_names(file: Path, least: int = 2) -> tuple[str, ...] | None:
    """The names in classes.txt, at least so many; None if there is no such file. Raises BadData."""
    if not file.is_file():
        return None
    try:
        names = [line.strip() for line in file.read_text(encoding="utf-8-sig").rstrip().split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"'{file}' cannot be read: {error} (--dataset)") from None
    if not least <= len(set(names)) == len(names) <= IGNORE_LABEL or "" in names:
        raise BadData(f"'{file}' must hold {least} ... {IGNORE_LABEL} different names, one a line (--dataset)")
    return tuple(names)
