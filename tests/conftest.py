"""Shared fixtures. Data sets are prepared in a folder of the test session, not in the user's."""

import gc
import importlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" not in os.environ:  # the workers inherit the folder: each data set is prepared once
    os.environ["TFDS_DATA_DIR"] = os.path.join(tempfile.mkdtemp(prefix="tfcnn-tests-"), "data")

from tfcnn.cli.startup import import_tensorflow

import_tensorflow()

SHARED = Path(os.environ["TFDS_DATA_DIR"]).parent  # by the workers

# Collections over the objects of TensorFlow's modules took a tenth of the tests' time.
gc.freeze()
gc.set_threshold(10_000, 20, 20)


def pytest_collection_modifyitems(config, items):
    """Leaves out the tests against PyTorch where it is not installed: `make test-torch` installs it and runs them.

    The main job comes first: it takes a minute, in which one worker would work alone at the end.
    """
    items.sort(key=lambda item: "main_job" not in item.fixturenames if hasattr(item, "fixturenames") else True)
    if importlib.util.find_spec("torch") is None:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("torch")])
        items[:] = [item for item in items if not item.get_closest_marker("torch")]


def pytest_unconfigure(config):
    if "PYTEST_XDIST_WORKER" not in os.environ:
        shutil.rmtree(SHARED, ignore_errors=True)


@pytest.fixture(autouse=True)
def no_autograph_warnings():
    """AutoGraph warns of a function that it cannot transform; an `if` on a tensor in it stays Python's."""
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage()[:200])
    logging.getLogger("tensorflow").addHandler(handler)
    yield
    logging.getLogger("tensorflow").removeHandler(handler)
    assert not [message for message in messages if "AutoGraph could not transform" in message]


@pytest.fixture
def own_data_dir(tmp_path_factory, monkeypatch):
    """A folder of prepared data sets for one test."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path_factory.mktemp("data")))


@pytest.fixture
def run_command():
    """A function that runs `python -m MODULE ARGUMENTS...` and returns the finished process, its output as text."""

    def run(module, *arguments, cwd=None, **environment):
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        return subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd or root,
            env=os.environ | {"PYTHONPATH": root} | environment,
        )

    return run


@pytest.fixture
def call_command(monkeypatch, capsys):
    """As `run_command`, in this process, which has imported TensorFlow."""
    from tfcnn.cli.parser import run_main

    def call(module, *arguments):
        monkeypatch.setattr("sys.argv", [module, *map(str, arguments)])
        code = run_main(importlib.import_module(module).main)
        return subprocess.CompletedProcess(sys.argv, code, *capsys.readouterr())

    return call


@pytest.fixture(autouse=True)
def flags_in_messages():
    """Messages speak of flags, as in the commands, whose functions most tests call."""
    from tfcnn import errors

    with errors.flags_in_messages():
        yield


@pytest.fixture
def no_export(monkeypatch):
    """Runs leave out the SavedModel, whose tracing takes a third of the time of a small one."""
    monkeypatch.setattr("tfcnn.export.savedmodel.export_savedmodel", lambda *arguments: None)


@pytest.fixture(scope="session")
def finished_run():
    """A finished run, LeNet-5 on digits for eight epochs, that no test changes: `run_copy` is for those that write.

    One worker trains it for all.
    """
    from filelock import FileLock

    from tfcnn import train
    from tfcnn.config import Config
    from tfcnn.run_directory import RunDirectory

    path = SHARED / "finished" / "run"
    with FileLock(SHARED / "finished.lock"):
        if not path.exists():
            train.run(Config(arch="lenet5", epochs=8, out=str(path)))
    before = contents(path)
    yield RunDirectory(path)
    assert contents(path) == before


def contents(folder):
    """The files of a folder and what is in them."""
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def run_copy(finished_run, tmp_path):
    """A copy of `finished_run` for one test."""
    from tfcnn.run_directory import RunDirectory

    return RunDirectory(shutil.copytree(finished_run.path, tmp_path / "run"))
