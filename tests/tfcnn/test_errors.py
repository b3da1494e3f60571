import pytest

from tfcnn.errors import BadInput, choose, first_line

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
