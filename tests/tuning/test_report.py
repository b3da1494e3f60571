"""The report of a study that was made by hand: what it must say, and that it opens without a network."""

import csv
import datetime
import html.parser
import re

import pytest

from tfcnn.config import Config
from tuning.report import Section, to_csv, to_html, to_markdown
from tuning.study import plots
from tuning.study.trials import Found, best_first

ONE, TWO = [("val_accuracy", "max")], [("val_accuracy", "max"), ("macs", "min")]


def trial(number, scores, state="COMPLETED", **more):
    fields = {
        "values": {"lr": 0.01 * (number + 1), "opt": ("adamw", "sgd")[number % 2], "width": 0.5},
        "reason": None,
        "config": {"arch": "lenet5", "lr": 0.01 * (number + 1)},
        "metrics": {},
        "curve": {1: 0.5, 2: 0.6 + number / 100},
        "starts": 1,
        "began": datetime.datetime(2026, 1, 1) + datetime.timedelta(seconds=10 * number),
        "seconds": 9.5,
    }
    return Found(number, state, scores=scores, **fields | more)


POINTS = [(0.5, 10e6), (0.9, 40e6), (0.7, 20e6), (0.6, 30e6), (0.9, 50e6)]


def test_the_hypervolume_by_hand():
    """Bounded by 0.5 and 50M: from 0.9 at 40M 0.4 x 10M, and from 0.7 at 20M 0.2 x 20M more; 0.5 at 10M adds none."""
    trials = [trial(n, point) for n, point in enumerate(POINTS)]
    volume, bound = plots.hypervolume(trials, TWO)
    assert bound == [0.5, 50e6]
    assert volume == pytest.approx(0.4 * 10e6 + 0.2 * 20e6)
    assert [t.number for t in best_first(trials, TWO)] == [1, 2, 0]


def test_the_best_of_one_objective():
    trials = [trial(0, (0.5,)), trial(1, None, "FAILED"), trial(2, (0.7,)), trial(3, None, "PRUNED")]
    assert [t.number for t in best_first(trials, ONE)] == [2, 0]
    assert [t.number for t in best_first(trials, [("val_loss", "min")])] == [0, 2]


def test_importances_find_what_matters():
    """The score is the rate alone: `opt` changes nothing, `width` is the same everywhere."""
    trials = [trial(n, (n / 20,)) for n in range(20)]
    shares = plots.importances(trials, ONE)["val_accuracy"]
    assert list(shares) == ["lr", "opt"]
    assert shares["lr"] > 0.9


def test_pictures_show_every_trial():
    trials = [trial(n, point) for n, point in enumerate(POINTS)] + [trial(5, None, "FAILED", curve={})]
    (axes,) = plots.front(trials, TWO).axes
    assert {text.get_text() for text in axes.texts} == {"0", "1", "2"}
    assert sorted(map(tuple, axes.collections[0].get_offsets().tolist())) == sorted((macs, a) for a, macs in POINTS)
    assert len(plots.curves(trials, "val_accuracy").axes[0].lines) == 5
    assert len(plots.timing(trials).axes[0].patches) == 6
    best = plots.best_so_far(trials, TWO).axes
    assert [list(axes.lines[0].get_ydata()) for axes in best] == [[0.5, 0.9, 0.9, 0.9, 0.9], [10e6] * 5]
    assert len(plots.parallel(trials, TWO).axes) >= 3


class Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.found += [tag] if tag in ("script", "link", "iframe", "img") else []


def test_the_page_needs_no_network_and_escapes():
    picture = plots.svg(plots.front([trial(n, point) for n, point in enumerate(POINTS)], TWO))
    page = to_html("a <study>", [Section("Best", "1 < 2", (["trial"], [["`<b>`"]]), picture)])
    links = Links()
    links.feed(page)
    assert all(link.startswith("#") for link in links.found)
    assert re.findall(r"url\((?!#)", page) == []
    assert page.count("a &lt;study&gt;") == 2
    assert "<code>&lt;b&gt;</code>" in page
    assert page.count("<svg") == 1
    assert len(page) < 1_000_000


def test_the_table_reads_back(tmp_path):
    trials = [trial(0, (0.5,)), trial(1, None, "FAILED", reason="raised X: a, b\n", values={"lr": 0.3})]
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
