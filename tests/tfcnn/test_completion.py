"""Completion of the script `tfcnn`, asked of bash itself."""

import shutil
import subprocess

import pytest

from tfcnn.__main__ import NAMES
from tfcnn.models import registry

bash = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """A function that returns what bash offers for the last word of a line."""
    pytest.importorskip("shtab")
    from tfcnn.__main__ import COMMANDS
    from tfcnn.completion import completion_script

    file = tmp_path_factory.mktemp("completion") / "tfcnn.bash"
    file.write_text(completion_script("bash", COMMANDS))

    def complete(*words):
        script = (
            f"source {file}; COMP_WORDS=({' '.join(map(repr, words))}); COMP_CWORD={len(words) - 1}; "
            'COMP_LINE="${COMP_WORDS[*]}"; _shtab_tfcnn; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        process = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        return process.stdout.split()

    return complete


@bash
@pytest.mark.slow
def test_bash_completes(complete):
    assert set(complete("tfcnn", "")) == set(NAMES)
    assert complete("tfcnn", "train", "--print-c") == ["--print-config"]
    assert complete("tfcnn", "train", "--aug") == []
    assert complete("tfcnn", "train", "--sched", "c") == ["cosine", "constant"]
    assert complete("tfcnn", "train", "--model", "unet") == [name for name in registry.ARCHS if name.startswith("unet")]


def test_an_unknown_shell_is_refused(call_command):
    process = call_command("tfcnn.__main__", "--print-completion", "csh")
    assert process.returncode == 2
    assert process.stderr.startswith("error: unknown shell 'csh'; did you mean ")


def test_without_shtab_its_file_is_named(call_command, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    process = call_command("tfcnn.__main__", "--print-completion", "bash")
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr.endswith("needs shtab: pip install -r requirements-completion.txt\n")
