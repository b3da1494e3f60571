"""docs/slides.md: every topic of the lectures leads to code, a notebook and a test that exist."""

import ast
import importlib.util
import pkgutil
import re
from pathlib import Path

import pytest

import tfcnn
from tfcnn.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "slides.md"
HEADER = ["topic", "in the package", "notebook", "test"]


def tables():
    """The lines of each deck's table as cells, by the deck's heading."""
    decks = {}
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            table = decks.setdefault(line, [])
        elif line.startswith("|"):
            table.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return decks


def code_of(cell):
    return re.findall(r"`([^`]+)`", cell)


def links_of(cell):
    """(text, path) of each link."""
    return re.findall(r"\[([^]]+)\]\(([^)]+)\)", cell)


TABLES = tables()
ROWS = [row for table in TABLES.values() for row in table[2:]]
CODE = sorted({span for row in ROWS for span in code_of(row[1])})
LINES = [span for span in CODE if span.startswith("python -m ")]
NOTEBOOKS = {path for row in ROWS for _, path in links_of(row[2])}  # and pages, where no notebook shows the topic
TESTS = {link for row in ROWS for link in links_of(row[3])}


def test_each_deck_has_a_table():
    assert [table[0] for table in TABLES.values()] == [HEADER] * 5


def test_no_cell_is_empty():
    empty = [row for row in ROWS if not (row[0] and code_of(row[1]) and links_of(row[2]) and links_of(row[3]))]
    assert empty == []


def test_a_topic_has_one_row_in_its_deck():
    for table in TABLES.values():
        topics = [row[0] for row in table]
        assert [topic for topic in topics if topics.count(topic) > 1] == []


@pytest.mark.parametrize("name", sorted({span.split("(")[0] for span in CODE if span not in LINES}))
def test_names_resolve(name):
    pkgutil.resolve_name(name)


def test_architectures_are_registered():
    pairs = re.findall(r'tfcnn\.build\("(\w+)"|--arch (\w+)', "\n".join(CODE))
    assert {one or other for one, other in pairs} <= set(tfcnn.list_archs())


def test_commands_exist():
    others = {line.split()[2] for line in LINES} - set(COMMANDS)
    assert [module for module in others if importlib.util.find_spec(module) is None] == []


@pytest.mark.parametrize("module", sorted({line.split()[2] for line in LINES} & set(COMMANDS)))
def test_commands_have_these_flags(module, call_command, capsys):
    is_package = importlib.util.find_spec(module).submodule_search_locations is not None
    with pytest.raises(SystemExit):
        call_command(f"{module}.__main__" if is_package else module, "--help")
    described = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    used = {flag for line in LINES if line.split()[2] == module for flag in re.findall(r"--[\w-]+", line)}
    assert used - described == set()


@pytest.mark.parametrize("path", sorted({path for _, path in TESTS}))
def test_tests_exist(path):
    source = (PAGE.parent / path).resolve()
    functions = {node.name for node in ast.parse(source.read_text()).body if isinstance(node, ast.FunctionDef)}
    ids = {f"{source.relative_to(ROOT)}::{name}" for name in functions if name.startswith("test_")}
    assert {text for text, target in TESTS if target == path} - ids == set()


@pytest.mark.parametrize("path", sorted(NOTEBOOKS))
def test_notebooks_exist(path):
    assert (PAGE.parent / path).is_file()
