import datetime
import errno
import os
import signal
import subprocess
import sys

import pytest

from tfcnn import run_directory
from tfcnn.errors import BadInput, TrainingFailed
from tfcnn.files import write_json, writing
from tfcnn.run_directory import RunDirectory, default_path


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with writing(path) as draft:
        draft.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    with pytest.raises(IsADirectoryError), writing(path) as draft:
        draft.write_text("ha") and tmp_path.write_text("fails")
    assert path.read_text() == "whole"
    assert [file.name for file in path.parent.iterdir()] == ["file.txt"]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "model"
    for content in ("old", "new"):
        with writing(path) as draft:
            draft.mkdir()
            (draft / content).write_text(content)
    assert [file.name for file in path.iterdir()] == ["new"]
    with pytest.raises(FileExistsError), writing(path) as draft:
        [draft.mkdir() for _ in range(2)]
    assert [file.name for file in path.iterdir()] == ["new"]
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_history_round_trip(tmp_path):
    run = RunDirectory(tmp_path)
    assert run.read_history() == []
    rows = [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": 1e-9}]
    run.write_history(rows)
    assert run.read_history() == rows


def test_default_path_is_free(tmp_path, monkeypatch):
    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 2, 3, 4, 5)

    monkeypatch.setattr(run_directory.datetime, "datetime", Clock)
    monkeypatch.chdir(tmp_path)
    first = default_path("mobilenet", "emnist/letters")
    assert str(first) == "runs/mobilenet-emnist-letters-20260102-030405"
    first.mkdir(parents=True)
    assert str(default_path("mobilenet", "emnist/letters")) == f"{first}-2"


def test_an_empty_folder_may_become_a_run(tmp_path):
    RunDirectory(tmp_path).check_new()


def test_unreadable_json_is_named(tmp_path):
    run = RunDirectory(tmp_path)
    write_json(run.config, {"a": 1})
    assert RunDirectory.opened(tmp_path).read_config() == {"a": 1}
    run.config.write_text("{")
    with pytest.raises(BadInput, match=r"config.json' is not readable JSON"):
        run.read_config()


def test_a_run_that_is_not_finished(tmp_path):
    run = RunDirectory(tmp_path)
    write_json(run.config, {})
    with pytest.raises(BadInput, match=r"is not finished; tfcnn.train --resume --out"):
        run.check_trained()


HOLDER = """
import sys, time
from tfcnn.run_directory import RunDirectory
with RunDirectory(sys.argv[1]).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_directory_in_use_is_refused_and_the_process_named(tmp_path):
    run, command = RunDirectory(tmp_path), [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        for attempt in (run.check_new, run.check_free, run.locked().__enter__):
            with pytest.raises(BadInput, match=rf"process {holder.pid} trains into '.*'; wait .* another --out"):
                attempt()
        holder.send_signal(signal.SIGKILL)  # the kernel lets go, the file stays
    assert run.lock.exists()
    run.check_new()
    with run.locked():
        assert run.lock.read_text() == str(os.getpid())
        with pytest.raises(BadInput, match=f"process {os.getpid()} "):
            RunDirectory(tmp_path).check_free()
    assert not run.lock.exists()
    run.check_free()


def test_two_runs_of_one_second_get_two_directories(tmp_path, monkeypatch):
    from tfcnn import train
    from tfcnn.config import Config

    monkeypatch.chdir(tmp_path)
    taken = RunDirectory(tmp_path / "runs" / "a")  # free when its name was chosen, and taken since
    taken.make()
    taken.config.write_text("{}")
    found = train.make_directory(Config(arch="lenet5"), taken)
    assert found.path.is_dir()
    assert found.path != taken.path
    with pytest.raises(BadInput, match="exists already"):
        train.make_directory(Config(arch="lenet5", out=str(taken.path)), taken)


def test_a_directory_that_another_process_makes_meanwhile_is_not_shared(tmp_path, monkeypatch):
    monkeypatch.setattr(RunDirectory, "check_new", lambda run: None)
    monkeypatch.setattr(run_directory.Path, "exists", lambda path: False)
    with pytest.raises(FileExistsError):
        RunDirectory(tmp_path).make()


def test_a_full_disk_is_told_in_one_line(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def write(text):
        with writing(path) as draft:
            draft.write_text(text)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(TrainingFailed, match="file' cannot be written: No space left on device after 3 bytes"):
        write("new")
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_drafts_of_a_killed_process_are_removed(tmp_path):
    for name in (".draft-12-model.keras", ".old-12-saved_model"):
        (tmp_path / name).mkdir()
    (tmp_path / ".mine").touch()
    RunDirectory(tmp_path).remove_drafts()
    assert [file.name for file in tmp_path.iterdir()] == [".mine"]
