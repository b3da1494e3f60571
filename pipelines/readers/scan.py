"""Which image files can be used: each is examined once before training, and the result is kept.

Every file is read and decoded once, JPEGs at an eighth of their scale: a truncated file is found now and not in the
middle of an epoch. What was found is kept in a cache, so that the next look costs one `stat` a file.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import gzip
import hashlib
import json
import os
import stat
import sys
import time
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path

import PIL

from pipelines.readers import image_files
from pipelines.readers.image_files import Bad, Facts, Refused

MAX_BYTES = 256 * 2**20  # of one file
CACHE_VERSION = 1
PATIENCE = 5.0  # seconds between two lines that say how far the scan is


def scan(paths: Sequence[str], root: str, cache_dir: str | None = None, *, masks: bool = False) -> list[Facts | Bad]:
    """Look at every file once.

    Args:
        paths: absolute paths.
        root: the folder or .csv file that they come from; the cache is named after it.
        cache_dir: folder of the caches. Default: `scans` in the data folder of TensorFlow Datasets. An entry holds
            while the file's size and time of change do; a cache that cannot be read or written is none.
        masks: the files are masks of class numbers: decoded whole, with the numbers found in `Facts.values`.

    Returns:
        One Facts or Bad for each path, in order.
    """
    cache = _Cache(root, cache_dir, masks)
    found: dict[str, Facts | Bad] = {}
    unknown = {}
    for path in paths:
        try:
            stamp = _stamp(path)
        except Refused as reason:
            found[path] = Bad(path, "", str(reason))
            continue
        known = cache.get(path, stamp)
        if known is None:
            unknown[path] = stamp
        else:
            found[path] = known

    done, told = 0, time.monotonic()
    # Pillow lets go of the interpreter's lock while it decodes. What it warns of (odd metadata, size) is judged here.
    with warnings.catch_warnings(), concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")
        try:
            for path, (result, lasting) in zip(unknown, pool.map(lambda p: _look(p, masks), unknown), strict=True):
                found[path] = result
                if lasting:
                    cache.put(path, unknown[path], result)
                done += 1
                if time.monotonic() - told > PATIENCE:
                    told = time.monotonic()
                    print(f"looked at {done:,} of {len(unknown):,} files in {root}", file=sys.stderr, flush=True)
        finally:  # an interrupted scan stops at once, and later goes on where it was
            pool.shutdown(wait=False, cancel_futures=True)
            cache.write(keep=found)
    return [found[path] for path in paths]


def _stamp(path: str) -> list[int]:
    """Size and time of change of a file that may be opened."""
    try:
        path.encode()
        status = os.stat(path)
    except UnicodeEncodeError:
        raise Refused("its name is not UTF-8") from None
    except FileNotFoundError:
        raise Refused("a link to a file that is not there" if os.path.islink(path) else "no such file") from None
    except OSError as error:
        raise Refused(f"cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
        raise Refused("a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file")
    if status.st_size == 0:
        raise Refused("empty: 0 bytes")
    if status.st_size > MAX_BYTES:
        raise Refused(f"a file of {status.st_size / 2**20:,.0f} MiB; at most {MAX_BYTES / 2**20:.0f} are read")
    return [status.st_size, status.st_mtime_ns]


def _look(path: str, mask: bool) -> tuple[Facts | Bad, bool]:
    """What a file is, and whether that lasts while the file does not change."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return Bad(path, "", f"cannot be read: {error.strerror}"), False
    return image_files.examine(path, data, mask)


def _frozen(value):
    return tuple(value) if isinstance(value, list) else value


class _Cache:
    """What was found before, in one file a root."""

    def __init__(self, root: str, folder: str | None, masks: bool):
        default = os.environ.get("TFDS_DATA_DIR") or os.path.join("~", "tensorflow_datasets")
        folder = Path(folder) if folder else Path(default).expanduser() / "scans"
        name = hashlib.blake2b(os.fsencode(os.path.realpath(root)), digest_size=16).hexdigest()
        self.file = folder / f"{name}{'-masks' if masks else ''}.json.gz"
        self.written_by = [CACHE_VERSION, PIL.__version__]
        self.rows, self.changed = {}, False
        with contextlib.suppress(OSError, EOFError, ValueError, zlib.error, KeyError, TypeError):
            content = json.loads(gzip.decompress(self.file.read_bytes()))
            rows = dict(content["files"]) if content["written_by"] == self.written_by else {}
            if all(len(row) in (3, 1 + len(dataclasses.fields(Facts))) for row in rows.values()):
                self.rows = rows

    def get(self, path: str, stamp: list[int]) -> Facts | Bad | None:
        row = self.rows.get(path)
        if row is None or row[:2] != stamp:
            return None
        found = row[2:]
        return Bad(path, "", found[0]) if len(found) == 1 else Facts(path, *map(_frozen, found))

    def put(self, path: str, stamp: list[int], result: Facts | Bad) -> None:
        self.changed = True
        found = [result.reason] if isinstance(result, Bad) else list(dataclasses.astuple(result))[1:]
        self.rows[path] = stamp + found

    def write(self, keep) -> None:
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
