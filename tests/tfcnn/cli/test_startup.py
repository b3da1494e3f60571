"""The import of TensorFlow: quiet, and loud where it fails."""

import importlib
import os
import subprocess
import sys
import tempfile

import pytest

from pipelines.errors import BadData
from pipelines.startup import hidden
from tfcnn.cli.startup import import_tensorflow

pytestmark = pytest.mark.slow


def test_an_error_is_the_only_line_after_tensorflows_import(tmp_path, run_command):
    process = run_command("tfcnn.train", "--arch-args", "widht=2", cwd=tmp_path)
    assert (process.returncode, process.stdout, process.stderr.count("\n")) == (2, "", 1)
    assert "unknown argument of mobilenet 'widht'; did you mean width" in process.stderr


def test_another_backend_is_refused(run_command):
    process = run_command("tfcnn.describe", KERAS_BACKEND="jax")
    assert process.returncode == 2
    assert "KERAS_BACKEND is 'jax': unset it" in process.stderr


def test_a_failing_import_shows_its_messages(tmp_path):
    (tmp_path / "keras.py").write_text("import sys; print('a library is missing', file=sys.stderr); raise OSError('x')")
    process = subprocess.run(
        [sys.executable, "-c", "from tfcnn.cli.startup import import_tensorflow; import_tensorflow()"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{os.getcwd()}"},
    )
    assert process.returncode == 1
    assert "a library is missing" in process.stderr


def test_no_room_in_any_temporary_folder(monkeypatch):
    """As on a full disk: Python then finds no folder for temporary files."""

    def refuse():
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(tempfile, "gettempdir", refuse)
    with pytest.raises(BadData, match="no folder for temporary files can be written: make room, or set TMPDIR"):
        import_tensorflow()


COMMAND = """
import sys
from tfcnn.cli.parser import run_main
from tfcnn.cli.startup import UNUSED, import_tensorflow

def main():
    import_tensorflow()
    print([name for name in UNUSED if name in sys.modules])
    import matplotlib.pyplot, sklearn
    print(matplotlib.__name__, sklearn.__name__)

sys.exit(run_main(main))
"""


def test_a_command_imports_no_package_that_it_does_not_use():
    process = subprocess.run([sys.executable, "-c", COMMAND], capture_output=True, text=True)
    assert (process.returncode, process.stdout) == (0, "[]\nmatplotlib sklearn\n")


def test_hidden_packages_are_there_afterwards(tmp_path, monkeypatch):
    (tmp_path / "not_imported_yet.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with hidden(["not_imported_yet", "sys"]):
        with pytest.raises(ImportError):
            importlib.import_module("not_imported_yet")
        assert importlib.import_module("sys") is sys
    assert importlib.import_module("not_imported_yet").__file__ == str(tmp_path / "not_imported_yet.py")
