"""Files that are written whole or not at all. Standard library only."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfcnn.errors import BadInput, TrainingFailed


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A path to write a file or a folder to, which becomes `path` when the block ends without an error.

    Raises TrainingFailed where the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".draft-{os.getpid()}-{path.name}")
    old = path.with_name(f".old-{os.getpid()}-{path.name}")
    try:
        yield draft
        if path.is_dir():  # os.replace does not replace a folder that has files in it
            os.replace(path, old)
        os.replace(draft, path)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        written = draft.stat().st_size if draft.is_file() else 0
        raise TrainingFailed(
            f"'{path}' cannot be written: {error.strerror} after {written:,} bytes; make room, then continue with "
            f"--resume"
        ) from error
    finally:
        for leftover in (draft, old):
            if leftover.is_dir():
                shutil.rmtree(leftover)
            leftover.unlink(missing_ok=True)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a dict as indented JSON."""
    with writing(path) as draft:
        draft.write_text(json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The dict in a JSON file. Raises BadInput if it is damaged."""
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise BadInput(f"'{path}' is not readable JSON: {error}") from error
