"""The report of trials that were made by hand: what it says, and that it opens without a network."""

import csv
import html.parser
import re

import pytest

from tests.tuning.made_trials import ONE, POINTS, TWO, trial
from tfcnn.config import Config
from tuning.report import Section, to_csv, to_html, to_markdown
from tuning.study import plots


class Links(html.parser.HTMLParser):
    """Collects what a page would load."""

    def __init__(self):
        super().__init__()
        self.links = []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.links += [tag] if tag in ("script", "link", "iframe", "img") else []


@pytest.fixture(scope="module")
def page():
    picture = plots.svg(plots.front([trial(n, point) for n, point in enumerate(POINTS)], TWO))
    return to_html("a <study>", [Section("Best", "1 < 2", (["trial"], [["`<b>`"]]), picture)])


def test_the_page_needs_no_network(page):
    parser = Links()
    parser.feed(page)
    assert all(link.startswith("#") for link in parser.links)
    assert re.findall(r"url\((?!#)", page) == []


def test_the_page_escapes(page):
    assert page.count("a &lt;study&gt;") == 2
    assert "<code>&lt;b&gt;</code>" in page


def test_the_page_holds_its_picture(page):
    assert page.count("<svg") == 1
    assert len(page) < 1_000_000


def test_the_table_reads_back(tmp_path):
    trials = [trial(0, (0.5,)), trial(1, (), "FAILED", reason="raised X: a, b\n", values={"lr": 0.3})]
    (tmp_path / "t.csv").write_text(to_csv(trials, ONE))
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["val_accuracy"] for row in rows] == ["0.5", ""]
    assert rows[1]["reason"] == "raised X: a, b\n"
    assert [row["opt"] for row in rows] == ["adamw", ""]
    assert Config(**trials[0].config).lr == float(rows[0]["lr"])


def test_markdown_tables_keep_their_columns():
    text = to_markdown("t", [Section("Failures", "", (["reason", "n"], [["a | b", "1"]]), "")])
    assert "| a \\| b | 1 |" in text
