"""Files appear whole or not at all."""

import errno
import os
import resource

import pytest
from matplotlib.figure import Figure

from tfcnn.errors import BadInput, TrainingFailed
from tfcnn.files import DiskFull, read_json, write_json, writing


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with writing(path) as draft:
        draft.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(path.parent) == ["file.txt"]


def test_an_error_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("whole")

    def fail():
        with writing(path) as draft:
            draft.write_text("ha")
            tmp_path.write_text("fails")

    with pytest.raises(IsADirectoryError):
        fail()
    assert path.read_text() == "whole"
    assert names(tmp_path) == ["file.txt"]


def write_saved_model(folder, content):
    folder.mkdir()
    (folder / "saved_model.pb").write_text(content)


def test_a_saved_model_is_replaced(tmp_path):
    path = tmp_path / "model"
    for content in ("old", "new"):
        with writing(path) as draft:
            write_saved_model(draft, content)
    assert (path / "saved_model.pb").read_text() == "new"
    assert names(tmp_path) == ["model"]


@pytest.mark.parametrize("other", ["thesis.tex", "saved_model.pb.bak", "variables/thesis.tex", "assets/a/b"])
def test_a_folder_with_other_things_is_not_replaced(other, tmp_path):
    path = tmp_path / "model"
    write_saved_model(path, "old")
    (path / other).parent.mkdir(parents=True, exist_ok=True)
    (path / other).write_text("years of work")

    def write():
        with writing(path):
            raise AssertionError("work has begun")

    with pytest.raises(BadInput, match="is a folder of other things, which is not replaced"):
        write()
    assert (path / other).read_text() == "years of work"
    assert names(tmp_path) == ["model"]


def test_a_folder_is_not_replaced_by_a_file(tmp_path):
    path = tmp_path / "model"
    write_saved_model(path, "old")

    def write():
        with writing(path) as draft:
            draft.write_text("a file")

    with pytest.raises(BadInput, match="is not replaced by a file"):
        write()
    assert names(path) == ["saved_model.pb"]


def test_an_error_leaves_the_folder_as_it_was(tmp_path):
    path = tmp_path / "model"
    write_saved_model(path, "old")

    def fail():
        with writing(path) as draft:
            draft.mkdir()
            draft.mkdir()

    with pytest.raises(FileExistsError):
        fail()
    assert names(path) == ["saved_model.pb"]
    assert names(tmp_path) == ["model"]


def test_a_full_disk_is_reported_in_one_line(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def write(text):
        with writing(path) as draft:
            draft.write_text(text)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(TrainingFailed, match="file' cannot be written: No space left on device after 3 bytes"):
        write("new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "error",
    [
        OSError("Unable to write data (errno = 28, error message = 'No space left on device')"),  # h5py
        RuntimeError("ckpt-1; File too large"),  # TensorFlow
        OSError("300 requested and 12 written"),  # NumPy
        OSError(errno.EDQUOT, "over quota"),
    ],
)
def test_a_full_disk_in_the_words_of_libraries(error, tmp_path):
    def write():
        with writing(tmp_path / "file"):
            raise error

    with pytest.raises(DiskFull, match="; make room, then run the same command again"):
        write()
    assert names(tmp_path) == []


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path):
    """As the kernel refuses it; the limit is of the process, and Python ignores its signal."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        with pytest.raises(DiskFull, match="File too large after 100 bytes"), writing(tmp_path / "a.png") as draft:
            Figure().savefig(draft, format="png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == []


def test_what_is_written_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    events = []
    replace = os.replace
    monkeypatch.setattr(os, "fsync", lambda number: events.append("sync"))
    monkeypatch.setattr(os, "replace", lambda *paths: (events.append("replace"), replace(*paths)))
    with writing(tmp_path / "file") as draft:
        draft.write_text("whole")
    assert events == ["sync", "replace", "sync"]  # the file, and the folder with its new name


def test_json_round_trip(tmp_path):
    write_json(tmp_path / "facts.json", {"a": [1, None]})
    assert read_json(tmp_path / "facts.json") == {"a": [1, None]}


def test_damaged_json_is_named(tmp_path):
    path = tmp_path / "config.json"
    path.write_text("{")
    with pytest.raises(BadInput, match=r"config.json' is not readable JSON"):
        read_json(path)
