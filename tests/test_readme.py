"""README and documents are complete and current."""

import json
import re
from pathlib import Path

import pytest

import tfcnn
from tfcnn.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
ARCHITECTURES = (ROOT / "docs" / "guides" / "architectures.md").read_text()
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LINK = re.compile(r"\]\(([^()\s]+)\)")


def test_the_readme_is_short():
    assert len(README.split()) <= 700


def test_every_architecture_is_named():
    named = set(re.findall(r"\w+", ARCHITECTURES)) | {f"vgg{n}_bn" for n in (11, 13, 16, 19)}  # "each also `_bn`"
    assert set(tfcnn.list_archs()) <= named
    assert f"{len(tfcnn.list_archs())} architectures" in README


def test_every_command_has_a_section():
    headings = re.findall(r"^## (.*)$", (ROOT / "docs" / "commands.md").read_text(), re.MULTILINE)
    assert headings == list(COMMANDS)


def dead_links(text, folder):
    """The links of a page, or the text of a notebook, to files that do not exist."""
    links = [link.partition("#")[0] for link in LINK.findall(text) if "://" not in link and link[0] != "#"]
    return [link for link in links if not (folder / link).exists()]


def test_the_readme_has_links_to_the_guides():
    guides = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs" / "guides").glob("*.md")}
    assert guides <= set(LINK.findall(README))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    assert dead_links(page.read_text(), page.parent) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_of_notebooks_lead_somewhere(path):
    cells = json.loads(path.read_text())["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    assert dead_links(text, path.parent) == []


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
