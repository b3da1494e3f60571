"""Every command of the project is given bad command lines: each is refused in one line, and nothing is written."""

import pytest

from benchmarks.faults.command_lines import all_lines, answer, contents, make_folder
from tfcnn.__main__ import COMMANDS

LINES = all_lines()


def test_every_command_has_bad_lines():
    assert {line.command for line in LINES} == {"tfcnn", *COMMANDS}
    assert len(LINES) >= 300


@pytest.fixture
def folder(finished_run, tmp_path, monkeypatch):
    make_folder(tmp_path, finished_run.path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted({line.command for line in LINES}))
def test_bad_lines_are_refused_in_one_line(command, folder):
    before = contents(folder)
    failures = []
    for line in LINES:
        if line.command == command:
            reply = answer(line)
            if not (reply.refused and line.says in reply.error):
                failures.append(f"{line}: {reply}")
    assert failures == []
    assert contents(folder) == before
