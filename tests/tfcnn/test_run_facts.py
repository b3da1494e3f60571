"""config.json is checked as a command line is."""

import json

import pytest

from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.run_facts import FIRST_FIELDS, read_facts

DATA = {"name": "digits", "task": "classification", "image_shape": [32, 32, 1], "class_names": ["0", "1"]}


def write(path, config=None, data=None, **sections):
    facts = {"config": Config().to_dict() | (config or {}), "data": DATA | (data or {})} | sections
    (path / "config.json").write_text(json.dumps(facts))
    return path / "config.json"


def test_what_is_whole_is_read(tmp_path):
    facts = read_facts(write(tmp_path))
    assert facts["config"] == Config().to_dict()
    assert facts["data"] == DATA


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"epochs": 0}, "--epochs must be a whole number at least 1, got '0'"),
        ({"epochs": None}, "--epochs must be"),
        ({"epochs": "12"}, "the flag 'epochs' is text, '12'"),
        ({"epochs": 1.5}, "--epochs must be"),
        ({"opt": "adan"}, "--opt must be one of"),
        ({"arch_args": []}, "--arch-args must be"),
        ({"tensorboard": 1}, "--tensorboard must be"),
        ({"epoch": 3}, "unknown flag 'epoch'"),
    ],
)
def test_a_flag_that_a_command_line_may_not_have(config, problem, tmp_path):
    path = write(tmp_path, config)
    with pytest.raises(BadInput, match=f"'{path}' is damaged: {problem}"):
        read_facts(path)


@pytest.mark.parametrize("name", FIRST_FIELDS)
def test_a_flag_that_every_version_had(name, tmp_path):
    path = write(tmp_path)
    facts = json.loads(path.read_text())
    del facts["config"][name]
    path.write_text(json.dumps(facts))
    with pytest.raises(BadInput, match=f"the flag '{name}' is missing"):
        read_facts(path)


def test_a_flag_that_came_later_is_its_default(tmp_path):
    path = write(tmp_path)
    facts = json.loads(path.read_text())
    del facts["config"]["max_bad"]
    path.write_text(json.dumps(facts))
    assert read_facts(path)["config"]["max_bad"] == Config().max_bad


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"task": "clasification"}, "unknown task 'clasification'"),
        ({"image_shape": 32}, "'image_shape' of the data is '32', not a list of numbers"),
        ({"mean": ["0.5"]}, "'mean' of the data"),
        ({"class_names": [1]}, "'class_names' of the data is not a list of names"),
        ({"fingerprint": 3}, "'fingerprint' of the data is '3', not text"),
    ],
)
def test_a_fact_of_the_data_of_another_type(data, problem, tmp_path):
    path = write(tmp_path, data=data)
    with pytest.raises(BadInput, match=f"is damaged: .*{problem}"):
        read_facts(path)


def test_a_missing_fact_is_named_where_it_is_read(tmp_path):
    facts = read_facts(write(tmp_path))
    with pytest.raises(BadInput, match=r"config.json' is damaged: it has no 'fingerprint'"):
        facts["data"]["fingerprint"]


@pytest.mark.parametrize("section", ["config", "data", "cost"])
def test_a_section_that_is_no_object(section, tmp_path):
    path = write(tmp_path)
    facts = json.loads(path.read_text()) | {section: []}
    path.write_text(json.dumps(facts))
    with pytest.raises(BadInput, match=f"'{section}' is no object"):
        read_facts(path)
