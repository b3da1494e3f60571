"""Which data sets there are, and how one is brought onto the disk. TensorFlow is not imported here."""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import io
import logging
import socket
import urllib.request
from pathlib import Path

from pipelines.errors import BadData

# Builders in this repository, drawn or shipped with a package: they need no network.
EMBEDDED = ("digits", "shapes", "boxes", "tones", "solids")
# Written characters: a mirrored one is another character, and what lies outside the image is background.
CHARACTERS = (
    "digits",
    "mnist",
    "emnist",
    "kmnist",
    "mnist_corrupted",
    "binary_alpha_digits",
    "omniglot",
    "svhn_cropped",
)
# Where TensorFlow Datasets keeps its mirror: if it cannot be reached, neither can the data.
MIRROR = ("storage.googleapis.com", 443)


def check_name(name: str) -> str:
    """`name` if it is a data set that TensorFlow Datasets or this repository knows ("mnist", "emnist/letters").

    Raises:
        BadData: with the nearest names.
    """
    base, _, config = name.split(":")[0].partition("/")
    if base in EMBEDDED and not config:
        return name
    if is_path(name):
        if not Path(name).exists():
            raise BadData(f"no such folder or file: '{name}' (--dataset)")
        return name
    import tensorflow_datasets as tfds

    if base not in _known():
        hint = _nearest(base, _known()) or f"embedded: {', '.join(EMBEDDED)}; all of TensorFlow Datasets; or ./FOLDER"
        raise BadData(f"unknown data set '{name}'; {hint} (--dataset)")
    if base in EMBEDDED:
        importlib.import_module(f"pipelines.embedded.{base}")  # registers its builder
    configs = tfds.builder_cls(base).builder_configs
    if config and config not in configs:
        hint = _nearest(config, configs) or f"choose from {', '.join(configs) or 'none: it has no configurations'}"
        raise BadData(f"data set '{base}' has no configuration '{config}'; {hint} (--dataset)")
    return name


def is_path(name: str) -> bool:
    """Whether a data set's name is that of a folder or a .csv or .npz file, and not one of TensorFlow Datasets.

    >>> is_path("emnist/letters"), is_path("./emnist"), is_path("flowers.npz")
    (False, True, True)
    """
    if name.startswith((".", "/")) or name.endswith((".csv", ".npz")):
        return True
    return Path(name).exists() and name.split(":")[0].partition("/")[0] not in _known()


def mebibytes(count: int) -> str:
    """
    >>> mebibytes(3 << 20), mebibytes(1_234_567_890)
    ('3.0 MiB', '1,177.4 MiB')
    """
    return f"{count / 2**20:,.1f} MiB"


@functools.cache
def _known() -> frozenset[str]:
    import tensorflow_datasets as tfds  # 0.5 s; imports no TensorFlow

    return frozenset(tfds.list_builders(with_community_datasets=False)).union(EMBEDDED)


def _nearest(name, known) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else ""


def prepared_builder(name: str, data_dir: str | None = None):
    """The tfds.core.DatasetBuilder of a data set whose files are on the disk, made or downloaded if they were not.

    Raises:
        BadData: unknown name or configuration; not on the disk and no network; or its preparation failed.
    """
    import tensorflow_datasets as tfds

    check_name(name)
    base = name.split(":")[0].split("/")[0]
    if base in EMBEDDED:
        importlib.import_module(f"pipelines.embedded.{base}")
    logging.getLogger("absl").addFilter(_is_news)
    builder = tfds.builder(name, data_dir=data_dir)
    root = _home(builder.data_dir_root)
    if _is_there(builder):
        return builder
    if base not in EMBEDDED and not _online():
        here = ", ".join([f"{', '.join(EMBEDDED)} (embedded)", *_prepared_names(builder.data_dir_root)])
        raise BadData(
            f"data set '{name}' is not in {root} and there is no network to download it; "
            f"available offline: {here} (--dataset, --data-dir)"
        )
    quiet = contextlib.redirect_stdout(io.StringIO()) if base in EMBEDDED else contextlib.nullcontext()
    if base in EMBEDDED:
        tfds.disable_progress_bar()  # made here in seconds; a download keeps its bar
    try:
        with quiet:
            builder.download_and_prepare()
    except Exception as error:
        if _is_there(made := tfds.builder(name, data_dir=data_dir)):  # another process was faster
            return made
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise BadData(f"data set '{name}' could not be prepared in {root}: {reason} (--data-dir)") from error
    return builder


def _is_there(builder) -> bool:
    return Path(builder.data_path).exists() and builder.is_prepared()


def _online() -> bool:
    """Whether a download can begin. TensorFlow Datasets itself takes minutes to notice that it cannot."""
    if urllib.request.getproxies():
        return True
    with contextlib.suppress(OSError), socket.create_connection(MIRROR, timeout=3):
        return True
    return False


def _prepared_names(root: str) -> list[str]:
    found = {path.parts[-3] for path in Path(root).glob("*/*/dataset_info.json")}
    found |= {"/".join(path.parts[-4:-2]) for path in Path(root).glob("*/*/*/dataset_info.json")}
    return sorted(name for name in found if name.split("/")[0] not in EMBEDDED)


def _is_news(record: logging.LogRecord) -> bool:
    """Not what TFDS 4.9.10 warns of whenever it reads a compressed tensor: a call of its own."""
    return "`FeatureConnector.dtype` is deprecated" not in record.getMessage()


def _home(path: str) -> str:
    """The path with the home directory as ~."""
    path, home = str(path), str(Path.home())
    return "~" + path[len(home) :] if path.startswith(home + "/") else path
