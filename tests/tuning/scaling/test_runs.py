"""The runs of a study of sizes."""

import pytest

from tfcnn.cli.signals import Interrupted
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tuning.scaling import runs


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match=r"is no study of tuning.scale: give another --study"):
        runs.check_study(tmp_path, Config())


def test_seeds_go_on_from_that_of_the_configuration(tmp_path):
    configs = runs.repeat_with_seeds(Config(seed=5), 2, tmp_path, "it")
    assert [(config.seed, config.out) for config in configs] == [
        (5, str(tmp_path / "it-seed5")),
        (6, str(tmp_path / "it-seed6")),
    ]


def test_an_interrupted_study_says_how_to_continue(untrained, tmp_path):
    def interrupt(config):
        raise Interrupted("continue with --resume", KeyboardInterrupt())

    untrained.outcome = interrupt
    with pytest.raises(Interrupted, match=r"^interrupted; the same command continues the study$") as caught:
        runs.train_all([Config(out=str(tmp_path / "run"))])
    assert caught.value.exit_code == 130
