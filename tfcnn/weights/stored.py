"""The weights of one layer as a file has them, and how a file that does not fit is refused."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfcnn.errors import BadInput, first_line

FORMATS = ".keras, .h5, .safetensors or .npz"


class Stored(NamedTuple):
    """The weights of one layer of the source: its name there, and arrays in Keras' layout by Keras' names."""

    name: str
    arrays: dict[str, np.ndarray]


def misfit(weights: str, arch: str, what: str) -> BadInput:
    return BadInput(f"'{weights}' does not fit {arch}: {what}; nothing was loaded (--weights)")


def shape_text(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else "x".join(map(str, shape))


def read_tensors(path: str, values: bool = True) -> dict[str, np.ndarray | None]:
    """The file's arrays by their names; without `values` the names alone, which cost no time."""
    if not Path(path).is_file():
        raise BadInput(f"no weights at '{path}': give imagenet, or a file {FORMATS} (--weights)")
    try:
        if path.endswith(".npz"):
            with np.load(path, allow_pickle=False) as file:
                tensors = {name: file[name] if values else None for name in file.files}
        else:
            from safetensors import safe_open

            with safe_open(path, "numpy") as file:
                tensors = {name: file.get_tensor(name) if values else None for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors raises its own error, which is a bare Exception
        raise BadInput(f"'{path}' cannot be read: {first_line(error)} (--weights)") from error
    return {name.removeprefix("module."): array for name, array in tensors.items()}
