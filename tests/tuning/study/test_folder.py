"""The folder of a study and its storage: what is refused and named, what is left and kept."""

import os
import re
import sqlite3
import sys
import threading
import time

import optuna
import pytest
import sqlalchemy.exc

from benchmarks.faults import search as faults
from tfcnn.config import Config
from tfcnn.errors import BadInput, TrainingFailed
from tuning import best, rerun
from tuning.report import main as report_main
from tuning.report import report
from tuning.search import SearchSettings, search
from tuning.study import patience, storage
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


@pytest.mark.parametrize(
    ("scheme", "module", "package"),
    [
        ("postgresql", "psycopg", "-r requirements-postgresql.txt"),
        ("mysql", "MySQLdb", "mysqlclient"),
        ("mysql+pymysql", "pymysql", "pymysql"),
    ],
)
def test_a_missing_driver_is_named(tmp_path, monkeypatch, scheme, module, package):
    monkeypatch.setitem(sys.modules, module, None)  # which makes the import fail
    study = Study(tmp_path / "data", f"{scheme}://me:secret@host/x")
    with pytest.raises(BadInput, match=rf"//me:\*\*\*@host/x' needs {module}: pip install {package} "):
        study.storage()


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


@pytest.mark.parametrize(
    "content", [b"[]", b"3", b"{}", b'{"storage": 3}', b"\xff\xfe", b"{", b"", b'{"storage": "x"}']
)
def test_a_study_file_of_another_shape_is_named(tmp_path, content):
    (tmp_path / "study.json").write_bytes(content)
    with pytest.raises(BadInput, match=r"study\.json' is (damaged|not readable JSON)|--storage takes a URL"):
        Study(tmp_path).optuna_study()


@pytest.mark.parametrize("line", [b"[]", b"3", b'"x"', b"{}", b'{"op_code": 99}', b"\xff"])
def test_a_journal_of_another_shape_is_named(tmp_path, line):
    Study(tmp_path).make()
    (tmp_path / "journal.log").write_bytes(line + b"\n")
    with pytest.raises(BadInput, match=r"journal '.*journal\.log' cannot be read: \w+: "):
        Study(tmp_path).optuna_study()


def test_reading_makes_no_database(tmp_path, monkeypatch):
    study = Study(tmp_path / "study", f"sqlite:///{tmp_path / 'gone.db'}")
    study.make()
    for command, more in ((report_main, []), (best.main, []), (rerun.main, ["0"])):
        monkeypatch.setattr("sys.argv", ["command", str(study.path), *more])
        with pytest.raises(BadInput, match=r"has no trial yet: there is none in .*gone\.db"):
            command()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["study", "study.json"]


def make_sqlite(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE photos (name TEXT)")
    connection.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_sqlite, "is of something else: it has the table photos"),
        (lambda path: path.write_text("my thesis " * 99), "cannot be read: file is not a database"),
        (lambda path: path.mkdir(), "cannot be read: it is no file"),
        (os.mkfifo, "cannot be read: it is no file"),
    ],
    ids=["another database", "text", "folder", "pipe"],
)
def test_what_is_no_database_of_a_study_is_left_alone(standin, make, message):
    path = standin.folder / "mine.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(BadInput, match=message):
        standin.search("study", 1, storage=f"sqlite:///{path}")
    assert not (standin.folder / "study").exists()
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "study.db", "sqlite:///file:x?uri=true"])
def test_a_storage_that_does_not_stay_is_refused(standin, url):
    with pytest.raises(BadInput, match=r"--storage takes a (URL|file that stays), as in sqlite:///study\.db, got"):
        standin.search("study", 1, storage=url)


def test_a_study_of_another_program_is_left_alone(tmp_path):
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    optuna.create_study(storage=url, study_name="mine").ask()
    with pytest.raises(BadInput, match=r"the study 'mine' in .* is not of tuning.search"):
        Study(tmp_path / "mine", url).check_spec({})


def damage(database, statement):
    with sqlite3.connect(database) as connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trial_user_attributes SET value_json = '3' WHERE key = 'values'",
        "UPDATE trial_user_attributes SET value_json = '{' WHERE key = 'config'",
        "UPDATE study_user_attributes SET value_json = '[]' WHERE key = 'spec'",
        "UPDATE trials SET state = 'LOST'",
        "DROP TABLE trial_values",
    ],
)
def test_a_damaged_database_is_one_line(standin, statement):
    url = f"sqlite:///{standin.folder / 'x.db'}"
    standin.search("study", 1, storage=url)
    damage(standin.folder / "x.db", statement)
    with pytest.raises(BadInput, match=r"x\.db' (cannot be read|is damaged|cannot be used)|of the study is damaged"):
        report(standin.study("study"))


@pytest.fixture
def locked_database(standin, monkeypatch):
    """A search of trials whose database is locked from the start of trial 1 for some seconds."""
    monkeypatch.setattr(storage, "LOCK_TIMEOUT", 0.5)
    url = f"sqlite:///{standin.folder / 'x.db'}"

    def lock(seconds):
        while len(standin.starts("locked")) < 2:
            time.sleep(0.02)
        connection = sqlite3.connect(standin.folder / "x.db", timeout=30)
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        connection.close()

    def search(trials, seconds):
        thread = threading.Thread(target=lock, args=(seconds,))
        thread.start()
        try:
            return standin.search("locked", trials, {"seconds": 0.2}, storage=url)
        finally:
            thread.join()

    return search


@pytest.mark.slow
def test_a_locked_database_is_waited_for(locked_database, capsys):
    assert len(locked_database(3, seconds=2)) == 3
    assert capsys.readouterr().err.count("warning: waiting up to 60 s for the study's storage") == 1


@pytest.mark.slow
def test_a_database_that_stays_locked_ends_the_search_which_can_be_continued(locked_database, standin, monkeypatch):
    monkeypatch.setattr(patience, "PATIENCE", 0.1)
    with pytest.raises(TrainingFailed, match=r"x\.db' cannot be used: database is locked; when it can be, continue"):
        locked_database(3, seconds=4)
    monkeypatch.undo()
    monkeypatch.setattr("tuning.search.load_data", faults.StandinData)
    best_trials = standin.search("locked", 3, storage=f"sqlite:///{standin.folder / 'x.db'}")
    assert len(best_trials) == 3
