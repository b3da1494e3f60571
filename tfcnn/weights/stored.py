"""The weights of one layer as a file has them, and how a file that does not fit is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfcnn.errors import BadInput, first_line

FORMATS = ".keras, .h5, .safetensors or .npz"
# What wrappers put before every name: DataParallel, torch.compile, Lightning and other trainers.
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "encoder.", "network.", "net.")


class StoredLayer(NamedTuple):
    """The weights of one layer of a file: its name there, and arrays in Keras' layout by Keras' names."""

    name: str
    arrays: dict[str, np.ndarray]


def misfit(weights: str, arch: str, problem: str) -> BadInput:
    """The error of a file that does not fit the network."""
    return BadInput(f"'{weights}' does not fit {arch}: {problem}; nothing was loaded (--weights)")


def shape_text(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else "x".join(map(str, shape))


def read_tensors(path: str) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` or `.safetensors` file by their names. Raises BadInput: no such file, or unreadable."""
    with _open_tensors(path) as (names, read):
        prefix = shared_prefix(names)
        return {name.removeprefix(prefix): read(name) for name in names}


def read_tensor_names(path: str) -> set[str]:
    """The names alone, which takes no time. Raises BadInput as `read_tensors` does."""
    with _open_tensors(path) as (names, _):
        prefix = shared_prefix(names)
        return {name.removeprefix(prefix) for name in names}


def shared_prefix(names: Collection[str]) -> str:
    """The chain of `PREFIXES` with which every name begins.

    >>> shared_prefix(["module.model.conv1.weight", "module.model.fc.bias"])
    'module.model.'
    """
    prefix = ""
    longer = True
    while longer and names:
        longer = False
        for word in PREFIXES:
            if all(name.startswith(prefix + word) for name in names):
                prefix += word
                longer = True
    return prefix


@contextlib.contextmanager
def _open_tensors(path: str) -> Iterator[tuple[list[str], Callable[[str], np.ndarray]]]:
    """The names of a file's arrays, and a function that reads one of them."""
    if not Path(path).is_file():
        raise BadInput(f"no weights at '{path}': give imagenet, or a file {FORMATS} (--weights)")
    try:
        if path.endswith(".npz"):
            with np.load(path, allow_pickle=False) as file:
                yield file.files, file.__getitem__
        else:
            from safetensors import safe_open  # an optional package

            with safe_open(path, "numpy") as file:
                yield list(file.keys()), file.get_tensor
    except Exception as error:  # safetensors raises a direct subclass of Exception
        raise BadInput(f"'{path}' cannot be read: {first_line(error)} (--weights)") from error
