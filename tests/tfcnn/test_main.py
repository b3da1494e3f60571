"""The list of commands, and their short names."""

import sys

import pytest

from tfcnn import __main__ as tfcnn_main


def test_short_names_are_unique():
    assert len(tfcnn_main.NAMES) == len(tfcnn_main.COMMANDS)


def test_a_short_name_runs_the_command(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "tuning.report", raising=False)  # runpy warns of a module that is imported
    monkeypatch.setattr(sys, "argv", ["tfcnn", "report", "--help"])
    with pytest.raises(SystemExit) as end:
        tfcnn_main.run()
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("usage: python -m tuning.report")


def test_bad_input_of_the_command_has_its_exit_code(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "tuning.report", raising=False)
    monkeypatch.setattr(sys, "argv", ["tfcnn", "report"])
    with pytest.raises(SystemExit) as end:
        tfcnn_main.run()
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_an_unknown_name_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tfcnn", "trian"])
    assert tfcnn_main.run() == 2
    assert capsys.readouterr().err == "error: unknown command 'trian'; did you mean train? (python -m tfcnn)\n"
