"""What is refused before any work."""

import dataclasses

import numpy as np
import pytest

import pipelines
from pipelines.augmentation.policy import Policy, choose_augmentation
from pipelines.bounds import BOUNDS, check_memory, check_number
from pipelines.errors import BadData
from tfcnn.config import Config, flag_of, rules_of


def test_the_bounds_are_those_of_the_flags_of_a_run():
    fields = {flag_of(field.name): field for field in dataclasses.fields(Config)}
    for bounds in BOUNDS.values():
        if bounds.flag not in fields:
            continue
        rules = rules_of(fields[bounds.flag])
        assert rules.low == bounds.low
        assert min(rules.high, 2**31 - 1) == bounds.high


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, 10**300, 1.5, "32", True])
def test_a_number_out_of_bounds_is_refused_with_its_flag(value):
    with pytest.raises(BadData, match=r"batch_size must be a whole number at least 1 and at most 2147483647, got"):
        check_number("batch_size", value)


def test_integers_of_numpy_are_numbers():
    check_number("batch_size", np.int64(32))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "image_size must be"),
        ({"image_size": (32, 0)}, "image_size must be"),
        ({"image_size": (32, 32, 3)}, r"image_size must be one number, or HEIGHTxWIDTH, got '\(32, 32, 3\)'"),
        ({"fit": "center"}, r"fit \(crop_mode\) must be one of crop, pad, squash, got 'center'"),
        ({"seed": -1}, "seed must be"),
        ({"max_bad": 1.5}, "max_bad must be"),
        ({"on_bad_image": "ignore"}, "on_bad_image must be one of error, skip, got 'ignore'"),
    ],
)
def test_load_checks_what_it_takes(options, message):
    with pytest.raises(BadData, match=message):
        pipelines.load("digits", **options)


@pytest.mark.parametrize("field", ["mixup", "cutmix", "hflip", "vflip", "color_jitter", "erase", "margin"])
def test_a_policy_is_checked(field):
    with pytest.raises(BadData, match=f"{field} must be a number"):
        choose_augmentation(Policy(**{field: float("nan")}), side=32, characters=False)


def test_a_batch_above_the_memory_of_the_machine_is_refused():
    check_memory((32, 32, 3), 32)
    with pytest.raises(BadData, match=r"a batch of 10000 examples of 16384x16384x3 takes .* GiB, and this machine has"):
        check_memory((16384, 16384, 3), 10_000)


def test_a_message_names_arguments_in_python_and_flags_in_a_command():
    error = BadData("'a-b' --aa rand--x: leave --crop-margin out, or raise --data-memory (--dataset)")
    assert str(error) == "'a-b' augmentation rand--x: leave margin out, or raise data_memory (dataset)"
    assert error.message == "'a-b' --aa rand--x: leave --crop-margin out, or raise --data-memory (--dataset)"
