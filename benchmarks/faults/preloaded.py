"""What benchmarks.faults.processes imports before it forks."""

import importlib

from tfcnn.cli.startup import import_tensorflow

import_tensorflow()
for name in ("distribution", "fit", "report", "tensorboard", "time_budget"):
    importlib.import_module(f"tfcnn.training.{name}")
importlib.import_module("tfcnn.export.savedmodel")
