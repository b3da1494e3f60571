"""The table of exported files."""

import tfcnn
from benchmarks.export import NAMES, PAGE, TABLE
from benchmarks.training_runs import read_rows
from tfcnn.export.comparison import LARGEST_DIFFERENCE


def test_every_network_has_a_row():
    archs = tfcnn.list_archs()
    rows = {row["arch"]: row for row in read_rows(TABLE)}
    assert sorted(rows) == sorted(archs)
    assert [line.split(" | ")[0].removeprefix("| ") for line in PAGE.read_text().splitlines()[-len(archs) :]] == archs


def test_files_answer_as_their_networks():
    for row in read_rows(TABLE):
        for form in NAMES:
            assert float(row[form]) <= LARGEST_DIFFERENCE, (row["arch"], form)
