"""The fixture `clone`."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def clone(tmp_path_factory):
    """A copy of what the repository holds."""
    path = tmp_path_factory.mktemp("clone") / "tfcnn"
    shutil.copytree(ROOT, path, ignore=shutil.ignore_patterns(".*", "runs", "build", "site", "__pycache__"))
    return path
