"""Names of tensors without what wrappers put before them."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from tfcnn.weights.stored import read_tensor_names, read_tensors, shared_prefix

NAMES = ["conv1.weight", "fc.bias"]


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.", "backbone.", "module._orig_mod.model."])
@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_prefixes_that_all_names_share_are_left_out(prefix, suffix, tmp_path):
    path = str(tmp_path / f"weights{suffix}")
    tensors = {prefix + name: np.full(2, number, "float32") for number, name in enumerate(NAMES)}
    if suffix == ".npz":
        np.savez(path, **tensors)
    else:
        save_file(tensors, path)
    assert read_tensor_names(path) == set(NAMES)
    assert {name: array[0] for name, array in read_tensors(path).items()} == {"conv1.weight": 0, "fc.bias": 1}


@pytest.mark.parametrize("names", [["model.conv1.weight", "fc.bias"], ["features.0.weight", "features.1.bias"], []])
def test_what_not_all_names_share_is_no_prefix(names):
    assert shared_prefix(names) == ""
