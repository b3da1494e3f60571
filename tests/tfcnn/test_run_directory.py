import datetime
import os
import resource
import subprocess
import sys

import pytest

from tfcnn import run_directory, train
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.files import write_json
from tfcnn.run_directory import RunDirectory, default_path


def test_history_round_trip(tmp_path):
    run = RunDirectory(tmp_path)
    assert run.read_history() == []
    rows = [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": 1e-9}]
    run.write_history(rows)
    assert run.read_history() == rows


def test_a_speed_that_was_not_measured_is_empty(tmp_path):
    run = RunDirectory(tmp_path)
    rows = [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0, "images_per_second": 50.0}]
    run.write_history(rows)
    assert run.history.read_text().split() == ["epoch,loss,images_per_second", "1,2.0,", "2,1.0,50.0"]
    assert run.read_history() == rows


def test_another_empty_cell_is_damage(tmp_path):
    run = RunDirectory(tmp_path)
    run.history.write_text("epoch,loss,images_per_second\n1,,50.0\n")
    with pytest.raises(BadInput, match="is damaged"):
        run.read_history()


def test_metrics_of_a_run_whose_speed_was_not_measured(tmp_path):
    run = RunDirectory(tmp_path)
    write_json(run.metrics, {"images_per_second": None, "seconds": 3.0})
    assert run.read_metrics()["images_per_second"] is None
    write_json(run.metrics, {"images_per_second": 5.0, "seconds": None})
    with pytest.raises(BadInput, match="seconds is 'None'"):
        run.read_metrics()


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


@pytest.mark.parametrize(
    ("dataset", "name"),
    [("hf:somebody/photos", "hf-somebody-photos"), ("data/train-*.tfrecord", "data-train-.tfrecord")],
)
def test_default_path_has_no_signs_of_patterns(dataset, name):
    assert default_path("mobilenet", dataset).name.startswith(f"mobilenet-{name}-2")


def test_an_empty_folder_may_become_a_run(tmp_path):
    RunDirectory(tmp_path).check_new()


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may run as root, who may write anywhere
    with pytest.raises(BadInput, match="is not a writable folder"):
        train.run(Config(out=str(tmp_path / "locked" / "run")))
    assert not (tmp_path / "locked").exists()


def test_the_config_is_read(tmp_path):
    write_json(RunDirectory(tmp_path).config, {"a": 1})
    assert RunDirectory.open(tmp_path).read_config() == {"a": 1}


def test_a_run_that_is_not_finished(tmp_path):
    run = RunDirectory(tmp_path)
    write_json(run.config, {})
    with pytest.raises(BadInput, match=r"is not finished; continue it: python -m tfcnn.train --resume --out"):
        run.check_finished()


HOLDER = """
import sys, time
from tfcnn.run_directory import RunDirectory
with RunDirectory(sys.argv[1]).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that trains into `tmp_path`."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("check", ["check_new", "check_free", "locked"])
def test_a_directory_in_use_is_refused_and_the_process_named(check, tmp_path, holder):
    run = RunDirectory(tmp_path)
    attempt = run.locked().__enter__ if check == "locked" else getattr(run, check)
    with pytest.raises(BadInput, match=rf"process {holder.pid} trains into '.*'; wait .* another --out"):
        attempt()


@pytest.mark.slow
def test_the_lock_of_a_killed_process_does_not_count(tmp_path, holder):
    run = RunDirectory(tmp_path)
    holder.kill()
    holder.wait()
    assert run.lock.exists()  # the kernel unlocks the file, and leaves it
    run.check_new()
    with run.locked():
        assert run.holder.read_text() == str(os.getpid())


def test_the_lock_is_removed_with_its_context(tmp_path):
    run = RunDirectory(tmp_path)
    with run.locked(), pytest.raises(BadInput, match=f"process {os.getpid()} "):
        RunDirectory(tmp_path).check_free()
    assert list(tmp_path.iterdir()) == []
    run.check_free()


def test_two_runs_of_one_second_get_two_directories(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = RunDirectory(tmp_path / "runs" / "a")  # free when its name was chosen
    first.make()
    first.config.write_text("{}")
    directory = train.make_directory(Config(arch="lenet5"), first)
    assert directory.path.is_dir()
    assert directory.path != first.path
    with pytest.raises(BadInput, match="exists already"):
        train.make_directory(Config(arch="lenet5", out=str(first.path)), first)


def test_a_directory_that_another_process_makes_meanwhile_is_not_shared(tmp_path, monkeypatch):
    monkeypatch.setattr(RunDirectory, "check_new", lambda run: None)
    monkeypatch.setattr(run_directory.Path, "exists", lambda path: False)
    with pytest.raises(FileExistsError):
        RunDirectory(tmp_path).make()


def test_the_holder_of_the_lock_removes_drafts_of_a_killed_process(tmp_path):
    for name in (".draft-12-model.keras", ".old-12-saved_model", "saved_model"):
        (tmp_path / name).mkdir()
    (tmp_path / ".mine").touch()
    with RunDirectory(tmp_path).locked():
        pass
    assert sorted(file.name for file in tmp_path.iterdir()) == [".mine", "saved_model"]


def test_an_export_killed_between_its_renames_is_undone(tmp_path):
    old = tmp_path / ".old-12-saved_model"
    old.mkdir()
    (old / "saved_model.pb").write_bytes(b"old")
    (tmp_path / ".draft-12-saved_model").mkdir()
    run = RunDirectory(tmp_path)
    with run.locked():
        assert (run.saved_model / "saved_model.pb").read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["saved_model"]


def test_a_full_disk_names_the_lock(tmp_path):
    run = RunDirectory(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            run.locked().__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(run.holder)
    assert list(tmp_path.iterdir()) == []
