"""TensorBoard's page of a study, and a search whose page cannot be written."""

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tuning.study.hparams import HParams

pytestmark = pytest.mark.slow  # imports TensorFlow


def test_the_scores_of_a_trial(tmp_path):
    HParams(tmp_path).write("3", {"lr": 0.1}, {"val_accuracy": 0.5})
    accumulator = EventAccumulator(str(tmp_path / "trial-3")).Reload()
    (event,) = accumulator.Tensors("val_accuracy")
    assert tf.make_ndarray(event.tensor_proto) == 0.5


def test_a_page_that_cannot_be_written_is_one_warning(tmp_path, capsys):
    (tmp_path / "a_file").write_text("mine")
    page = HParams(tmp_path / "a_file" / "tensorboard")
    for name in ("0", "1"):
        page.write(name, {"lr": 0.1}, {"val_accuracy": 0.5})
    errors = capsys.readouterr().err
    assert errors.startswith(f"warning: '{page.folder}' cannot be written: ")
    assert errors.endswith("; the search continues without it\n")
    assert errors.count("\n") == 1
