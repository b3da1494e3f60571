"""Files that are refused before any of their bytes is read."""

import shlex
import subprocess
import sys

import pytest

from tfcnn.errors import BadInput
from tfcnn.weights.formats import check_weights
from tfcnn.weights.stored import read_tensors


@pytest.mark.parametrize("name", ["a.pth", "a.PT", "a.bin", "a.ckpt", "a.pth.tar"])
def test_a_pytorch_checkpoint_is_refused_with_the_line_that_converts_it(name, tmp_path):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(BadInput, match=r"is a PyTorch checkpoint, .*: python -c .*torch.load.*a\.safetensors'\)\"$"):
        check_weights(str(tmp_path / name))


@pytest.mark.parametrize("name", ["a.onnx", "a", "a.weights"])
def test_another_suffix_is_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(BadInput, match=r"is no .keras, .h5, .safetensors or .npz file \(--weights\)"):
        check_weights(str(tmp_path / name))


def test_imagenet_is_no_file():
    check_weights("imagenet")


def test_the_command_refuses_a_checkpoint_at_once(tmp_path, run_command):
    (tmp_path / "a.pth").write_bytes(b"")
    done = run_command("tfcnn.train", "--weights", tmp_path / "a.pth", "--out", tmp_path / "run")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.torch
@pytest.mark.parametrize("wrap", [dict, lambda tensors: {"state_dict": tensors, "epoch": 3}])
def test_the_line_converts_a_checkpoint(wrap, tmp_path):
    import torch

    tensors = torch.nn.Sequential(torch.nn.Linear(2, 3)).state_dict()
    torch.save(wrap(tensors), tmp_path / "a.pth")
    with pytest.raises(BadInput) as refusal:
        check_weights(str(tmp_path / "a.pth"))
    command = shlex.split(str(refusal.value).partition("of it: ")[2])
    subprocess.run([sys.executable, *command[1:]], check=True)
    assert set(read_tensors(str(tmp_path / "a.safetensors"))) == {"0.weight", "0.bias"}
