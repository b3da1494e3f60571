"""The data sets by name, and their preparation on the disk.

Functions import TensorFlow Datasets, which takes 0.5 s, for the start of a command. Nothing imports TensorFlow.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import importlib.metadata
import importlib.util
import io
import logging
import os
import socket
import sys
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines import places
from pipelines.errors import BadData

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

# Builders in this repository, drawn or shipped with a package: they need no network.
EMBEDDED = ("digits", "shapes", "boxes", "tones", "solids")
# Written characters: mirroring makes others of them, and the outside of their images is background.
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
# Versions that have what a task needs, where the default, whose runs stay valid, has not.
VERSIONS = {("solids", "segmentation"): "1.1.0"}
# The mirror of TensorFlow Datasets: if it cannot be reached, neither can the data.
MIRROR = ("storage.googleapis.com", 443)


def register(module: str | None) -> None:
    """Import what registers builders of TensorFlow Datasets: the user's module, and the entry points of packages.

    Args:
        module: a file ("folder/mine.py") or an importable name ("package.module"); None: entry points alone, those of
            the group "tfcnn.datasets", whose values are modules.

    Raises:
        BadData: it is not there, or fails.
    """
    for entry in importlib.metadata.entry_points(group="tfcnn.datasets"):
        what = f"entry point '{entry.name}' of tfcnn.datasets"
        _import_module(entry.module, what, "mend or uninstall its package")
    if module is not None:
        _import_module(module, "the user's module", "--dataset-module")


@functools.cache
def _import_module(module: str, what: str, remedy: str) -> None:
    """Import a module once, by its file or its name. Raises BadData with what to do."""
    try:
        if not module.endswith(".py"):
            importlib.import_module(module)
            return
        file = Path(module).expanduser()
        if not file.is_file():
            raise BadData(f"no such file: '{module}' (--dataset-module)")
        # TensorFlow Datasets asks for a package: that of the file's folder.
        places = [str(file.parent)]
        spec = importlib.util.spec_from_file_location(file.stem, file, submodule_search_locations=places)
        if spec is None or spec.loader is None:
            raise BadData(f"'{module}' is no Python file (--dataset-module)")
        loaded = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(file.stem, loaded)  # TensorFlow Datasets looks the builder's module up
        spec.loader.exec_module(loaded)
    except BadData:
        raise
    except Exception as error:  # whatever the user's code raises
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise BadData(f"{what}: '{module}' cannot be imported: {reason} ({remedy})") from error
    finally:
        _builder_names.cache_clear()


def check_name(name: str, module: str | None = None, data_dir: str | None = None) -> str:
    """Return the name of a data set of TensorFlow Datasets ("emnist/letters") or this repository, or of a file.

    Args:
        name: of the data set.
        module: registers builders; see `register`.
        data_dir: folder of prepared data sets, which need no code.

    Raises:
        BadData: for an unknown name, where the message gives the nearest ones; or for a module that the name does not
            need.
    """
    if not name.strip() or "\0" in name:
        raise BadData(f"a data set has a name, or the path of a folder or file, got {name!r} (--dataset)")
    base, _, config = name.split(":")[0].partition("/")
    if module is not None and (base in EMBEDDED or is_path(name) or places.is_hub(name)):
        kind = "is embedded" if base in EMBEDDED else "is a path"
        raise BadData(f"--dataset-module {module} registers data sets by name, but '{name}' {kind}: leave it out")
    if base in EMBEDDED and not config:
        return name
    if places.is_hub(name):
        _check_hub(name)
        return name
    if is_path(name):
        if not places.is_pattern(name):
            _check_path(name)
        elif not places.matches(name):
            raise BadData(f"'{name}' matches no file (--dataset)")
        return name
    import tensorflow_datasets as tfds

    register(module)
    if base not in _builder_names():
        if find_prepared(name, data_dir):
            return name
        hint = (
            _nearest(base, _builder_names())
            or f"embedded: {', '.join(EMBEDDED)}; all of TensorFlow Datasets; or ./FOLDER"
        )
        raise BadData(f"unknown data set '{name}'; {hint} (--dataset)")
    if base in EMBEDDED:
        importlib.import_module(f"pipelines.embedded.{base}")  # registers its builder
    configs = tfds.builder_cls(base).builder_configs
    if config and config not in configs:
        hint = _nearest(config, configs) or f"choose from {', '.join(configs) or 'none: it has no configurations'}"
        raise BadData(f"data set '{base}' has no configuration '{config}'; {hint} (--dataset)")
    return name


def _check_hub(name: str) -> None:
    """Raises BadData for no name, a path where nothing is, or without the package that reads it."""
    spec = importlib.util.find_spec("datasets")
    if spec is None or spec.origin is None:  # a folder of that name is a package without origin
        raise BadData(
            f"'{name}' needs datasets, which is not installed: pip install -r requirements-hf.txt (--dataset)"
        )
    local = places.local_part(name)
    if local is not None:
        _check_path(str(local))
    elif not name.removeprefix(places.HUB):
        raise BadData(f"'{name}' names no data set: expected hf:FOLDER or hf:NAME (--dataset)")


def _check_path(name: str) -> None:
    """Raises BadData unless a folder or a file has this path and may be read."""
    try:
        Path(name).stat()
    except FileNotFoundError:
        raise BadData(f"no such folder or file: '{name}' (--dataset)") from None
    except (
        OSError
    ) as error:  # a loop of links, a name that is too long, a file as a parent, a folder without permission
        raise BadData(f"'{name}' cannot be read: {error.strerror} (--dataset)") from error
    if not os.access(name, os.R_OK):
        raise BadData(f"'{name}' cannot be read: no permission (--dataset)")


def is_path(name: str) -> bool:
    """Whether a name is a folder or a file, or a pattern of files, and not a data set of TensorFlow Datasets.

    >>> is_path("emnist/letters"), is_path("./emnist"), is_path("flowers.npz")
    (False, True, True)
    """
    if places.is_hub(name):
        return False
    if name.startswith((".", "/")) or name.endswith((".csv", ".npz", ".npy")):
        return True
    if places.is_records(name) or places.is_pattern(name):
        return True
    try:
        exists = Path(name).exists()
    except OSError:  # a name that is too long, for example
        return True
    return exists and name.split(":")[0].partition("/")[0] not in _builder_names()


def mebibytes(count: int) -> str:
    """
    >>> mebibytes(3 << 20), mebibytes(1_234_567_890)
    ('3.0 MiB', '1,177.4 MiB')
    """
    return f"{count / 2**20:,.1f} MiB"


@functools.cache
def _builder_names() -> frozenset[str]:
    import tensorflow_datasets as tfds

    return frozenset(tfds.list_builders(with_community_datasets=False)).union(EMBEDDED)


def _nearest(name: str, names: Iterable[str]) -> str:
    """A hint at similar names, or ""."""
    near = difflib.get_close_matches(name, list(names), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else ""


def find_prepared(name: str, data_dir: str | None) -> Path | None:
    """The folder of the newest version of a prepared data set, NAME[/CONFIG][:VERSION], in a folder of such.

    Raises:
        BadData: it has several configurations, and the name tells none.
    """
    import tensorflow_datasets as tfds

    base, _, wanted = name.partition(":")
    root = Path(data_dir or tfds.core.constants.DATA_DIR).expanduser() / base
    versions = [file.parent for file in root.glob("*/dataset_info.json") if wanted in ("", file.parent.name)]
    if not versions and "/" not in base:
        inner = [file.parent for file in root.glob("*/*/dataset_info.json") if wanted in ("", file.parent.name)]
        configs = sorted({version.parent.name for version in inner})
        if len(configs) > 1:
            raise BadData(
                f"data set '{base}' has the configurations {', '.join(configs)}: name one, as {base}/{configs[0]} "
                f"(--dataset)"
            )
        versions = inner
    return max(versions, key=lambda folder: _numbers_of(folder.name), default=None)


def _numbers_of(version: str) -> tuple[int, ...]:
    """
    >>> _numbers_of("1.10.0") > _numbers_of("1.9.0")
    True
    """
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def choose_version(name: str, task: str | None) -> str:
    """The name of a data set with the version that a task reads, where that is not the default.

    >>> choose_version("solids/easy", "classification"), choose_version("solids/easy", "segmentation")
    ('solids/easy', 'solids/easy:1.1.0')
    """
    version = None if ":" in name else VERSIONS.get((name.split("/")[0], task or ""))
    return f"{name}:{version}" if version else name


def prepare_builder(name: str, data_dir: str | None = None, module: str | None = None) -> tfds.core.DatasetBuilder:
    """The builder of a data set; its files are generated or downloaded unless they are on the disk.

    A data set that is prepared in `data_dir` needs no code of its builder.

    Raises:
        BadData: unknown name or configuration; not on the disk and no network; or the preparation failed.
    """
    import tensorflow_datasets as tfds

    base = name.split(":")[0].split("/")[0]
    check_name(name, None if base in EMBEDDED else module, data_dir)
    if base not in _builder_names():
        return _builder_from_files(name, data_dir)
    if base in EMBEDDED:
        importlib.import_module(f"pipelines.embedded.{base}")
    logging.getLogger("absl").addFilter(_is_worth_showing)
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # whatever a user's builder raises
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise BadData(f"data set '{name}' cannot be built: {reason} (--dataset, --dataset-module)") from error
    root = _abbreviate_home(builder.data_dir_root)
    if _is_prepared(builder):
        return builder
    downloads = type(builder).__module__.startswith("tensorflow_datasets.")  # of a user's builder nothing is known
    if downloads and not is_online():
        available = ", ".join([f"{', '.join(EMBEDDED)} (embedded)", *_prepared_names(builder.data_dir_root)])
        raise BadData(
            f"data set '{name}' is not in {root} and there is no network to download it; "
            f"available offline: {available} (--dataset, --data-dir)"
        )
    quiet = contextlib.redirect_stdout(io.StringIO()) if base in EMBEDDED else contextlib.nullcontext()
    if base in EMBEDDED:
        tfds.disable_progress_bar()  # generated in seconds; a download keeps its bar
    try:
        with quiet:
            builder.download_and_prepare()
    except Exception as error:
        again = tfds.builder(name, data_dir=data_dir)
        if _is_prepared(again):  # another process was faster
            return again
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise BadData(f"data set '{name}' could not be prepared in {root}: {reason} (--data-dir)") from error
    return builder


def _builder_from_files(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    """The builder of a prepared data set without its code."""
    import tensorflow_datasets as tfds

    folder = find_prepared(name, data_dir)
    assert folder is not None  # by check_name
    logging.getLogger("absl").addFilter(_is_worth_showing)
    try:
        return tfds.builder_from_directory(str(folder))
    except Exception as error:  # whatever its files hold
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise BadData(f"data set '{name}' in '{folder}' cannot be read: {reason} (--data-dir)") from error


def _is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
    return Path(builder.data_path).exists() and builder.is_prepared()


def is_online() -> bool:
    """Whether a download can begin; TensorFlow Datasets takes minutes to notice that it cannot."""
    if urllib.request.getproxies():
        return True
    with contextlib.suppress(OSError), socket.create_connection(MIRROR, timeout=3):
        return True
    return False


def _prepared_names(root: str) -> list[str]:
    """The data sets on the disk but those of this repository."""
    names = {path.parts[-3] for path in Path(root).glob("*/*/dataset_info.json")}
    names |= {"/".join(path.parts[-4:-2]) for path in Path(root).glob("*/*/*/dataset_info.json")}
    return sorted(name for name in names if name.split("/")[0] not in EMBEDDED)


def _is_worth_showing(record: logging.LogRecord) -> bool:
    """False for what TFDS 4.9.10 says of its own code, when it reads a compressed tensor, and of other versions."""
    message = record.getMessage()
    return "`FeatureConnector.dtype` is deprecated" not in message and "Found a different version" not in message


def _abbreviate_home(path: str | Path) -> str:
    """The path with the home directory as ~."""
    path = str(path)
    home = str(Path.home())
    return "~" + path[len(home) :] if path.startswith(home + "/") else path
