import pytest

import tfcnn
from tfcnn.config import Config
from tfcnn.errors import BadInput, choose, first_line, flags_in_messages

SPLITS = ("train", "validation", "test")


def test_an_allowed_name_is_returned():
    assert choose("split", "test", SPLITS, flag="--split") == "test"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("tset", "did you mean test?"), ("holdout", "choose from train, validation, test")],
)
def test_another_name_is_refused_with_a_hint_and_the_flag(name, hint):
    with pytest.raises(BadInput) as caught:
        choose("split", name, SPLITS, flag="--split")
    assert str(caught.value) == f"unknown split '{name}'; {hint} (--split)"


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("out of memory\nat step 3", "out of memory"),
        ("{{function_node __wrapped__SaveV2}} disk full [Op:SaveV2]", "disk full"),
        ("", "ValueError"),
    ],
)
def test_the_first_line_of_an_error(message, line):
    assert first_line(ValueError(message)) == line


def refusal(call):
    """The message to a caller in Python."""
    with flags_in_messages(False):
        with pytest.raises(BadInput) as caught:
            call()
        return str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": -1}, "epochs must be a whole number at least 1, got '-1'"),
        ({"batch_size": "a"}, "batch_size must be a whole number at least 1, got 'a'"),
        ({"warmup_epochs": 3.0, "epochs": 2}, "warmup_epochs 3 is more than epochs 2: lower one or raise the other"),
        ({"arch_args": {"input_shape": 3}}, "arch_args cannot set input_shape: it follows from image_size"),
    ],
)
def test_config_names_its_fields(fields, message):
    assert refusal(lambda: Config(**fields)) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("unet", None, 2, {"levls": 3}), "unknown argument of unet 'levls'; did you mean levels?"),
        (("vgg11", (8, 8, 3), 2, {}), "images of 8x8 are too small for vgg11: it needs 32 pixels a side (input_shape)"),
        (("lenet", None, 2, {}), "unknown architecture 'lenet'; did you mean lenet5 or alexnet or segnet? (arch)"),
    ],
)
def test_build_names_its_arguments(arguments, message):
    *positional, overrides = arguments
    assert refusal(lambda: tfcnn.build(*positional, **overrides)) == message


def test_errors_within_errors_name_the_arguments_of_build():
    message = refusal(lambda: tfcnn.build("unet", (16, 64, 3), 2, encoder="vgg11"))
    assert message.startswith("unet cannot be built: images of 16x64 are too small for vgg11")
    assert message.endswith("(input_shape)")


def test_a_command_speaks_of_flags(run_command):
    assert "--epochs must be a whole number" in run_command("tfcnn.train", "--epochs", "-1").stderr
