"""Every notebook is complete and small, its exercises are checked, and it runs from top to bottom."""

import ast
import builtins
import copy
import itertools
from pathlib import Path
from unittest.mock import MagicMock

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from notebooks.exercises import ANSWER, CHECK, FOLDER, HERE, has_tag, list_notebooks, without_answer

ROOT = Path(__file__).resolve().parents[2]
LARGEST = 300_000  # bytes
LONGEST = 40  # lines of a code cell, as the formatter breaks them: arrays of the lectures take 20
FIRST_CELL = f"""import os
from importlib.util import find_spec
from pathlib import Path

{HERE}  # where the packages are
if find_spec("tfcnn") is None:  # as in Colab
    %pip install -q git+{{input("Address of tfcnn's Git repository: ")}}"""
every_notebook = pytest.mark.parametrize("path", list_notebooks(), ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def exercises_of(notebook):
    """Pairs of an answer's cell and the cell after it."""
    cells = [*notebook.cells, None]
    return [(cell, after) for cell, after in itertools.pairwise(cells) if has_tag(cell, ANSWER)]


@pytest.fixture
def folder(tmp_path):
    """The folder of the notebooks in a root that they may write into, with what they import and read."""
    for name in ("tfcnn", "pipelines", "tuning", "tests", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "notebooks").mkdir()
    return tmp_path / "notebooks"


def with_attempts(notebook):
    """A notebook in which each exercise is first checked without its answer, which has to fail."""
    notebook = copy.deepcopy(notebook)
    cells = []
    for cell, after in itertools.pairwise([*notebook.cells, None]):
        if has_tag(cell, ANSWER):
            attempt = nbformat.v4.new_code_cell(without_answer(cell.source) + "\n" + after.source)
            attempt.metadata.tags = ["raises-exception"]
            cells.append(attempt)
        cells.append(cell)
    notebook.cells = cells
    return notebook


@pytest.mark.docs
@pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client", "ignore::ResourceWarning")
@every_notebook
def test_notebook_runs(path, folder):
    notebook = with_attempts(read(path))
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    assert all(cell.execution_count for cell in code_cells(notebook))
    for attempt in [cell for cell in code_cells(notebook) if has_tag(cell, "raises-exception")]:
        errors = [output.ename for output in attempt.outputs if output.output_type == "error"]
        assert errors == ["AssertionError"], attempt.source


@every_notebook
def test_notebook_is_kept_with_its_output(path):
    """A reader on the web sees results, without paths of the machine that computed them."""
    cells = code_cells(read(path))
    assert all(cell.execution_count for cell in cells)
    outputs = [output for cell in cells for output in cell.outputs]
    pictures = [output for output in outputs if {"image/png", "image/jpeg"} & set(output.get("data", {}))]
    assert len(pictures) >= 2
    texts = [output.get("text", "") for output in outputs]
    assert not any(any(word in text for word in ("/root", "/home", "/tmp", "Error")) for text in texts)


@every_notebook
def test_notebook_is_small(path):
    assert path.stat().st_size < LARGEST
    assert [cell.source for cell in code_cells(read(path)) if len(cell.source.splitlines()) > LONGEST] == []


@every_notebook
def test_notebook_begins_with_a_title_and_the_place_of_the_packages(path):
    cells = read(path).cells
    assert cells[0].source.startswith("# ")
    assert code_cells(read(path))[0].source == FIRST_CELL


@every_notebook
def test_every_exercise_has_a_question_an_answer_and_a_check(path):
    notebook = read(path)
    questions = sum(cell.source.count("**Exercise.**") for cell in notebook.cells if cell.cell_type == "markdown")
    exercises = exercises_of(notebook)
    assert exercises
    assert questions == len(exercises)
    assert all(check is not None and has_tag(check, CHECK) for _, check in exercises)
    assert sum(has_tag(cell, CHECK) for cell in notebook.cells) == len(exercises)
    for answer, check in exercises:
        assert without_answer(answer.source)
        assertions = [statement for statement in ast.parse(check.source).body if isinstance(statement, ast.Assert)]
        assert assertions
        assert all(statement.msg is not None for statement in assertions)


def refuses(check, values):
    """Whether a check fails with a sentence, or needs more than stand-ins, which is for the execution to show."""
    try:
        exec(check, values)
    except AssertionError as failure:
        return len(str(failure)) > 10
    except TypeError as error:
        return "MagicMock" in str(error)
    return False


@every_notebook
def test_every_check_refuses_a_missing_answer_with_its_sentence(path):
    """With `...` for the answer and a stand-in for what earlier cells computed."""
    for answer, check in exercises_of(read(path)):
        loaded = {node.id for node in ast.walk(ast.parse(check.source)) if isinstance(node, ast.Name)}
        values = {name: MagicMock() for name in loaded if not hasattr(builtins, name)}
        values["np"] = np
        exec(without_answer(answer.source), values)
        assert refuses(check.source, values), check.source


def test_notebooks_are_numbered():
    assert all(path.stem[:2].isdigit() for path in FOLDER.glob("*.ipynb"))
