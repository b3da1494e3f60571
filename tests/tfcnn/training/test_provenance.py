"""The origin of a run's numbers."""

import datetime
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfcnn.training import provenance


@pytest.fixture
def checkout(tmp_path):
    """A folder with an __init__.py in the first commit of a repository, whose name is in `.commit`."""

    def git(*arguments):
        who = ["-c", "user.name=A", "-c", "user.email=a@b"]
        command = ["git", *who, *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    git("tag", "v1")  # whose name must not replace the commit
    return tmp_path, git("rev-parse", "HEAD")


@pytest.mark.slow
def test_the_commit_of_the_source(checkout):
    folder, commit = checkout
    assert provenance.commit(folder / "package") == commit
    (folder / "package" / "__init__.py").write_text("changed")
    assert provenance.commit(folder / "package") == f"{commit}-dirty"


@pytest.mark.slow
def test_files_outside_git_have_no_commit(checkout, tmp_path_factory, monkeypatch):
    installed = checkout[0] / "site-packages"
    installed.mkdir()
    (installed / "__init__.py").write_text("")
    assert provenance.commit(installed) is None
    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))
    assert provenance.commit(checkout[0] / "package") is None


def test_the_command_can_be_pasted_into_a_shell(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["/a b/python3", "-m", "tfcnn.train", "--dataset", "my photos"])
    command = provenance.provenance(1.0)["command"]
    assert command == "python -m tfcnn.train --dataset 'my photos'"
    assert shlex.split(command)[-1] == "my photos"


def test_times_are_in_utc_and_as_far_apart_as_the_run_took():
    facts = provenance.provenance(90.04)
    started, finished = (datetime.datetime.fromisoformat(facts[name]) for name in ("started", "finished"))
    assert finished - started in (datetime.timedelta(seconds=90), datetime.timedelta(seconds=91))
    assert finished.utcoffset() == datetime.timedelta(0)
    assert abs(datetime.datetime.now(datetime.UTC) - finished) < datetime.timedelta(minutes=1)
    assert facts["seconds"] == 90.0


@pytest.mark.slow
def test_peak_memory_counts_what_was_freed_again():
    before = provenance.provenance(0)["peak_memory_mib"]
    np.ones(200 << 17)  # 200 MiB, freed at once
    high = int(next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line).split()[1])
    after = provenance.provenance(0)["peak_memory_mib"]
    assert after >= before
    assert after == pytest.approx(high / 1024, rel=0.02)


@pytest.mark.slow
def test_peak_memory_is_not_that_of_the_process_that_started_this_one():
    np.ones(200 << 17)
    script = "from tfcnn.training.provenance import peak_memory; print(peak_memory())"
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(child.stdout) < 150 < 200 < provenance.peak_memory()


def test_a_cpu_in_words():
    cores = len(os.sched_getaffinity(0))
    assert f", {cores} core" in provenance.device()


def test_gpus_in_words_and_their_memory(monkeypatch):
    class Card:
        name = "/physical_device:GPU:0"

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [Card(), Card()])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"device_name": "NVIDIA H200"})
    monkeypatch.setattr(
        tf.config.experimental,
        "get_memory_info",
        lambda name: {"current": 0, "peak": 3 << 20} if name == "GPU:0" else 0,
    )
    assert provenance.device() == "2 of NVIDIA H200"
    assert provenance.provenance(0)["peak_gpu_memory_mib"] == 3
