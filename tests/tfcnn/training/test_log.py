"""train.log."""

import io
import sys

import pytest

from tfcnn.errors import TrainingFailed
from tfcnn.training.log import RunLog


@pytest.fixture(autouse=True)
def command(monkeypatch):
    """The command line of this process."""
    monkeypatch.setattr(sys, "orig_argv", ["/usr/bin/python3", "-m", "tfcnn.train", "-o", "my run"])


HEADING = "python -m tfcnn.train -o 'my run'\n"


def test_lines_of_both_streams_are_kept_and_shown(tmp_path, capsys):
    with RunLog() as log:
        print("before")
        log.begin(tmp_path / "train.log")
        print("after", "that")
        print("warning: this", file=sys.stderr)
    print("outside")
    assert (tmp_path / "train.log").read_text() == HEADING + "before\nafter that\nwarning: this\n"
    assert capsys.readouterr() == ("before\nafter that\noutside\n", "warning: this\n")


def test_a_resumed_run_appends(tmp_path):
    for line in ("first", "second"):
        with RunLog() as log:
            log.begin(tmp_path / "train.log")
            print(line)
    assert (tmp_path / "train.log").read_text() == f"{HEADING}first\n{HEADING}second\n"


def test_of_an_overwritten_line_the_last_form_is_kept(tmp_path):
    with RunLog() as log:
        log.begin(tmp_path / "train.log")
        for step in range(3):
            print(f"\r\x1b[Kstep {step}", end="\n" if step == 2 else "")
    assert (tmp_path / "train.log").read_text() == HEADING + "step 2\n"


def test_a_terminal_stays_one(tmp_path, monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", stream)
    with RunLog():
        assert sys.stdout.isatty()
    assert sys.stdout is stream


def test_the_error_that_ends_a_run_is_the_last_line(tmp_path):
    def fail():
        with RunLog() as log:
            log.begin(tmp_path / "train.log")
            raise TrainingFailed("the loss is nan")

    with pytest.raises(TrainingFailed):
        fail()
    assert (tmp_path / "train.log").read_text() == HEADING + "error: the loss is nan\n"


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path, capsys):
    with RunLog() as log:
        log.begin(tmp_path)
        print("training")
    assert capsys.readouterr() == ("training\n", "warning: the log cannot be written: Is a directory\n")
    assert list(tmp_path.iterdir()) == []


def test_a_stream_that_is_kept_by_others_goes_on(tmp_path, capsys):
    """Logging keeps sys.stderr from before its end."""
    with RunLog() as log:
        log.begin(tmp_path / "train.log")
        stream = sys.stderr
    print("later", file=stream)
    assert capsys.readouterr().err == "later\n"
    assert (tmp_path / "train.log").read_text() == HEADING
