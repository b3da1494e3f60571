"""Images that are parts of larger files: records. Standard library only."""

from __future__ import annotations

import os
from typing import NamedTuple

from pipelines.errors import BadData


class Part(NamedTuple):
    """Where the bytes of an image are.

    Attributes:
        path: of the file.
        offset: of the first byte.
        length: in bytes.
    """

    path: str
    offset: int
    length: int


def read_part(part: Part) -> bytes:
    """The bytes of a part. Raises BadData: the file cannot be read, or ends before."""
    try:
        file = os.open(part.path, os.O_RDONLY)
        try:
            content = os.pread(file, part.length, part.offset)
        finally:
            os.close(file)
    except OSError as error:
        raise BadData(f"'{part.path}' cannot be read: {error.strerror} (--dataset)") from None
    if len(content) < part.length:
        raise BadData(f"'{part.path}' is truncated: a record reaches beyond its end (--dataset)")
    return content
