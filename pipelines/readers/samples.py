"""The samples of a .tar file, as WebDataset has them: the members of one name but for the extension are one sample.

    photos/0001.jpg  photos/0001.cls     the image, and its class as text: a whole number or a name
    photos/0001.jpg  photos/0001.json    the same in an object: label, cls or class

The members are read at their places in the file, in any order; nothing is unpacked.
"""

from __future__ import annotations

import json
import posixpath
import tarfile
from collections.abc import Iterator
from typing import Any

from pipelines.errors import BadData
from pipelines.parts import Part, read_part
from pipelines.readers.image_files import FORMAT_OF
from pipelines.readers.record_labels import Record, label_of

LABELS = ("label", "cls", "class")
MAX_BYTES = 2**20  # of a label
BLOCK = 512  # bytes of a tar; a block of zeros ends it


def read_tar(path: str) -> Iterator[Record]:
    """The records of a file in the order of their first members; of each the split is "train".

    Raises:
        BadData: a file that is damaged, truncated or compressed; a member that is a link, or outside; a sample without
            an image or a class, or with two.
    """
    for key, members in _group(path).items():
        what = f"sample '{key}' of '{path}'"
        images = [extension for extension in members if f".{extension}" in FORMAT_OF]
        if len(images) != 1:
            count = "no image" if not images else f"the images {', '.join(images)}"
            raise BadData(f"{what} has {count} among {', '.join(members)}: expected one, as .jpg or .png (--dataset)")
        yield Record(f"{key}.{images[0]}", "train", _read_label(members, what), members[images[0]])


def _group(path: str) -> dict[str, dict[str, Part]]:
    """The parts of each sample, by key and extension. Raises BadData."""
    samples: dict[str, dict[str, Part]] = {}
    for member in _members(path):
        name = posixpath.normpath(member.name)
        if name.startswith(("/", "..")):
            raise BadData(f"'{path}' has a member outside of it, '{member.name}' (--dataset)")
        folder, base = posixpath.split(name)
        stem, _, extension = base.partition(".")
        if not stem or not extension:  # hidden files, and those of no sample
            continue
        parts = samples.setdefault(posixpath.join(folder, stem), {})
        if extension.lower() in parts:
            raise BadData(f"'{path}' holds '{name}' twice (--dataset)")
        parts[extension.lower()] = Part(path, member.offset_data, member.size)
    return samples


def _members(path: str) -> Iterator[tarfile.TarInfo]:
    """The regular files of a tar. Raises BadData."""
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if member.isdir():
                    continue
                if not member.isreg() or member.sparse is not None:
                    raise BadData(f"'{path}' has '{member.name}', a link or no regular file (--dataset)")
                yield member
            end = tar.offset
    except (OSError, tarfile.TarError, EOFError, ValueError) as error:
        if isinstance(error, BadData):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadData(f"'{path}' is no intact tar: {reason} (--dataset)") from None
    if any(read_part(Part(path, end, BLOCK))):  # tarfile takes what is no header for the end
        raise BadData(f"'{path}' is no intact tar: unexpected end of data (--dataset)")


def _read_label(members: dict[str, Part], what: str) -> int | str:
    """The class in .cls or .json. Raises BadData."""
    extension = next((extension for extension in ("cls", "json") if extension in members), None)
    if extension is None:
        raise BadData(f"{what} has no .cls or .json with its class among {', '.join(members)} (--dataset)")
    part = members[extension]
    if part.length > MAX_BYTES:
        raise BadData(f"the .{extension} of {what} has {part.length:,} bytes, and is no label (--dataset)")
    try:
        text = read_part(part).decode()
        value = text if extension == "cls" else _choose_label(json.loads(text))
    except (ValueError, RecursionError) as error:
        if isinstance(error, BadData):
            raise
        raise BadData(f"the .{extension} of {what} cannot be read: {error} (--dataset)") from None
    if isinstance(value, bool) or not isinstance(value, int | str) or (isinstance(value, str) and not value.strip()):
        names = ", ".join(LABELS)
        raise BadData(
            f"the .{extension} of {what} holds no class: expected a whole number or a name in {names} (--dataset)"
        )
    return value if isinstance(value, int) else label_of(value)


def _choose_label(content: Any) -> Any:
    """The class in the object of a .json; None without one."""
    if not isinstance(content, dict):
        return None
    return next((content[key] for key in LABELS if key in content), None)
