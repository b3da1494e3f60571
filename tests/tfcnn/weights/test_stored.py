"""Names of tensors without what wrappers put before them."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from tfcnn.weights.stored import averaged_part, read_tensor_names, read_tensors, unwrap

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
    assert unwrap(names) == ("", names)


@pytest.mark.parametrize("prefix", ["state_dict_ema.", "model_ema.module.", "ema.", "ema.module.", "module.ema_model."])
def test_averaged_weights_are_taken_before_others(prefix, tmp_path):
    """As timm's checkpoints, PyTorch's AveragedModel and others name them; the counters are no weights."""
    root = "module." if prefix.startswith("module.") else ""
    tensors = {f"{root}model.{name}": np.zeros(2, "float32") for name in NAMES}
    tensors |= {f"{prefix}{name}": np.ones(2, "float32") for name in NAMES}
    tensors[f"{prefix.removesuffix('module.')}n_averaged"] = np.array(7)
    save_file(tensors, tmp_path / "weights.safetensors")
    averages = read_tensors(str(tmp_path / "weights.safetensors"))
    assert {name: array[0] for name, array in averages.items()} == {"conv1.weight": 1, "fc.bias": 1}


@pytest.mark.parametrize(("others", "part"), [(["model.fc.bias"], "ema.module."), (["n_averaged"], ""), ([], "")])
def test_a_file_of_averaged_and_other_weights_names_the_part_that_is_taken(others, part, tmp_path):
    tensors = {name: np.zeros(2, "float32") for name in ["ema.module.fc.bias", *others]}
    save_file(tensors, tmp_path / "weights.safetensors")
    assert averaged_part(str(tmp_path / "weights.safetensors")) == part


def test_a_suffix_in_capitals_is_the_same_format(tmp_path):
    save_file({"fc.bias": np.zeros(2, "float32")}, tmp_path / "WEIGHTS.SAFETENSORS")
    np.savez(tmp_path / "weights.npz", **{"fc.bias": np.zeros(2)})
    (tmp_path / "weights.npz").rename(tmp_path / "WEIGHTS.NPZ")
    for path in tmp_path.iterdir():
        assert read_tensor_names(str(path)) == {"fc.bias"}
