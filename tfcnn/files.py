"""Files that are written whole or not at all, and what they may replace. Standard library only."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tfcnn.errors import BadInput, TrainingFailed

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# h5py and TensorFlow report a full disk as text, NumPy as a short write.
FULL_WORDS = re.compile("|".join([*map(os.strerror, FULL), r"requested and \d+ written"]), re.IGNORECASE)
RUN_FILES = (
    "config.json",
    "history.csv",
    "metrics.json",
    "files.json",
    "curves.png",
    "sheet.png",
    "README.md",
    "train.log",
    "model.keras",
    "saved_model",
)


class DiskFull(TrainingFailed):
    """A file cannot be written for lack of room."""

    def __init__(self, what: str, advice: str = "run the same command again"):
        super().__init__(f"{what}; make room, then {advice}")
        self.what = what


def full_disk(error: BaseException) -> str | None:
    """The words of a full disk ("No space left on device"), if that is what an error is about; else None."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in FULL:
            return os.strerror(cause.errno)
        if match := FULL_WORDS.search(str(cause)):
            return match[0]
        cause = cause.__cause__ or cause.__context__
    return None


class Kind(NamedTuple):
    """What a command writes.

    Attributes:
        name: in words, with its article.
        recognise: whether a file or a folder at a path is of this kind.
    """

    name: str
    recognise: Callable[[Path], bool]


def _begins_with(path: Path, signature: bytes, within: int = 0) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return signature in file.read(len(signature) + within)


def is_png(path: Path) -> bool:
    """Whether a path is a file with the signature of PNG."""
    return _begins_with(path, b"\x89PNG\r\n\x1a\n")


def is_pdf(path: Path) -> bool:
    """Whether a path is a file with the signature of PDF."""
    return _begins_with(path, b"%PDF-")


def is_svg(path: Path) -> bool:
    """Whether a path is a file whose first kilobyte opens an SVG picture."""
    return _begins_with(path, b"<svg", within=1020)


def is_saved_model(path: Path) -> bool:
    """Whether a path is a folder of a SavedModel and nothing else, or an empty one."""
    return is_part_of_saved_model(path) and ((path / "saved_model.pb").is_file() or not any(path.iterdir()))


def is_part_of_saved_model(path: Path) -> bool:
    """Whether a path is a folder that has nothing but files of a SavedModel; some may be missing."""
    if path.is_symlink() or not path.is_dir():
        return False
    inner = re.compile(r"(saved_model|fingerprint|keras_metadata)\.pb|variables(/variables\.[\w.-]+)?|assets(/[^/]+)?")
    return all(inner.fullmatch(file.relative_to(path).as_posix()) and not file.is_symlink() for file in path.rglob("*"))


PNG = Kind("a PNG picture", is_png)
PDF = Kind("a PDF picture", is_pdf)
SVG = Kind("an SVG picture", is_svg)
SAVED_MODEL = Kind("a SavedModel", is_saved_model)
PARTIAL_MODEL = Kind("a SavedModel, whole or in part", is_part_of_saved_model)
PICTURES = {".png": PNG, ".pdf": PDF, ".svg": SVG}


def check_target(path: str | Path, kind: Kind, *, flag: str = "--out") -> Path:
    """The path of a flag, if a command may write `kind` there. Writes nothing.

    Only an earlier output of the same kind is replaced: no other file or folder, no link, no file of a run.

    Args:
        path: as received.
        kind: of what the command writes.
        flag: that names the path.

    Raises:
        BadInput: something else is there, or the path cannot be created.
    """
    target = Path(path)
    if not str(path) or target.name in ("", ".."):
        raise BadInput(f"{flag} '{path}' names no file to write: give the path of {kind.name}")
    try:
        if ".." in target.parts:  # a folder that is missing may come before it
            target = target.parent.resolve() / target.name
        problem = _problem_of(target, kind)
    except (OSError, ValueError, RuntimeError) as error:  # a name that is too long, a loop of links, a null byte
        problem = f"cannot be used ({getattr(error, 'strerror', None) or error})"
    if problem:
        raise BadInput(f"{flag} '{path}' {problem}; give another {flag}")
    return target


def _problem_of(path: Path, kind: Kind) -> str | None:
    """What forbids to write a `kind` to a path, or None."""
    if "\0" in str(path):
        return "has a null character"
    if path.is_symlink():
        return "is a link, which is not replaced"
    if os.path.ismount(path):
        return "is a mount point, which is not replaced"
    if path.name in RUN_FILES and (path.parent / "config.json").is_file():
        return f"is a file of the run in '{path.parent}', which is not replaced"
    if os.path.lexists(path):
        what = "folder" if path.is_dir() else "file"
        return None if kind.recognise(path) else f"is a {what} other than {kind.name}, which is not replaced"
    parent = path.absolute().parent
    while not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        return f"cannot be created: '{parent}' is not a writable folder"
    return None


@contextlib.contextmanager
def writing(path: Path, replaces: Kind = PARTIAL_MODEL) -> Iterator[Path]:
    """A path to write a file or a folder to, which becomes `path` when the block ends without an error.

    By then it is on the disk, so that a loss of power leaves the old or the new one.

    Args:
        path: of the file or the folder.
        replaces: the kind of folder that may be replaced.

    Raises:
        BadInput: `path` is a folder of other things.
        DiskFull: there is no room.
    """
    draft = path.with_name(f".draft-{os.getpid()}-{path.name}")
    old = path.with_name(f".old-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_folder(path, replaces)
        yield draft
        _check_folder(path, replaces)
        sync(draft)
        if path.is_dir():  # os.replace does not replace a folder that has files in it
            if not draft.is_dir():
                raise BadInput(f"'{path}' is a folder, which is not replaced by a file")
            os.replace(path, old)
        os.replace(draft, path)
        sync_folder(path.parent)
    except Exception as error:
        problem = full_disk(error)
        if problem is None:
            raise
        written = draft.stat().st_size if draft.is_file() else 0
        after = f" after {written:,} bytes" if written else ""
        raise DiskFull(f"'{path}' cannot be written: {problem}{after}") from error
    finally:
        restore_old(old, path)
        remove(draft)


def _check_folder(path: Path, replaces: Kind) -> None:
    if path.is_dir() and not replaces.recognise(path):
        raise BadInput(f"'{path}' is a folder of other things, which is not replaced: move it away")


def restore_old(old: Path, path: Path) -> None:
    """Move what was at `path` back, if nothing has taken its place; else remove it."""
    if os.path.lexists(old) and not os.path.lexists(path):
        os.replace(old, path)
    remove(old)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it is there. For drafts."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def clear_drafts(folder: Path) -> None:
    """Remove the drafts of processes that were killed while they wrote into a folder, and restore what they moved."""
    for path in sorted(folder.glob(".*")):
        match = re.match(r"\.(draft|old)-\d+-(.+)", path.name)
        if match and match[1] == "old":
            restore_old(path, folder / match[2])
        elif match:
            remove(path)


def sync(path: Path) -> None:
    """Return when a file, or all that is in a folder, is on the disk."""
    if path.is_dir():
        for file in path.rglob("*"):
            (sync_folder if file.is_dir() else sync_file)(file)
        sync_folder(path)
    else:
        sync_file(path)


def sync_file(path: Path) -> None:
    """Return when the content of a file is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Return when the names in a folder are on the disk; where folders cannot be opened, as on Windows, at once."""
    with contextlib.suppress(PermissionError, NotADirectoryError):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that keeps no order of names
                raise
        finally:
            os.close(number)


def as_json(value: dict[str, Any]) -> str:
    """A dict as the text of an indented JSON file."""
    return json.dumps(value, indent=2) + "\n"


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a dict as indented JSON."""
    with writing(path) as draft:
        draft.write_text(as_json(value))


def read_json(path: Path) -> dict[str, Any]:
    """The dict in a JSON file. Raises BadInput if it is damaged, missing or no dict."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"'{path}' is not readable JSON: {getattr(error, 'strerror', None) or error}") from error
    if not isinstance(value, dict):
        raise BadInput(f"'{path}' is damaged: it holds {type(value).__name__}, not an object")
    return value
