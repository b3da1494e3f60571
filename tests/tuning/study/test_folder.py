"""The folder of a study and its storage: what is refused and named, what is left and kept."""

import os
import re
import time

import optuna
import pytest
import sqlalchemy.exc

from benchmarks.faults import search as faults
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tuning.report import report
from tuning.search import SearchSettings, search
from tuning.study.folder import Study


@pytest.mark.slow
def test_a_study_is_continued_with_its_own_settings_only(standin):
    standin.search("kept", 2)
    with pytest.raises(BadInput, match="was started with --sampler tpe, not random; give the same to continue it"):
        standin.search("kept", 3, sampler="random")
    with pytest.raises(BadInput, match=r"--budget-\.\.\. .*macs"):
        standin.search("kept", 3, limits={"macs": 1e6})
    (standin.folder / "standin.py").write_text(faults.STANDIN.replace("1e-4", "1e-3"))
    with pytest.raises(BadInput, match=r"--space standin\.py:space [0-9a-f]{12}, not standin\.py:space [0-9a-f]{12};"):
        standin.search("kept", 5)


@pytest.mark.slow
def test_more_trials_are_added_to_a_study(standin):
    standin.search("kept", 2)
    assert len(standin.search("kept", 4, workers=2)) == 4
    assert standin.starts("kept")[:2] == [0, 1]


@pytest.mark.slow
def test_one_search_works_in_a_folder(standin):
    standin.search("kept", 2)
    with (
        standin.study("kept").locked(),
        pytest.raises(BadInput, match=rf"process {os.getpid()} searches in"),
    ):
        standin.search("kept", 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["journal.log", "study.json"])
def test_what_cannot_be_read_is_named(standin, name):
    standin.search("broken", 1)
    file = standin.folder / "broken" / name
    file.write_text("#" + file.read_text()[1:])
    with pytest.raises(BadInput, match=re.escape(str(file))):
        standin.search("broken", 2)
    with pytest.raises(BadInput, match=re.escape(str(file))):
        report(Study.opened(standin.folder / "broken"))


def test_a_database_that_cannot_be_read_is_named(standin):
    database = standin.folder / "x.db"
    database.write_text("no database " * 100)
    study = Study(standin.folder / "data", f"sqlite:///{database}")
    settings = SearchSettings(1, space=f"{standin.folder / 'standin.py'}:space")
    with pytest.raises(BadInput, match=r"storage 'sqlite:///.*x\.db' cannot be read: file is not a database"):
        search(study, Config(arch="lenet5"), settings)


def test_a_password_is_not_shown(tmp_path):
    assert "secret" not in Study(tmp_path / "data", "postgresql://me:secret@host/x").place


def test_a_password_is_not_kept(tmp_path):
    study = Study(tmp_path / "study", "postgresql://me:secret@host/x")
    study.make()
    assert "secret" not in study.file.read_text()


def test_optunas_lock_of_a_killed_search_is_removed(tmp_path):
    study = Study(tmp_path / "study")
    study.make()
    lock = study.journal.with_name("journal.log.lock")
    lock.symlink_to(study.journal)
    with study.locked():
        assert not lock.is_symlink()


def test_machines_that_begin_at_once_on_an_empty_database(tmp_path, monkeypatch):
    """The slower one finds the tables half made, as PostgreSQL and MySQL say it, and waits for the rest."""
    errors = [
        sqlalchemy.exc.OperationalError("CREATE TABLE", {}, Exception("Table 'trials' already exists")),
        sqlalchemy.exc.IntegrityError("INSERT", {}, Exception("Duplicate entry 'v3.2.0.a' for key 'PRIMARY'")),
    ]
    real = optuna.storages.RDBStorage.__init__

    def fail_twice(self, *args, **kwargs):
        if errors:
            raise errors.pop(0)
        real(self, *args, **kwargs)

    waits = []
    monkeypatch.setattr(optuna.storages.RDBStorage, "__init__", fail_twice)
    monkeypatch.setattr(time, "sleep", waits.append)
    assert Study(tmp_path / "study", f"sqlite:///{tmp_path / 'trials.db'}").storage().get_all_studies() == []
    assert waits == [1, 1]


def test_tables_that_stay_half_made_are_an_error(tmp_path, monkeypatch):
    def fail(self, *args, **kwargs):
        raise sqlalchemy.exc.OperationalError("CREATE TABLE", {}, Exception("Table 'trials' already exists"))

    waits = []
    monkeypatch.setattr(optuna.storages.RDBStorage, "__init__", fail)
    monkeypatch.setattr(time, "sleep", waits.append)
    with pytest.raises(BadInput, match="Table 'trials' already exists"):
        Study(tmp_path / "study", f"sqlite:///{tmp_path / 'trials.db'}").storage()
    assert waits == [1] * 9


def test_a_folder_that_is_no_study_is_left_alone(standin):
    photos = standin.folder / "photos"
    photos.mkdir()
    (photos / "one.jpg").touch()
    with pytest.raises(BadInput, match="photos' exists and is no study; give another --study"):
        standin.search("photos", 1)
    assert [file.name for file in photos.iterdir()] == ["one.jpg"]
