"""The students' version of the notebooks has the questions and the checks, and no answer."""

import ast
from pathlib import Path

import nbformat
import pytest

from notebooks import exercises
from notebooks.exercises import ANSWER, CHECK, FOLDER, has_tag, list_notebooks, students_version, write_versions
from tfcnn.cli.parser import run_main
from tfcnn.errors import BadInput

EVERY = [pytest.param(path, id=path.stem) for path in list_notebooks()]


def read(path):
    return nbformat.read(path, as_version=4)


def exercise(answer, check="assert size == 28, 'count the places'"):
    """A notebook with one exercise, executed."""
    cells = [
        nbformat.v4.new_markdown_cell("**Exercise.** How large is the map?"),
        nbformat.v4.new_code_cell(answer, metadata={"tags": [ANSWER]}, execution_count=1),
        nbformat.v4.new_code_cell(check, metadata={"tags": [CHECK]}, execution_count=2),
    ]
    return nbformat.v4.new_notebook(cells=cells)


@pytest.mark.parametrize(
    ("answer", "question"),
    [
        ("size = 32 - 5 + 1", "size = ..."),
        ("height: int = 28\nwidth = height", "height = ...\nwidth = ..."),
        ("height, width = 28, 28", "height = ...\nwidth = ..."),
        ("size = 0\nfor step in range(28):\n    size += 1\nsize = int(size)", "size = ..."),
    ],
)
def test_an_answer_becomes_the_names_that_it_assigns(answer, question):
    assert students_version(exercise(answer)).cells[1].source == question


def test_a_check_fails_with_its_sentence_until_the_answer_is_there():
    version = students_version(exercise("size = 32 - 5 + 1"))
    values = {}
    exec(version.cells[1].source, values)
    with pytest.raises(AssertionError, match="count the places"):
        exec(version.cells[2].source, values)
    values["size"] = 28
    exec(version.cells[2].source, values)


def test_outputs_are_cleared_and_the_original_is_not_changed():
    notebook = exercise("size = 28")
    notebook.cells[2].outputs = [nbformat.v4.new_output("stream", text="28")]
    version = students_version(notebook)
    assert [cell.execution_count for cell in version.cells[1:]] == [None, None]
    assert version.cells[2].outputs == []
    assert notebook.cells[2].outputs != []


def test_a_notebook_without_exercises_has_no_version():
    notebook = exercise("size = 28")
    notebook.cells = notebook.cells[:1]
    assert students_version(notebook) is None


@pytest.mark.parametrize("path", EVERY)
def test_no_answer_is_in_the_version_of_a_notebook(path):
    original = read(path)
    version = students_version(original)
    assert [cell.id for cell in version.cells] == [cell.id for cell in original.cells]
    text = "\n".join(cell.source for cell in version.cells)
    answers = [cell.source for cell in original.cells if has_tag(cell, ANSWER)]
    lines = [line for answer in answers for line in answer.splitlines() if "=" in line]
    assert [line for line in lines if line in text.splitlines()] == []
    assert not any(cell.get("outputs") for cell in version.cells)
    checks = [cell.source for cell in original.cells if has_tag(cell, CHECK)]
    assert [cell.source for cell in version.cells if has_tag(cell, CHECK)] == checks


@pytest.mark.parametrize("folder", ["exercises", "notebooks/exercises", "courses/autumn/exercises"])
def test_the_first_cell_changes_to_the_root_from_any_folder_below(folder, tmp_path, monkeypatch):
    (tmp_path / "tfcnn").mkdir()
    (tmp_path / "tfcnn" / "__init__.py").touch()
    (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / folder)
    version = students_version(read(FOLDER / "01_quickstart.ipynb"))
    source = next(cell.source for cell in version.cells if cell.cell_type == "code")
    exec(source.partition("if find_spec")[0], {})
    assert Path.cwd() == tmp_path


def is_one_form(node):
    """Whether a value compares as equal to one spelling of an answer alone: list or tuple, last bit, type."""
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Div)
    if isinstance(node, ast.Call):
        return getattr(node.func, "id", getattr(node.func, "attr", "")) in (
            "Fraction",
            "float",
            "list",
            "tolist",
            "tuple",
        )
    return isinstance(node, (ast.List, ast.Tuple)) or isinstance(getattr(node, "value", None), (bool, float))


@pytest.mark.parametrize("path", EVERY)
def test_a_check_takes_every_form_of_an_answer(path):
    """1 / 9 and 0.111 for Fraction(1, 9), a list for a tuple; decimals that the question asks for are in its words."""
    cells = read(path).cells
    refusing = []
    for place, cell in enumerate(cells):
        if not has_tag(cell, CHECK):
            continue
        question = cells[place - 2].source.lower().replace("\n", " ")
        if any(word in question for word in ("decimal", "round to")):
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name):
                refusing += [ast.unparse(node) for value in node.comparators if is_one_form(value)]
    assert refusing == []


def test_written_versions_are_valid_and_may_be_written_again(tmp_path):
    paths = write_versions(tmp_path / "course" / "exercises")
    assert paths
    for path in paths:
        nbformat.validate(read(path))
    assert write_versions(tmp_path / "course" / "exercises") == paths


def test_a_changed_notebook_is_replaced_with_the_flag_alone(tmp_path):
    first, *others = write_versions(tmp_path)
    first.write_text("my answers")
    for path in others:
        path.unlink()
    with pytest.raises(BadInput, match=r"has other content.*--overwrite"):
        write_versions(tmp_path)
    assert list(tmp_path.iterdir()) == [first]
    assert first.read_text() == "my answers"
    write_versions(tmp_path, overwrite=True)
    assert first.read_text() != "my answers"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", str(FOLDER)], "is the folder of the notebooks with answers"),
        (["--out", str(FOLDER / "01_quickstart.ipynb")], "is a file"),
        (["--out", str(FOLDER / "01_quickstart.ipynb" / "below")], "Not a directory"),
        (["--output", "there"], "unknown argument '--output'; did you mean --out?"),
        (["--out="], "--out must not be empty"),
    ],
)
def test_bad_arguments_are_one_line(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["exercises", *arguments])
    assert run_main(exercises.main) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""
