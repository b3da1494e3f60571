"""Which image files can be used: each is examined once before training, and the result is cached.

Every file is read and decoded once, JPEGs at an eighth of their scale, so that a truncated file is found before
training and not in the middle of an epoch. With the cache, a later scan costs one `stat` a file.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import gzip
import hashlib
import json
import os
import stat
import sys
import time
import warnings
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import PIL

from pipelines.errors import BadFile
from pipelines.parts import Part, read_part
from pipelines.readers import image_files
from pipelines.readers.image_files import ImageFile, Unusable

MAX_BYTES = 256 * 2**20  # of one file
CACHE_VERSION = 2
PATIENCE = 5.0  # seconds between two lines of progress


def scan_files(
    paths: Sequence[str], root: str, cache_dir: str | None = None, *, masks: bool = False
) -> list[ImageFile | BadFile]:
    """Examine every file once.

    Args:
        paths: absolute paths.
        root: the folder or .csv file that they come from; the cache is named after it.
        cache_dir: folder of the caches. Default: `scans` in the data folder of TensorFlow Datasets. An entry is valid
            while the file's size and time of change stay; a cache that cannot be read or written is ignored.
        masks: the files are masks of class numbers: they are decoded whole, and `ImageFile.values` lists the numbers.

    Returns:
        One ImageFile or BadFile for each path, in order.
    """
    return _scan(paths, root, _Cache(root, cache_dir, masks), _stamp, functools.partial(_examine_file, mask=masks))


def scan_parts(parts: Mapping[str, Part], root: str, cache_dir: str | None = None) -> list[ImageFile | BadFile]:
    """Examine images that are parts of files as `scan_files` examines files.

    Args:
        parts: by a name that no other has.
        root, cache_dir: as for `scan_files`; an entry is valid while the time of change of the part's file stays.
    """
    times = {path: os.stat(path).st_mtime_ns for path in {part.path for part in parts.values()}}

    def stamp(name: str) -> list[int]:
        path, _, length = parts[name]
        if length == 0 or length > MAX_BYTES:
            size = "empty: 0 bytes" if length == 0 else f"{length / 2**20:,.0f} MiB; at most {MAX_BYTES / 2**20:.0f}"
            raise Unusable(size)
        return [length, times[path]]

    def examine(name: str) -> tuple[ImageFile | BadFile, bool]:
        file, lasting = image_files.examine("", read_part(parts[name]), mask=False)  # the name is no file's
        return dataclasses.replace(file, path=name), lasting

    return _scan(list(parts), root, _Cache(root, cache_dir, masks=False), stamp, examine)


def _scan(
    paths: Sequence[str],
    root: str,
    cache: _Cache,
    stamp_of: Callable[[str], list[int]],
    examine: Callable[[str], tuple[ImageFile | BadFile, bool]],
) -> list[ImageFile | BadFile]:
    """Examine what the cache does not hold, in parallel."""
    results: dict[str, ImageFile | BadFile] = {}
    stamps = {}  # of the files to examine
    for path in paths:
        try:
            stamp = stamp_of(path)
        except Unusable as error:
            results[path] = BadFile(path, "", str(error))
            continue
        cached = cache.get(path, stamp)
        if cached is None:
            stamps[path] = stamp
        else:
            results[path] = cached

    done = 0
    reported = time.monotonic()
    # Pillow releases the interpreter's lock while it decodes. Its warnings (odd metadata, size) are judged here.
    with warnings.catch_warnings(), concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")
        try:
            for path, (result, lasting) in zip(stamps, pool.map(examine, stamps), strict=True):
                results[path] = result
                if lasting:
                    cache.put(path, stamps[path], result)
                done += 1
                if time.monotonic() - reported > PATIENCE:
                    reported = time.monotonic()
                    print(f"examined {done:,} of {len(stamps):,} files in {root}", file=sys.stderr, flush=True)
        finally:  # an interrupted scan stops at once, and the next one continues it
            pool.shutdown(wait=False, cancel_futures=True)
            cache.write(keep=results)
    return [results[path] for path in paths]


def examine_path(path: str) -> ImageFile | BadFile:
    """Examine one file, as `scan_files` does, without its cache."""
    try:
        _stamp(path)
    except Unusable as error:
        return BadFile(path, "", str(error))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _examine_file(path, mask=False)[0]


def _stamp(path: str) -> list[int]:
    """Size and time of change of a file that may be opened. Raises Unusable for any other."""
    try:
        path.encode()
        status = os.stat(path)
    except UnicodeEncodeError:
        raise Unusable("its name is not UTF-8") from None
    except FileNotFoundError:
        raise Unusable("a link to a file that is not there" if os.path.islink(path) else "no such file") from None
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would block
        raise Unusable("a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file")
    if status.st_size == 0:
        raise Unusable("empty: 0 bytes")
    if status.st_size > MAX_BYTES:
        raise Unusable(f"a file of {status.st_size / 2**20:,.0f} MiB; at most {MAX_BYTES / 2**20:.0f} are read")
    return [status.st_size, status.st_mtime_ns]


def _examine_file(path: str, mask: bool) -> tuple[ImageFile | BadFile, bool]:
    """As `image_files.examine`."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return BadFile(path, "", f"cannot be read: {error.strerror}"), False
    return image_files.examine(path, data, mask)


class _Cache:
    """The results of earlier scans, one file a root.

    A row is [size, time of change, reason] of a bad file, else [size, time of change, *fields of ImageFile but path].
    """

    def __init__(self, root: str, cache_dir: str | None, masks: bool) -> None:
        default = os.environ.get("TFDS_DATA_DIR") or os.path.join("~", "tensorflow_datasets")
        folder = Path(cache_dir) if cache_dir else Path(default).expanduser() / "scans"
        name = hashlib.blake2b(os.fsencode(os.path.realpath(root)), digest_size=16).hexdigest()
        self.file = folder / f"{name}{'-masks' if masks else ''}.json.gz"
        self.written_by = [CACHE_VERSION, PIL.__version__]
        self.rows: dict[str, list[Any]] = {}
        self.changed = False
        with contextlib.suppress(OSError, EOFError, ValueError, zlib.error, KeyError, TypeError):
            content = json.loads(gzip.decompress(self.file.read_bytes()))
            rows = dict(content["files"]) if content["written_by"] == self.written_by else {}
            if all(len(row) in (3, 1 + len(dataclasses.fields(ImageFile))) for row in rows.values()):
                self.rows = rows

    def get(self, path: str, stamp: list[int]) -> ImageFile | BadFile | None:
        row = self.rows.get(path)
        if row is None or row[:2] != stamp:
            return None
        values: list[Any] = [tuple(value) if isinstance(value, list) else value for value in row[2:]]
        return BadFile(path, "", values[0]) if len(values) == 1 else ImageFile(path, *values)

    def put(self, path: str, stamp: list[int], result: ImageFile | BadFile) -> None:
        self.changed = True
        values = [result.reason] if isinstance(result, BadFile) else list(dataclasses.astuple(result))[1:]
        self.rows[path] = stamp + values

    def write(self, keep: Collection[str]) -> None:
        """Save the rows of the paths in `keep`, in one step, if any is new."""
        if not self.changed:
            return
        rows = {path: row for path, row in self.rows.items() if path in keep}
        content = json.dumps({"written_by": self.written_by, "files": rows}).encode()
        part = self.file.with_name(f"{self.file.name}.{os.getpid()}.part")
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            try:
                part.write_bytes(gzip.compress(content, 1))
                os.replace(part, self.file)
            finally:
                part.unlink(missing_ok=True)
