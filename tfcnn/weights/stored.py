"""The weights of one layer as a file has them, and how a file that does not fit is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from tfcnn.errors import BadInput, first_line
from tfcnn.weights.formats import check_weights, suffix_of

# What wrappers put before every name: DataParallel, torch.compile, Lightning and other trainers.
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "encoder.", "network.", "net.", "state_dict.")
# What trainers put before the names of the averaged weights, which they validate and publish.
AVERAGES = ("state_dict_ema.", "model_ema.", "ema_model.", "ema.")
COUNTERS = ("n_averaged", "initted", "step", "num_updates", "decay")  # of classes that average; no weights


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
        prefix, wrapped = unwrap(names)
        return {name.removeprefix(prefix): read(name) for name in wrapped}


def read_tensor_names(path: str) -> set[str]:
    """The names alone, which takes no time. Raises BadInput as `read_tensors` does."""
    with _open_tensors(path) as (names, _):
        prefix, wrapped = unwrap(names)
        return {name.removeprefix(prefix) for name in wrapped}


def averaged_part(path: str) -> str:
    """The prefix of the averaged weights in a file that has others, too, which are left out; else ""."""
    with _open_tensors(path) as (names, _):
        prefix, _ = unwrap(names)
        others = [name for name in names if not name.startswith(prefix) and name not in COUNTERS]
        return prefix if others else ""


def unwrap(names: Iterable[str]) -> tuple[str, list[str]]:
    """The prefix that wrappers put before the names of the weights, and the names that begin with it.

    A chain of `PREFIXES` with which every name begins. Where some begin with one of `AVERAGES`, only they count.

    >>> unwrap(["module.model.conv1.weight", "module.model.fc.bias"])
    ('module.model.', ['module.model.conv1.weight', 'module.model.fc.bias'])
    >>> unwrap(["model.fc.bias", "model_ema.module.fc.bias", "n_averaged"])
    ('model_ema.module.', ['model_ema.module.fc.bias'])
    """
    prefix = ""
    wrapped = list(names)
    while True:
        wrapped = [name for name in wrapped if name.startswith(prefix) and name.removeprefix(prefix) not in COUNTERS]
        word = _next_wrapper([name.removeprefix(prefix) for name in wrapped])
        if not word:
            return prefix, wrapped
        prefix += word


def _next_wrapper(names: list[str]) -> str:
    for word in AVERAGES:
        if any(name.startswith(word) for name in names):
            return word
    for word in PREFIXES:
        if names and all(name.startswith(word) for name in names):
            return word
    return ""


@contextlib.contextmanager
def _open_tensors(path: str) -> Iterator[tuple[list[str], Callable[[str], np.ndarray]]]:
    """The names of a file's arrays, and a function that reads one of them."""
    check_weights(path)
    try:
        if suffix_of(path) == ".npz":
            with np.load(path, allow_pickle=False) as file:
                yield file.files, file.__getitem__
        else:
            from safetensors import safe_open  # an optional package

            with safe_open(path, "numpy") as file:
                yield list(file.keys()), file.get_tensor
    except Exception as error:  # safetensors raises a direct subclass of Exception
        raise BadInput(f"'{path}' cannot be read: {first_line(error)} (--weights)") from error
