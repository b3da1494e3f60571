"""Packages that have the names of those beside tfcnn."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import pytest

from tfcnn import __main__ as tfcnn_main
from tfcnn import neighbours

ROOT = Path(__file__).parents[2]


@pytest.fixture
def finds(monkeypatch):
    """A function that makes Python find a package in a folder, with or without a file __init__.py."""

    def finds(folder, file=True):
        spec = importlib.machinery.ModuleSpec("pipelines", None, origin=str(folder / "__init__.py") if file else None)
        spec.submodule_search_locations = [str(folder)]
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)

    return finds


@pytest.mark.parametrize("name", ["pipelines", "tuning"])
def test_the_packages_beside_tfcnn_are_its_own(name):
    assert neighbours.problem_of(name) is None


@pytest.mark.parametrize("file", [True, False])
def test_a_package_elsewhere_is_named(finds, tmp_path, file):
    (tmp_path / "__init__.py").write_text(f"{neighbours.MARK}\n")
    finds(tmp_path, file)
    problem = neighbours.problem_of("pipelines")
    assert problem.startswith(f"Python finds '{tmp_path}' as the package pipelines, and tfcnn's is '{ROOT}/pipelines'")
    assert "\n" not in problem


def test_a_package_that_was_replaced_is_told(finds, tmp_path, monkeypatch):
    """pip writes the files of one distribution over those of another."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "__init__.py").write_text("VERSION = 1\n")
    monkeypatch.setattr(neighbours, "__file__", str(tmp_path / "tfcnn" / "neighbours.py"))
    finds(tmp_path / "pipelines")
    assert "is not tfcnn's package pipelines: another package of that name" in neighbours.problem_of("pipelines")


def test_a_program_gets_a_warning(finds, tmp_path):
    finds(tmp_path)
    with pytest.warns(UserWarning, match="as the package pipelines"):
        neighbours.check("pipelines")


@pytest.mark.parametrize("arguments", [["-m"], ["/usr/bin/tfcnn", "search"]])
def test_a_command_gets_one_line(finds, tmp_path, monkeypatch, capsys, arguments):
    finds(tmp_path)
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as end:
        neighbours.check("pipelines")
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("error: Python finds")


def test_the_script_checks_the_package_of_its_command(finds, tmp_path, monkeypatch):
    finds(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tfcnn", "report"])
    assert tfcnn_main.run() == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pipelines", "tuning"])
def test_a_folder_where_the_command_starts(run_command, tmp_path, name):
    """`tuning` is in the way of its own commands alone."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    process = run_command("tfcnn.train", "--print-config", cwd=tmp_path)
    assert process.returncode == (2 if name == "pipelines" else 0)
    assert process.stderr.count("\n") == (1 if name == "pipelines" else 0)
    process = run_command("tfcnn", "search" if name == "tuning" else "show", "--help", cwd=tmp_path)
    assert process.returncode == 2
    assert process.stderr.startswith(f"error: Python finds '{tmp_path / name}' as the package {name}")
