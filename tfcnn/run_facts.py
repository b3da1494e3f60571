"""config.json of a run, checked as a command line is. Standard library only."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.files import read_json
from tfcnn.tasks import TASKS

# The fields of `Config` that every run has, from the first version on; others are taken as their defaults if missing.
FIRST_FIELDS = [
    "arch",
    "width",
    "depth",
    "arch_args",
    "dataset",
    "data_dir",
    "image_size",
    "aa",
    "hflip",
    "epochs",
    "batch_size",
    "opt",
    "lr",
    "weight_decay",
    "warmup_epochs",
    "smoothing",
    "early_stop",
    "precision",
    "seed",
    "out",
    "resume",
    "tensorboard",
]
SECTIONS = ("config", "arguments", "weights", "recipe", "cost", "data")
# Facts of the data, whose types the commands rely on.
TEXTS = ("name", "task", "fingerprint", "fit")
NUMBERS = ("image_shape", "value_range", "mean", "std")


class Section(dict):
    """A part of config.json, in which a missing key is BadInput that names the file."""

    def __init__(self, path: Path, values: dict[str, Any], defaults: dict[str, Any] | None = None):
        super().__init__(values)
        self.path = path
        self.defaults = defaults or {}

    def __missing__(self, key: str) -> Any:
        if key not in self.defaults:
            raise damaged(self.path, f"it has no '{key}'")
        return self.defaults[key]


def damaged(path: Path, problem: str) -> BadInput:
    """The error for a config.json that cannot be used."""
    return BadInput(f"'{path}' is damaged: {problem}; restore it from a copy, or start a new run with another --out")


def read_facts(path: Path) -> dict[str, Any]:
    """What config.json holds, by section.

    Raises:
        BadInput: it is not JSON; a flag is unknown, missing, of another type or out of bounds; a fact of the data is of
            another type. A section or fact that is missing raises BadInput when it is read.
    """
    facts = Section(path, read_json(path))
    for name in SECTIONS:
        if name not in facts:
            continue
        if not isinstance(facts[name], dict):
            raise damaged(path, f"'{name}' is no object")
        facts[name] = Section(path, facts[name])
    if "config" in facts:
        facts["config"] = _check_flags(path, facts["config"])
    _check_data(path, facts.get("data", {}))
    for name, value in facts.get("cost", {}).items():
        if not _is_number(value):
            raise damaged(path, f"'{name}' of the cost is '{value}', not a number")
    return facts


def _check_flags(path: Path, flags: dict[str, Any]) -> Section:
    defaults = Config().to_dict()
    if unknown := sorted(set(flags) - set(defaults)):
        raise damaged(path, f"unknown flag '{unknown[0]}'")
    if missing := [name for name in FIRST_FIELDS if name not in flags]:
        raise damaged(path, f"the flag '{missing[0]}' is missing")
    try:
        config = Config(**flags | {"resume": False})
    except BadInput as error:
        raise damaged(path, str(error)) from error
    for field in dataclasses.fields(config):
        value = flags.get(field.name)
        if isinstance(value, str) and not isinstance(getattr(config, field.name), str):
            raise damaged(path, f"the flag '{field.name}' is text, '{value}'")
    return Section(path, flags, defaults)


def _check_data(path: Path, data: dict[str, Any]) -> None:
    for name in TEXTS:
        if name in data and not isinstance(data[name], str):
            raise damaged(path, f"'{name}' of the data is '{data[name]}', not text")
    for name in NUMBERS:
        if name in data and not (isinstance(data[name], list) and data[name] and all(map(_is_number, data[name]))):
            raise damaged(path, f"'{name}' of the data is '{data[name]}', not a list of numbers")
    if data.get("task", "classification") not in TASKS:
        raise damaged(path, f"unknown task '{data['task']}'")
    names = data.get("class_names") or []
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise damaged(path, "'class_names' of the data is not a list of names")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
