import datetime

import pytest

from tfcnn import run_directory
from tfcnn.config import BadInput
from tfcnn.run_directory import RunDirectory, default_path, write_json, writing


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
