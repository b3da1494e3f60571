"""Damage to the files of a run is told when they are read."""

import pytest

from tfcnn.errors import BadInput
from tfcnn.records import Records
from tfcnn.run_directory import RunDirectory


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"12345")
    (tmp_path / "a.json").write_bytes(b"{}")
    Records(tmp_path).write(tmp_path / "model", tmp_path / "a.json")
    return tmp_path


def test_whole_files_have_no_problem(folder):
    assert Records(folder).problem_of(folder / "model") is None
    assert Records(folder).problem_of(folder / "a.json") is None


def test_a_flipped_bit(folder):
    (folder / "a.json").write_bytes(b"{|")
    assert Records(folder).problem_of(folder / "a.json") == "is damaged: its 2 bytes are not those that were written"


def test_a_cut_file_in_a_folder(folder):
    (folder / "model" / "weights").write_bytes(b"1234")
    problem = "is damaged: 'model/weights' is damaged: it has 4 bytes, and 5 were written"
    assert Records(folder).problem_of(folder / "model") == problem


def test_a_missing_file_in_a_folder(folder):
    (folder / "model" / "weights").unlink()
    assert Records(folder).problem_of(folder / "model") == "is damaged: 'model/weights' is missing"


def test_a_missing_folder(folder):
    (folder / "model" / "weights").unlink()
    (folder / "model").rmdir()
    assert Records(folder).problem_of(folder / "model") == "is missing"


@pytest.mark.parametrize("content", ["", "[]", '{"a.json": 3}'])
def test_damaged_records_check_nothing(content, folder):
    (folder / "files.json").write_text(content)
    (folder / "a.json").write_bytes(b"changed")
    assert Records(folder).problem_of(folder / "a.json") is None


def test_the_record_of_a_file_that_is_gone_goes(folder):
    (folder / "model" / "weights").rename(folder / "model" / "other")
    Records(folder).write(folder / "model")
    assert sorted(Records(folder).read()) == ["a.json", "model/other"]


def test_the_last_file_has_its_digest_beforehand(tmp_path):
    run = RunDirectory(tmp_path)
    run.finish({"epochs": 3})
    assert run.finished
    assert run.read_metrics() == {"epochs": 3}
    run.metrics.write_text(run.metrics.read_text().replace("3", "4"))
    with pytest.raises(
        BadInput, match=r"metrics.json' is damaged: its .*; write it again: python -m tfcnn.train --res"
    ):
        run.read_metrics()
