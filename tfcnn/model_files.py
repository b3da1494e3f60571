"""Models in Keras' files, with the layers of this package: `tfcnn.load_model("model.keras")`."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tfcnn.errors import BadInput, first_line

if TYPE_CHECKING:
    import keras

SUFFIXES = (".keras", ".h5")
UNKNOWN = re.compile(r"Could not locate (\w+) '([^']+)'")  # Keras' words for what nobody has registered

# Keras is imported in functions: a path that is no model is refused without the wait for it.


def load_model(path: str | os.PathLike, *, compile: bool = True) -> keras.Model:
    """The model in a file that `model.save` wrote, with layers of Keras and of `tfcnn.layers`.

    It loads in Keras' safe mode, which runs no code of the file. Keras' own `keras.saving.load_model` reads the same
    files once `tfcnn.layers` is imported. A run has more than its model: `tfcnn.load("runs/RUN")`.

    Args:
        path: of a `.keras` file, or of an `.h5` file that holds a whole model.
        compile: also restore the optimiser, loss and metrics that it was compiled with.

    Raises:
        BadInput: no such file, one that cannot be read, or one with code or with layers of other packages.

    Example:
        >>> import tfcnn
        >>> tfcnn.load_model("runs/RUN/model.keras")  # doctest: +SKIP
        <Functional name=mobilenet, built=True>
    """
    path = Path(path)
    if (path / "model.keras").is_file():
        raise BadInput(f"'{path}' is a run directory: load '{path / 'model.keras'}', or all of it by tfcnn.load")
    if not path.is_file():
        raise BadInput(f"no file '{path}': load_model takes a {' or '.join(SUFFIXES)} file")
    if path.suffix.lower() not in SUFFIXES:
        raise BadInput(f"'{path}' is no {' or '.join(SUFFIXES)} file, which are what load_model takes")
    register()
    import keras

    try:
        with in_lower_case(path) as file:
            return keras.saving.load_model(file, compile=compile, safe_mode=True)
    except Exception as error:  # Keras, h5py and zipfile have one for each kind of damage
        raise BadInput(f"'{path}' cannot be loaded: {explain(error)}") from error


def register() -> None:
    """Register with Keras what a saved model of this package may hold."""
    import tfcnn.layers
    import tfcnn.losses
    import tfcnn.metrics
    import tfcnn.models.classification.lenet  # noqa: F401  (its activation)


def explain(error: Exception) -> str:
    """Why Keras cannot load a file, in one line.

    >>> explain(TypeError("Could not locate class 'Swish'. Make sure custom classes ..."))
    "it has the class 'Swish', which neither Keras nor tfcnn has; import the package that registers it first"
    """
    match = UNKNOWN.search(str(error))
    if match is None:
        return first_line(error)
    kind, name = match.groups()
    return f"it has the {kind} '{name}', which neither Keras nor tfcnn has; import the package that registers it first"


@contextlib.contextmanager
def in_lower_case(path: str | os.PathLike) -> Iterator[str]:
    """A path of the same file whose name is in lower case: Keras knows its formats by that."""
    path = Path(path)
    if path.name == path.name.lower():
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        alias = Path(folder) / path.name.lower()
        try:
            alias.symlink_to(path.absolute())
        except OSError:  # Windows allows links to administrators alone
            shutil.copyfile(path, alias)
        yield str(alias)


def in_float32(model: keras.Model) -> keras.Model:
    """The model, or a copy with the same weights whose layers compute in float32."""

    def has_float32(layer: keras.Operation) -> bool:
        return getattr(layer, "compute_dtype", None) in ("float32", None)

    def recast(layer: keras.Operation) -> keras.Operation | None:
        return None if has_float32(layer) else type(layer).from_config(layer.get_config() | {"dtype": "float32"})

    if all(map(has_float32, model._flatten_layers())):
        return model
    return replace_layers(model, recast)


def replace_layers(model: keras.Model, replace: Callable[[keras.Operation], keras.Operation | None]) -> keras.Model:
    """A copy of a model with the same weights, some of whose layers are others; the model, if none is.

    Args:
        model: functional.
        replace: the layer that stands for one, with the same weights in the same order; None: a copy of itself.
    """
    import keras

    replaced = False

    def copy(layer: keras.Operation) -> keras.Operation:
        nonlocal replaced
        other = replace(layer)
        replaced |= other is not None
        return type(layer).from_config(layer.get_config()) if other is None else other

    clone = keras.models.clone_model(model, clone_function=copy, recursive=True)
    if not replaced:
        return model
    clone.set_weights(model.get_weights())
    return clone
