"""The folder of a compressed network: `write` after fine-tuning, `load` for its use."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcnn.cli.startup import import_tensorflow
from tfcnn.errors import BadInput, ExportFailed, first_line
from tfcnn.files import Kind, write_json, writing
from tfcnn.model_files import register
from tfcnn.run_facts import read_facts
from tfcnn.trained import Trained

if TYPE_CHECKING:
    import keras

    from tfcnn.compression.weights_file import Weight

REPORT = "compression.json"
NETWORK = "network.json"
WEIGHTS = "weights.bin"
PICTURE = "sensitivity.png"
LARGEST_FILE = 2**31  # bytes of weights.bin

# Keras and NumPy are imported in functions: a path that is no such folder is refused without the wait for them.


def is_compression(path: Path) -> bool:
    """Whether a path is a folder that `write` wrote, with nothing else in it, or an empty one."""
    if path.is_symlink() or not path.is_dir():
        return False
    entries = list(path.iterdir())
    names = {entry.name for entry in entries}
    plain = all(entry.is_file() and not entry.is_symlink() for entry in entries)
    return plain and names <= {REPORT, NETWORK, WEIGHTS, PICTURE} and (not entries or REPORT in names)


COMPRESSION = Kind("a compressed network", is_compression)


def write(
    path: Path,
    model: keras.Model,
    facts: Mapping[str, Any],
    content: bytes,
    report: dict[str, Any],
    picture: bytes | None = None,
) -> None:
    """Write the folder, whole or not at all; an earlier one at `path` is replaced.

    Args:
        path: of the folder.
        model: as it was evaluated.
        facts: of its data.
        content: of weights.bin.
        report: for compression.json.
        picture: sensitivity.png, if there is one.

    Raises:
        ExportFailed: the files do not give the network back to the bit.
        BadInput: `path` is a folder of other things.
    """
    import keras
    import numpy as np

    network = keras.Model(model.input, model.output, name=model.name)  # without the optimiser and the loss
    with writing(path, replaces=COMPRESSION) as draft:
        draft.mkdir()
        write_json(draft / NETWORK, {"model": keras.saving.serialize_keras_object(network), "data": dict(facts)})
        (draft / WEIGHTS).write_bytes(content)
        write_json(draft / REPORT, report)
        if picture is not None:
            (draft / PICTURE).write_bytes(picture)
        for stored, weight in zip(load(draft).model.weights, model.weights, strict=True):
            if not np.array_equal(stored.numpy().view(np.uint8), weight.numpy().view(np.uint8)):
                raise ExportFailed(
                    f"the file has other values of '{weight.path}' than the network; nothing was written"
                )


def encode(model: keras.Model, huffman: bool) -> tuple[bytes, list[Weight]]:
    """weights.bin of a network whose kernels are shared and whose weights are rounded, and what each weight takes."""
    from tfcnn.compression import weights_file

    paths = [weight.path for weight in model.weights]
    return weights_file.encode(paths, [weight.numpy() for weight in model.weights], huffman)


def load(path: str | os.PathLike) -> Trained:
    """The compressed network in a folder of `tfcnn.compress`, with the standardisation and class names of its run.

    The network is a plain Keras model with the weights that were evaluated, to the bit.

    Raises:
        BadInput: no such folder, or files that are damaged, of one another's or too large for this machine.

    Example:
        >>> trained = load("runs/RUN/compressed")  # doctest: +SKIP
        >>> trained.predict(["photo.jpg"])         # doctest: +SKIP
    """
    folder = Path(path)
    for name in (NETWORK, WEIGHTS):
        if not (folder / name).is_file():
            raise BadInput(f"'{path}' is no folder of tfcnn.compress: it has no {name}")
    facts = read_facts(folder / NETWORK)
    config = facts["model"]
    if (folder / WEIGHTS).stat().st_size > LARGEST_FILE:
        raise BadInput(f"'{folder / WEIGHTS}' has more than {LARGEST_FILE:,} bytes")
    import_tensorflow()
    from tfcnn import cost
    from tfcnn.compression import weights_file

    with cost.weightless():
        shapes = [tuple(weight.shape) for weight in _build(config, folder / NETWORK).weights]
    _check_memory(shapes, folder / NETWORK)
    try:
        weights = weights_file.decode((folder / WEIGHTS).read_bytes(), shapes)
    except ValueError as error:
        raise BadInput(f"'{folder / WEIGHTS}' cannot be used: {error}") from error
    model = _build(config, folder / NETWORK)
    model.set_weights(weights)
    return Trained(model, facts["data"])


def _build(config: Any, path: Path) -> keras.Model:
    """The network of a Keras configuration, which may be of any kind. Raises BadInput."""
    import keras

    register()
    try:
        model = keras.saving.deserialize_keras_object(copy.deepcopy(config), safe_mode=True)  # which empties it
    except Exception as error:  # Keras has one for each kind of damage
        raise BadInput(f"'{path}' holds no network that can be built: {first_line(error)[:200]}") from error
    if not isinstance(model, keras.Model) or not model.built:
        raise BadInput(f"'{path}' holds no network that can be built: it is of type {type(model).__name__}")
    return model


def _check_memory(shapes: Sequence[Sequence[int]], path: Path) -> None:
    """Raises BadInput where the weights exceed the memory of this machine."""
    import psutil

    needed = 8 * sum(map(math.prod, shapes))  # as arrays and as variables
    if needed > psutil.virtual_memory().total:
        raise BadInput(f"the network in '{path}' takes {needed / 2**30:,.0f} GiB, more than this machine's memory")
