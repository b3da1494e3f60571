import io
import re

import pytest

from tfcnn import progress
from tfcnn.progress import Progress


class Stream(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.isatty = lambda: terminal


@pytest.fixture
def shown(monkeypatch):
    """What is shown of two epochs of four steps of 10 images, on a clock that a step moves by `seconds`."""

    def run(terminal, seconds):
        clock = [100.0]
        monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
        stream = Stream(terminal)
        callback = Progress(epochs=2, steps=4, batch_size=10, stream=stream)
        logs = []
        for epoch in range(2):
            callback.on_epoch_begin(epoch)
            for step in range(4):
                clock[0] += seconds
                callback.on_train_batch_end(step, {"loss": 1.0, "accuracy": 0.5})
            clock[0] += 5  # validation, which is no training
            logs.append({"loss": 1.0, "accuracy": 0.5, "val_loss": 2.0, "val_accuracy": 0.25})
            callback.on_epoch_end(epoch, logs[-1])
        return stream.getvalue(), logs

    return run


def test_plain_lines_where_output_is_no_terminal(shown):
    text, _ = shown(False, seconds=1)
    metrics = "loss 1.0000  accuracy 0.5000  val_loss 2.0000  val_accuracy 0.2500"
    assert text.split("\n") == [
        f"epoch 1/2  step 4/4  {metrics}  10 images/s  9 s left",
        f"epoch 2/2  step 4/4  {metrics}  10 images/s  0 s left",
        "",
    ]


def test_a_slow_epoch_shows_its_steps(shown):
    text, _ = shown(False, seconds=11)
    assert re.findall(r"epoch 1/2  step \d/4", text) == [f"epoch 1/2  step {step}/4" for step in (2, 3, 4)]


def test_a_terminal_gets_one_line_an_epoch(shown):
    text, _ = shown(True, seconds=1)
    assert text.count("\n") == 2
    assert text.count("\r") == 8 - 1  # the very first step compiles and is not shown
    assert "\b" not in text


def test_rates_leave_out_compilation_and_validation(shown):
    _, logs = shown(False, seconds=2)
    assert [log["images_per_second"] for log in logs] == [5.0, 5.0]
    assert [log["seconds"] for log in logs] == [13.0, 13.0]
