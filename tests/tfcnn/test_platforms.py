"""Systems without the Unix modules of the standard library, as Windows: simulated by imports that fail."""

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT_UNIX = """
import sys, warnings
import psutil  # its part for Linux needs what is hidden here
warnings.simplefilter("ignore")  # filelock says that its lock is a soft one here
sys.modules["fcntl"] = None
sys.modules["resource"] = None
import os
for name in ("sched_getaffinity", "setsid"):
    delattr(os, name)
from tfcnn import train
from tfcnn.config import Config
from tfcnn.export import savedmodel
savedmodel.export_savedmodel = lambda *arguments: None
run = train.run(Config(arch="lenet5", width=0.25, epochs=1, warmup_epochs=0, out=sys.argv[1]))
assert run.read_metrics()["device"]
assert not run.lock.exists()
"""


@pytest.mark.slow
def test_a_run_without_the_modules_of_unix(tmp_path):
    command = [sys.executable, "-c", WITHOUT_UNIX, str(tmp_path / "run")]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr


def test_the_peak_of_memory_without_the_module_resource(monkeypatch):
    """psutil tells it on Windows alone: 0 elsewhere. Linux has it in a file."""
    from tfcnn.training.provenance import provenance

    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: path != Path("/proc/self/status") and exists(path))
    monkeypatch.setitem(sys.modules, "resource", None)
    assert provenance(1.0)["peak_memory_mib"] == 0
