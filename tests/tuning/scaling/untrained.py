"""Runs that train nothing."""

from collections.abc import Callable

from tfcnn.config import Config
from tfcnn.errors import TrainingFailed
from tfcnn.files import write_json
from tfcnn.run_directory import RunDirectory


class Untrained:
    """Takes the place of tfcnn.train.run: leaves metrics without training.

    Attributes:
        outcome: from a configuration to its accuracy, or to None where the run fails.
        configs: those that were run.
    """

    def __init__(self, outcome: Callable[[Config], float | None]) -> None:
        self.outcome = outcome
        self.configs: list[Config] = []

    def __call__(self, config: Config) -> RunDirectory:
        self.configs.append(config)
        accuracy = self.outcome(config)
        if accuracy is None:
            raise TrainingFailed("the loss is not finite")
        directory = RunDirectory(config.out)
        directory.make()
        write_json(directory.config, {"config": config.to_dict()})
        write_json(directory.metrics, {"val_accuracy": accuracy})
        return directory
