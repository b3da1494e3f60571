import csv
import io

import pytest

from tfcnn.tables import as_csv, as_markdown, as_text, printable


def test_words_are_flush_left_and_numbers_flush_right():
    text = as_text(("a", "number"), [("long", "1"), ("b", "22")], ("all", "23"), words=[0])
    assert text.split("\n") == [
        "a     number",
        "------------",
        "long       1",
        "b         22",
        "------------",
        "all       23",
    ]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("a|b\\|c", "a\\|b\\\\\\|c"),
        ("[x](javascript:y)", "\\[x](javascript:y)"),
        ("a `b", "a \\`b"),
        ("two\nlines\ttab", "two lines tab"),
        ("\x1b[2J", "\\[2J"),
        ("`python -m x 'a<b'`", "`python -m x 'a<b'`"),
    ],
)
def test_a_cell_of_markdown_is_text(cell, text):
    assert as_markdown(("a",), [(cell,)], words=[0]).splitlines()[2:] == [f"| {text} |"]


@pytest.mark.parametrize("cell", ["=HYPERLINK(1)", "+cmd", "@SUM(1)", "-2+3", "\t=1", "\r=1", "\n=1"])
def test_a_cell_of_csv_is_no_formula(cell):
    ((head, *_), (row, *_)) = csv.reader(io.StringIO(as_csv((cell,), [(cell, 1)]), newline=""))
    text = cell.replace("\r", "\n")
    assert (head, row) == (f"'{text}", f"'{text}")


@pytest.mark.parametrize("cell", [-3, -0.5, "-0.5", "+1e3", "plain"])
def test_numbers_stay_numbers_in_csv(cell):
    assert as_csv(("a",), [(cell,)]) == f"a\n{cell}"


def test_a_terminal_gets_no_control_characters():
    assert printable("a\x1b[31m\x07\x9b\u202eb\r\nc") == "a[31mb  c"
    assert as_text(("a",), [("\x1b]0;title\x07b",)], words=[0]).splitlines()[2] == "]0;titleb"
