"""`tfcnn.export RUN --format ...`: files that answer as their network, a report, and nothing replaced by a bad file."""

import contextlib
import io
import json
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from onnx import numpy_helper
from sklearn.datasets import load_digits

import tfcnn
from tfcnn.cli.parser import run_main
from tfcnn.export import __main__ as command
from tfcnn.export import comparison

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scans():
    """Real scans, uint8 at the network's size, each pixel a block."""
    images = np.round(load_digits().images[:40] * (255 / 16)).astype(np.uint8)
    return np.kron(images, np.ones((4, 4), np.uint8))[..., None]


@pytest.fixture(scope="module")
def exported(finished_run, tmp_path_factory):
    """The folder of `--format savedmodel,litert,onnx`, and what the command printed."""
    folder = tmp_path_factory.mktemp("exported") / "files"
    return folder, export(finished_run.path, "savedmodel,litert,onnx", folder)


def export(run, formats, folder, *flags):
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output):
        patch.setattr(sys, "argv", ["export", str(run), "--format", formats, "--out", str(folder), *flags])
        assert run_main(command.main) == 0
    return output.getvalue()


def run_litert(path, images):
    """The probabilities of each image, through the interpreter's tensors."""
    interpreter = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN)
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner("serve")
    return np.concatenate([runner(images=image[None])["probabilities"] for image in images])


def run_onnx(path, images):
    session = onnxruntime.InferenceSession(path)
    return session.run(["probabilities"], {"images": images})[0]


def test_raw_scans_get_the_answer_of_the_run(exported, finished_run, scans):
    folder, _ = exported
    expected = tfcnn.load(finished_run.path).predict(scans)
    np.testing.assert_allclose(run_litert(folder / "model.tflite", scans), expected, atol=1e-5)
    np.testing.assert_allclose(run_onnx(folder / "model.onnx", scans), expected, atol=1e-5)


def test_the_report(exported, finished_run):
    folder, printed = exported
    report = json.loads((folder / "export.json").read_text())
    assert [row["format"] for row in report["files"]] == ["savedmodel", "litert", "onnx"]
    assert report["examples"] == "360 test examples"
    for row in report["files"]:
        assert row["difference"] < 1e-5
        assert row["score"] == pytest.approx(finished_run.read_metrics()["test_accuracy"], abs=0.006)
        assert f"{row['bytes']:,}" in printed
    assert {file.name for file in folder.iterdir()} == {"saved_model", "model.tflite", "model.onnx", "export.json"}


@pytest.mark.parametrize("quantize", ["float16", "dynamic", "int8"])
def test_quantized_files_are_smaller_and_as_good(quantize, exported, finished_run, scans, tmp_path):
    folder, _ = exported
    export(finished_run.path, "litert,onnx", tmp_path / "files", "--quantize", quantize)
    expected = tfcnn.load(finished_run.path).predict(scans).argmax(-1)
    for name, run in (("model.tflite", run_litert), ("model.onnx", run_onnx)):
        assert (tmp_path / "files" / name).stat().st_size < 0.7 * (folder / name).stat().st_size
        assert (run(tmp_path / "files" / name, scans).argmax(-1) == expected).mean() >= 0.95
    if quantize == "int8":
        assert 60 < largest_int8(tmp_path / "files" / "model.onnx") <= 64


def largest_int8(path):
    """The largest weight of a file: of 7 bits, since sums of products of 8 bits saturate on x86 without VNNI."""
    weights = [numpy_helper.to_array(array) for array in onnx.load(path).graph.initializer]
    return max(np.abs(array.astype(int)).max() for array in weights if array.dtype == np.int8 and array.ndim > 1)


def test_a_file_beyond_its_bound_replaces_nothing(exported, finished_run, call_command, monkeypatch):
    folder, _ = exported
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    monkeypatch.setattr(comparison, "LARGEST_DIFFERENCE", 0)
    process = call_command("tfcnn.export.__main__", finished_run.path, "--format", "onnx", "--out", folder)
    assert process.returncode == 3
    assert process.stderr.startswith("error: the file of onnx is not good: its outputs differ by ")
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    assert list(folder.parent.iterdir()) == [folder]
