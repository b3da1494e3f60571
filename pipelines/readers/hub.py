"""Data sets of Hugging Face's `datasets`: a folder, a Parquet file or a repository; pip install -r requirements-hf.txt.

`datasets` brings all of them to uncompressed Arrow files in its cache. Images are read at their places in these files,
as they were encoded, and decoded as those of a folder are.

The image is the column "image", or the first of the type Image. The class is the column "label", or the first of the
type ClassLabel; without that type, a column "label" of whole numbers or names.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipelines import places
from pipelines.errors import BadData
from pipelines.parts import Part
from pipelines.readers import tree
from pipelines.readers.record_labels import Record
from pipelines.readers.tree import composed

UNKNOWN = -1  # the label of examples that have none
FOLDER = "huggingface"  # in the folder of prepared data sets


class Image(NamedTuple):
    """Where the bytes of an image are, and the path that it had, or ""."""

    part: Part
    path: str


def read_hub(name: str, data_dir: str | None) -> tuple[list[Record], tuple[str, ...] | None]:
    """The records of a data set in order, and the names of its classes, if it has them.

    Args:
        name: "hf:" and a folder or file, or the name of a repository, perhaps with ":" and a configuration.
        data_dir: folder of prepared data sets; default: that of `datasets`.

    Raises:
        BadData: it cannot be read, or needs the network, which is not there; it has no image or no label; a label out
            of range; an image outside of the data set.
    """
    root = places.local_part(name)
    cache = None if data_dir is None else str(Path(data_dir) / FOLDER)
    splits = _load(name, root, cache)
    first = next(iter(splits.values()))
    image, label = _choose_columns(name, first.features)
    names = getattr(first.features[label], "names", None)
    records: list[Record] = []
    for key, rows in sorted(splits.items()):  # as the folders of splits are
        split = tree.SPLIT_OF.get(key.lower(), "train" if len(splits) == 1 else None)
        labels = rows.data.column(label).to_pylist()
        if split is None or (split != "train" and set(labels) <= {None, UNKNOWN}):
            continue  # unsupervised, or to be predicted
        images = _find_images(rows, image, name, _folders(root, cache))
        for number, (each, place) in enumerate(zip(labels, images, strict=True)):
            records.append(_record(place, each, split, f"{key}/{number:08}", root, name))
    if not any(record.split == "train" for record in records):
        raise BadData(f"'{name}' has no training split with labels, only {', '.join(splits)} (--dataset)")
    return records, None if names is None else tuple(map(composed, names))


def _load(name: str, root: Path | None, cache: str | None) -> dict[str, Any]:
    """The splits of a data set. Raises BadData."""
    datasets: Any = importlib.import_module("datasets")
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    options = {"cache_dir": cache, "keep_in_memory": False}
    try:
        if root is None:
            repository, _, configuration = name.removeprefix(places.HUB).partition(":")
            with _offline_without_network(datasets):
                return dict(datasets.load_dataset(repository, configuration or None, **options))
        if root.is_dir():
            return dict(datasets.load_dataset(str(root), **options))
        kind = {".parquet": "parquet", ".arrow": "arrow"}.get(root.suffix.lower())
        if kind is None:
            raise BadData(f"'{name}' is no folder, .parquet or .arrow file (--dataset)")
        return dict(datasets.load_dataset(kind, data_files=str(root), **options))
    except BadData:
        raise
    except Exception as error:  # whatever its readers and the network raise
        causes = str(error).strip() or str(error.__cause__ or "").strip() or type(error).__name__
        reason = " ".join(causes.split("\n")[0].split())
        hint = "" if root is not None or _is_online(datasets) else "; there is no network to download it"
        raise BadData(f"'{name}' cannot be read by datasets: {reason}{hint} (--dataset)") from None


@contextlib.contextmanager
def _offline_without_network(datasets: Any) -> Iterator[None]:
    """A context in which `datasets` looks into its cache alone if there is no network, and does not wait for it."""
    if _is_online(datasets):
        yield
        return
    constants: Any = importlib.import_module("huggingface_hub.constants")
    before = (constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE)
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def _is_online(datasets: Any) -> bool:
    """Whether a download can begin."""
    if datasets.config.HF_HUB_OFFLINE:
        return False
    if urllib.request.getproxies():
        return True
    address = urllib.parse.urlsplit(datasets.config.HF_ENDPOINT)
    port = address.port or (443 if address.scheme == "https" else 80)
    with contextlib.suppress(OSError), socket.create_connection((address.hostname or "", port), timeout=3):
        return True
    return False


def _choose_columns(name: str, features: dict[str, Any]) -> tuple[str, str]:
    """The columns of the images and of the classes. Raises BadData."""
    kinds = {key: type(feature).__name__ for key, feature in features.items()}
    images = [key for key in sorted(kinds, key=lambda key: key != "image") if kinds[key] == "Image"]
    labels = [key for key in sorted(kinds, key=lambda key: key != "label") if kinds[key] == "ClassLabel"]
    if not labels and getattr(features.get("label"), "dtype", "").startswith(("int", "uint", "string", "large_string")):
        labels = ["label"]
    if not images or not labels:
        columns = ", ".join(f"{key} ({kind})" for key, kind in kinds.items())
        raise BadData(
            f"'{name}' has the columns {columns}: expected one of type Image, and one of type ClassLabel or label of "
            f"whole numbers or names (--dataset)"
        )
    return images[0], labels[0]


def _folders(root: Path | None, cache: str | None) -> list[Path]:
    """The folders in which images may be files: that of the data set, and the caches."""
    datasets: Any = importlib.import_module("datasets")
    constants: Any = importlib.import_module("huggingface_hub.constants")
    caches = [Path(datasets.config.HF_CACHE_HOME), Path(constants.HF_HUB_CACHE)]
    caches += [] if cache is None else [Path(cache)]
    inside = root if root is None or root.is_dir() else root.parent
    return [folder.resolve() for folder in (caches if inside is None else [inside, *caches])]


def _find_images(rows: Any, column: str, name: str, folders: list[Path]) -> Iterator[Image]:
    """The image of each row, in order. Raises BadData."""
    import pyarrow

    for file in rows.cache_files:
        path = file["filename"]
        with pyarrow.memory_map(path) as mapped:
            base = mapped.read_buffer().address
            mapped.seek(0)
            for batch in pyarrow.ipc.open_stream(mapped):
                cells = batch.column(column)
                contents = cells.field("bytes")
                starts = _starts(contents, base)
                paths = cells.field("path").to_pylist()
                for number, start in enumerate(starts):
                    if contents[number].is_valid:
                        length = len(contents[number].as_buffer())
                        yield Image(Part(path, start, length), paths[number] or "")
                    else:
                        yield _image_of_file(paths[number], name, folders)


def _starts(contents: Any, base: int) -> list[int]:
    """Where each value of an Arrow array of bytes begins, counted from an address."""
    import numpy as np

    _, offsets, data = contents.buffers()
    if data is None:  # all values are missing
        return [0] * len(contents)
    kind = np.int64 if str(contents.type).startswith("large") else np.int32
    first = contents.offset
    starts = np.frombuffer(offsets, kind)[first : first + len(contents)]
    return (starts.astype(np.int64) + (data.address - base)).tolist()


def _image_of_file(path: str | None, name: str, folders: list[Path]) -> Image:
    """An image that is a file. Raises BadData for one outside of the data set."""
    file = Path(path or "")
    whole = file if file.is_absolute() else folders[0] / file
    if not path or not any(whole.resolve().is_relative_to(folder) for folder in folders):
        raise BadData(f"'{name}' has an image without bytes, whose path '{path}' is outside of it (--dataset)")
    try:
        return Image(Part(str(whole), 0, os.stat(whole).st_size), str(whole))
    except OSError as error:
        raise BadData(f"'{whole}' of '{name}' cannot be read: {error.strerror} (--dataset)") from None


def _record(image: Image, label: Any, split: str, number: str, root: Path | None, name: str) -> Record:
    """The record of a row. Raises BadData without a label."""
    if label is None:
        raise BadData(f"row {number} of '{name}' has no label (--dataset)")
    title = image.path or number
    if root is not None and Path(title).is_absolute() and Path(title).resolve().is_relative_to(root.resolve()):
        title = os.path.relpath(Path(title).resolve(), root.resolve())
    return Record(title, split, composed(label) if isinstance(label, str) else label, image.part)
