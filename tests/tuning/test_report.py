"""The report of trials that were made by hand: what it says, and that it opens without a network."""

import csv
import html.parser
import io
import re

import pytest

from tests.tuning.trial_records import ONE, POINTS, TWO, trial
from tfcnn.config import Config
from tuning.report import ENOUGH_TRIALS, Section, best_sections, to_csv, to_html, to_markdown
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


@pytest.mark.parametrize("count", [ENOUGH_TRIALS - 1, ENOUGH_TRIALS])
def test_importances_from_few_trials_come_with_a_caution(count):
    trials = [trial(number, (number / 100,), values={"lr": 0.01 * (number + 1)}) for number in range(count)]
    (section,) = (section for section in best_sections(trials, ONE) if section.title == "Importances")
    assert ("Caution: 19 completed trials are few" in section.text) == (count < ENOUGH_TRIALS)


def test_names_in_the_report_are_text_everywhere():
    hostile = trial(0, (0.5,), "FAILED", reason="<script>\n| `", values={"=cmd|1": "@x", "net": "<img src=x>"})
    (row,) = csv.DictReader(io.StringIO(to_csv([hostile], ONE)))
    assert (row["'=cmd|1"], row["net"]) == ("'@x", "<img src=x>")
    text = to_markdown("<b>\n# x", [Section("All", "", (["values"], [["<img src=x>\n| `"]]), "")])
    assert "<" not in text
    assert text.splitlines()[0] == "# &lt;b> # x"
