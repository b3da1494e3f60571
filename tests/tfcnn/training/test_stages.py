"""The clock of `tfcnn.train --verbose`."""

import re
import time

import pytest

from tfcnn.training.callbacks import FirstStep
from tfcnn.training.stages import Stages, age_of_process

LINE = re.compile(r"time +(.+): ([\d.]+) s, ([\d.]+) s of processors; ([\d.]+) s since the command")


def read_lines(capsys):
    matches = map(LINE.fullmatch, capsys.readouterr().out.split("\n")[:-1])
    return [(match[1], *map(float, match.groups()[1:])) for match in matches]


def test_a_line_for_each_part(capsys):
    stages = Stages(verbose=True, elapsed=10.0)
    stages.end("start")
    time.sleep(0.2)  # in no part
    assert stages.time("sum", sum, [1, 2], start=3) == 6
    time.sleep(0.1)
    stages.end("rest")
    (start, *first), (part, *second), (rest, *third) = read_lines(capsys)
    assert (start, part, rest) == ("start", "sum", "rest")
    assert first[0] == pytest.approx(10, abs=0.05)
    assert second[0] < 0.05
    assert third[0] == pytest.approx(0.1, abs=0.05)
    assert third[2] == pytest.approx(10.3, abs=0.1)


def test_nothing_without_verbose(capsys):
    stages = Stages(verbose=False)
    stages.end("start")
    assert stages.time("sum", sum, [1, 2]) == 3
    assert capsys.readouterr().out == ""


def test_the_age_grows_with_time():
    first = age_of_process()
    time.sleep(0.1)
    assert 0.1 <= age_of_process() - first < 0.3
    assert first > 0


def test_the_first_call_of_steps_ends_two_parts_and_no_other_does():
    names = []
    callback = FirstStep(names.append)
    for step in range(3):
        callback.on_train_batch_begin(step)
        callback.on_train_batch_end(step)
    assert names == ["preparation of the training", "first step, traced"]
