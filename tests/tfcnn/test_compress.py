"""`python -m tfcnn.compress RUN`."""

import json

import numpy as np
import pytest

from tfcnn.compress import describe
from tfcnn.compression import load
from tfcnn.compression.settings import Settings
from tfcnn.config import Config
from tfcnn.evaluate import load_data_of
from tfcnn.files import write_json


@pytest.mark.slow
def test_from_the_run_to_the_folder(finished_run, tmp_path, call_command):
    out = tmp_path / "files"
    flags = ["--sparsity", "0.8", "--bits", "4", "--huffman", "--epochs", "3", "--sensitivity", "--out", out]
    process = call_command("tfcnn.compress", finished_run.path, *flags)
    assert (process.returncode, process.stderr) == (0, "")
    assert {file.name for file in out.iterdir()} == {
        "compression.json",
        "network.json",
        "weights.bin",
        "sensitivity.png",
    }
    result = json.loads((out / "compression.json").read_text())
    assert result["total"]["bytes"] == (out / "weights.bin").stat().st_size
    assert f"{result['total']['bytes']:,} bytes of 246,824" in process.stdout
    assert result["scores"]["network"] == pytest.approx(finished_run.read_metrics()["test_accuracy"])
    assert result["scores"]["compressed"] > 0.9
    model = load(out).model
    kernels = [weight.numpy() for weight in model.weights if weight.path.endswith("kernel")]
    assert sum(map(np.count_nonzero, kernels)) <= np.ceil(0.2 * sum(kernel.size for kernel in kernels))
    assert all(len(np.unique(kernel)) <= 16 for kernel in kernels)
    hits = [
        model.predict_on_batch(inputs).argmax(-1) == targets.numpy().argmax(-1)
        for inputs, targets in load_data_of(finished_run.read_config(), None, None, None).evaluation("test")
    ]
    assert np.concatenate(hits).mean() == pytest.approx(result["scores"]["compressed"])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--sparsity", "1"], "--sparsity must be a number at least 0 and at most 0.999, got '1'"),
        (["--sparsity", "67%"], "--sparsity must be a number"),
        (["--bits", "9"], "--bits must be a whole number at least 1 and at most 8, got '9'"),
        (["--scope", "all"], "unknown scope 'all'; choose from global, layer (--scope)"),
        (["--epochs", "-1"], "--epochs must be a whole number at least 0"),
        (["--lr", "0"], "--lr must be a number above 0"),
    ],
)
def test_bad_flags_are_refused_in_one_line(flags, words, tmp_path, call_command):
    process = call_command("tfcnn.compress", tmp_path, *flags)
    assert (process.returncode, process.stdout, process.stderr.count("\n")) == (2, "", 1)
    assert words in process.stderr


def write_run(path, facts):
    path.mkdir()
    write_json(path / "config.json", facts)
    write_json(path / "metrics.json", {})


def test_the_defaults(tmp_path, call_command, monkeypatch):
    """As the help has them; a third of the epochs are for the shared values."""
    calls = []
    monkeypatch.setattr("tfcnn.compress.compress", lambda run, settings, *rest: calls.append(settings))
    facts = {"task": "classification", "sizes": {"train": 1}}
    write_run(tmp_path / "run", {"config": Config(epochs=7).to_dict(), "data": facts})
    assert call_command("tfcnn.compress", tmp_path / "run", "--out", tmp_path / "out").returncode == 0
    assert calls == [Settings(0.67, 6, huffman=False, scope="global", epochs=7, sharing_epochs=3, rate=None)]


def test_scores_and_sizes_as_text():
    total = {"bytes": 50, "float32": 1000, "ratio": 20.0, "gzip": 800, "gzip_after": 100}
    lines = describe({"test_examples": 360, "scores": {"network": 0.9926, "pruned": 0.99}, "total": total}).splitlines()
    assert lines[1:3] == ["network     99.26%", "pruned      99.00%"]
    assert lines[3] == "size        50 bytes of 1,000: 20.0x"
    assert lines[4] == "gzip        of the plain file 1.2x, of the compressed network's plain file 10.0x"


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("data", "task", "segmentation", "is for segmentation; this command takes runs for classification"),
        ("data", "sizes", {"train": 0, "validation": 0, "test": 0}, "was not trained on data"),
    ],
)
def test_other_runs_are_refused(section, key, value, words, tmp_path, call_command):
    run = tmp_path / "run"
    facts = {"config": Config().to_dict(), "data": {"task": "classification", "sizes": {"train": 1}}}
    facts[section][key] = value
    write_run(run, facts)
    process = call_command("tfcnn.compress", run, "--out", tmp_path / "out")
    assert (process.returncode, process.stderr.count("\n")) == (2, 1)
    assert words in process.stderr
    assert not (tmp_path / "out").exists()
