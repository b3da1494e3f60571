"""Shared fixtures. Prepared data sets go to a folder of the test session, not to the user's."""

import importlib.util
import logging
import os
import subprocess
import sys
import tempfile

import pytest

os.environ["TFDS_DATA_DIR"] = tempfile.mkdtemp(prefix="tfcnn-test-data-")

from tfcnn.cli.startup import import_tensorflow

import_tensorflow()


def pytest_collection_modifyitems(config, items):
    """Leaves out the tests against PyTorch where it is not installed: `make test-torch` installs it and runs them."""
    if importlib.util.find_spec("torch") is None:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("torch")])
        items[:] = [item for item in items if not item.get_closest_marker("torch")]


@pytest.fixture(autouse=True)
def nothing_that_autograph_cannot_read():
    """TensorFlow warns of such a function, in whose tensors `if` is then Python's, where a user would read it."""
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage()[:200])
    logging.getLogger("tensorflow").addHandler(handler)
    yield
    logging.getLogger("tensorflow").removeHandler(handler)
    assert not [line for line in said if "AutoGraph could not transform" in line]


@pytest.fixture
def own_data_dir(tmp_path_factory, monkeypatch):
    """What is prepared and looked at in this test is kept for it alone."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path_factory.mktemp("data")))


@pytest.fixture
def run_command():
    """Runs `python -m MODULE ARGUMENTS...` in a process of its own; returns it with stdout and stderr as text."""

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


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A finished run: lenet5 on digits, eight epochs."""
    from tfcnn import train
    from tfcnn.config import Config

    path = tmp_path_factory.mktemp("trained") / "run"
    return train.run(Config(arch="lenet5", epochs=8, out=str(path)))
