"""files.json: the size and the digest of each file in a folder, to tell damage when one is read.

Standard library only.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from tfcnn.errors import BadInput
from tfcnn.files import read_json, write_json


def digest_of(content: bytes) -> dict[str, Any]:
    """The record of a file's content: {"bytes": its size, "blake2b": its digest}."""
    return {"bytes": len(content), "blake2b": hashlib.blake2b(content, digest_size=32).hexdigest()}


def digest_file(path: Path) -> dict[str, Any]:
    """The record of a file, as `digest_of` gives it for its content."""
    digest = hashlib.blake2b(digest_size=32)
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
            size += len(chunk)
    return {"bytes": size, "blake2b": digest.hexdigest()}


class Records:
    """The records of files in a folder; a file without one is not checked.

    Args:
        folder: that has files.json.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.path = folder / "files.json"

    def read(self) -> dict[str, dict[str, Any]]:
        """The records by the files' paths within the folder; none if files.json is missing or damaged."""
        try:
            records = read_json(self.path)
        except BadInput:
            return {}
        return {name: record for name, record in records.items() if isinstance(record, dict)}

    def write(self, *paths: Path, ahead: dict[Path, bytes] | None = None) -> None:
        """Record files, and the files in folders, in place of their earlier records.

        Args:
            paths: within the folder; one that is missing loses its record.
            ahead: contents of files that are written next.
        """
        names = [self._name(path) for path in paths]
        records = {
            name: record
            for name, record in self.read().items()
            if not any(_is_within(name, changed) for changed in names)
        }
        for path in paths:
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    records[self._name(file)] = digest_file(file)
        for path, content in (ahead or {}).items():
            records[self._name(path)] = digest_of(content)
        write_json(self.path, records)

    def problem_of(self, path: Path) -> str | None:
        """What is wrong with a file, or with a folder and its files: "is missing" for example; None if nothing is."""
        if not path.exists():
            return "is missing"
        name = self._name(path)
        for part, record in self.read().items():
            if _is_within(part, name) and (problem := _compare(self.folder / part, record)):
                return problem if part == name else f"is damaged: '{part}' {problem}"
        return None

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def _is_within(name: str, folder: str) -> bool:
    return name == folder or name.startswith(f"{folder}/")


def _compare(file: Path, record: dict[str, Any]) -> str | None:
    if not file.is_file():
        return "is missing"
    try:
        digest = digest_file(file)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if digest == record:
        return None
    if digest["bytes"] != record.get("bytes"):
        return f"is damaged: it has {digest['bytes']:,} bytes, and {record.get('bytes')} were written"
    return f"is damaged: its {digest['bytes']:,} bytes are not those that were written"
