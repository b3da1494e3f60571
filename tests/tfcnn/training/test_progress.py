"""The lines of progress, on a simulated clock."""

import io
import re

import pytest

from tfcnn.training import progress
from tfcnn.training.progress import Progress


class Stream(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.isatty = lambda: terminal


@pytest.fixture
def run_epochs(monkeypatch):
    """The lines of epochs of four steps of 10 images, on a clock that a step moves by `seconds(epoch, step)`."""

    def run(terminal, seconds, epochs=2, validating=5, saving=0, steps=4):
        clock = [100.0]
        monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
        stream = Stream(terminal)
        callback = Progress(epochs=epochs, steps=steps, batch_size=10, stream=stream)
        logs = []
        for epoch in range(epochs):
            callback.on_epoch_begin(epoch)
            for step in range(steps):
                clock[0] += seconds(epoch, step) if callable(seconds) else seconds
                callback.on_train_batch_begin(step)
                callback.on_train_batch_end(step, {"loss": 1.0, "accuracy": 0.5})
            for batch in range(validating):  # which is no training; the very first compiles
                clock[0] += 60 if (epoch, batch) == (0, 0) and callable(seconds) else 1
                callback.on_test_batch_end(batch)
            logs.append({"loss": 1.0, "accuracy": 0.5, "val_loss": 2.0, "val_accuracy": 0.25})
            callback.on_epoch_end(epoch, logs[-1])
            clock[0] += saving
        return stream.getvalue(), logs

    return run


def test_plain_lines_where_output_is_no_terminal(run_epochs):
    text, _ = run_epochs(False, seconds=1)
    metrics = "loss 1.0000  accuracy 0.5000  val_loss 2.0000  val_accuracy 0.2500"
    assert text.split("\n") == [
        f"epoch 1/2  step 4/4  {metrics}  10 images/s  9 s left",
        f"epoch 2/2  step 4/4  {metrics}  10 images/s  0 s left",
        "",
    ]


def test_no_rate_is_invented_for_an_epoch_of_the_one_step_that_compiles(run_epochs):
    text, logs = run_epochs(False, seconds=1, steps=1)
    assert ["images_per_second" in log for log in logs] == [False, True]
    metrics = "loss 1.0000  accuracy 0.5000  val_loss 2.0000  val_accuracy 0.2500"
    assert text.split("\n")[:2] == [
        f"epoch 1/2  step 1/1  {metrics}",
        f"epoch 2/2  step 1/1  {metrics}  10 images/s  0 s left",
    ]


def test_a_slow_epoch_shows_its_steps(run_epochs):
    text, _ = run_epochs(False, seconds=11)
    assert re.findall(r"epoch 1/2  step \d/4", text) == [f"epoch 1/2  step {step}/4" for step in (2, 3, 4)]


def test_a_terminal_gets_one_line_an_epoch(run_epochs):
    text, _ = run_epochs(True, seconds=1)
    assert text.count("\n") == 2
    assert text.count("\r") == 8 - 1  # the very first step compiles and is not shown
    assert "\b" not in text


def test_rates_leave_out_compilation_and_validation(run_epochs):
    _, logs = run_epochs(False, seconds=2)
    assert [log["images_per_second"] for log in logs] == [5.0, 5.0]
    assert [log["seconds"] for log in logs] == [13.0, 13.0]


def test_time_left_is_right_from_the_second_epoch_on(run_epochs):
    """Every line from then on, against what the clock took from it to the end; the first epoch compiles for 100 s."""

    def seconds(epoch, step):
        return 100 if (epoch, step) == (0, 0) else 2

    text, _ = run_epochs(True, seconds, epochs=5, validating=3, saving=7)
    lines = re.findall(r"epoch (\d)/5  step (\d)/4 .*  (\S.*) left", text.replace("\r", "\n"))
    assert len(lines) == 5 * 4 - 1
    for epoch, step, left in lines[3:]:
        if (epoch, step) != ("1", "4"):
            after = 5 - int(epoch)
            true = 2 * (4 - int(step) + 4 * after) + (3 + 7) * (after if step == "4" else after + 1)
            assert left == progress.duration(true), (epoch, step)


def test_the_rate_within_an_epoch_is_that_of_the_last_steps(run_epochs, monkeypatch):
    monkeypatch.setattr(progress, "RECENT", 1)
    text, logs = run_epochs(True, lambda epoch, step: 1 if step < 2 else 5)
    assert re.findall(r"epoch 2/2  step (\d)/4 .* (\S+) images/s", text.replace("\r", "\n")) == [
        ("1", "10"),
        ("2", "10"),
        ("3", "2"),
        ("4", "3"),
    ]
    assert logs[1]["images_per_second"] == pytest.approx(40 / 12, abs=0.1)  # of the whole epoch
