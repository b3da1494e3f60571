"""The README is complete and current."""

import re
from pathlib import Path

import pytest

import tfcnn
from tfcnn.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_every_command_and_architecture_is_named():
    assert {name for name in COMMANDS if f"python -m {name} " not in README} == set()
    named = set(re.findall(r"\w+", README)) | {f"vgg{n}_bn" for n in (11, 13, 16, 19)}  # "each also `_bn`"
    assert set(tfcnn.list_archs()) <= named


def links_of(page):
    return [link for link in re.findall(r"\]\(([^)]+)\)", page.read_text()) if "://" not in link]


def test_the_readme_has_links():
    assert len(links_of(ROOT / "README.md")) > 5


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name
)
def test_links_lead_somewhere(page):
    assert [link for link in links_of(page) if not (page.parent / link).exists()] == []


def test_ci_runs_the_test_command():
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()
    assert "\nmake test " in README


def table_of_architectures():
    """The rows of docs/architectures.md, which `python -m docs.architectures` writes."""
    lines = (ROOT / "docs" / "architectures.md").read_text().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")][1:]


def test_the_table_has_every_architecture():
    assert list(dict.fromkeys(row[0] for row in table_of_architectures())) == tfcnn.list_archs()


@pytest.mark.parametrize(
    ("arch", "arguments"),
    [
        ("lenet5", {}),
        ("resnet18", {}),
        ("googlenet", {}),
        ("squeezenet1_1", {}),
        ("unet", {"form": "paper"}),
        ("m5", {}),
    ],
)
def test_the_costs_in_the_table_are_current(arch, arguments):
    with tfcnn.cost.weightless():
        table = tfcnn.cost.cost_table(tfcnn.build(arch, **arguments))
    variant = " ".join(f"{key}={value}" for key, value in arguments.items())
    costs = {tuple(row[4:6]) for row in table_of_architectures() if row[:2] == [arch, variant]}
    assert costs == {(f"{table.params:,}", f"{table.macs:,}")}


def test_the_differences_in_the_table_are_small():
    errors = [float(error) for row in table_of_architectures() for error in re.findall(r"\S+e-\d+|\b0e\+00", row[8])]
    assert len(errors) > 100
    assert max(errors) < 1e-4
