"""What the commands may replace: nothing but an earlier output of the same kind."""

import os
import sys

import pytest

from pipelines import show
from tfcnn import compare, describe, predict, train
from tfcnn.arithmetic import __main__ as arithmetic
from tfcnn.cli.parser import run_main
from tfcnn.errors import BadInput
from tfcnn.export import __main__ as export
from tfcnn.files import PDF, PNG, SAVED_MODEL, SVG, check_target

PICTURE = b"\x89PNG\r\n\x1a\n..."


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with all that a user may name by mistake; it is the working folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("runs/a", "thesis/chapters", "model/variables", "mixed"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("config.json", "metrics.json"):
        (tmp_path / "runs/a" / name).write_text("{}")
    (tmp_path / "runs/a/curves.png").write_bytes(PICTURE)
    (tmp_path / "thesis/chapters/1.tex").write_text("years of work")
    (tmp_path / "notes.png").write_text("a text")
    for folder in ("model", "mixed"):
        (tmp_path / folder / "saved_model.pb").write_bytes(b"...")
    (tmp_path / "mixed/thesis.tex").write_text("years of work")
    (tmp_path / "picture.png").write_bytes(PICTURE)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.png/thesis.tex").write_text("years of work")
    (tmp_path / "link.png").symlink_to("picture.png")
    (tmp_path / "link").symlink_to("model")
    (tmp_path / "linked").symlink_to("thesis")
    return tmp_path


COMMANDS = {
    "compare": (compare.main, ["runs/a", "runs/a", "--out"]),
    "export": (export.main, ["runs/a", "--out"]),
    "train": (train.main, ["--arch", "lenet5", "--out"]),
    "arithmetic": (arithmetic.main, ["--input", "5", "--kernel", "3", "--figure"]),
    "describe": (describe.main, ["--arch", "lenet5", "--field"]),
    "predict": (predict.main, ["runs/a", "picture.png", "--out"]),
}
FOLDERS = ("thesis", "runs/a", "runs", "mixed", "linked", ".", "..", "/", "~", "folder.png", "")
FILES = ("notes.png", "runs/a/config.json", "thesis/chapters/1.tex", "/dev/null")
OF_OTHERS = {
    "compare": ("model", "link", "link.png", "runs/a/curves.png"),
    "export": ("picture.png", "link", "link.png", "runs/a/curves.png", "runs/a/saved_model"),
    "train": ("model", "picture.png"),
    "arithmetic": ("model", "link", "link.png", "runs/a/curves.png"),
    "describe": ("model", "link", "link.png", "runs/a/curves.png"),
    "predict": ("model", "picture.png", "link", "link.png", "runs/a/curves.png", "runs/a/saved_model"),
}
ROWS = [(command, path) for command in COMMANDS for path in (*FOLDERS, *FILES, *OF_OTHERS[command])]


def contents(folder):
    return {path.relative_to(folder): path.is_file() and path.read_bytes() for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize(("command", "path"), ROWS)
def test_nothing_else_is_replaced(command, path, place, monkeypatch, capsys):
    main, arguments = COMMANDS[command]
    if path == "~":
        path = os.path.expanduser(path)
    before = contents(place)
    monkeypatch.setattr(sys, "argv", [command, *arguments, path])
    assert run_main(main) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert contents(place) == before


@pytest.mark.parametrize(
    "path", [*FOLDERS, *FILES, *OF_OTHERS["compare"], "nowhere/a.png", "a" * 300 + ".png", "notes.png/a.png"]
)
def test_show_replaces_nothing_else(path, place, capsys):
    if path == "~":
        path = os.path.expanduser(path)
    before = contents(place)
    assert show.main(["--out", path]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")
    assert contents(place) == before


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "a/..",
        "nowhere/../thesis",
        "a" * 300 + ".png",
        "notes.png/a.png",
        "loop/a.png",
        "a\0b",
    ],
)
def test_a_path_that_cannot_be_used(path, place):
    (place / "loop").symlink_to("loop")
    with pytest.raises(BadInput, match=r"^--figure '"):
        check_target(path, PNG, flag="--figure")


def test_a_mount_point_is_not_replaced(place, monkeypatch):
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path) == "model")
    with pytest.raises(BadInput, match="--out 'model' is a mount point"):
        check_target("model", SAVED_MODEL)


@pytest.mark.parametrize(
    ("path", "kind", "content"),
    [
        ("picture.png", PNG, PICTURE),
        ("new/picture.png", PNG, None),
        ("a.pdf", PDF, b"%PDF-1.4"),
        ("a.svg", SVG, b'<?xml version="1.0"?><!DOCTYPE svg><svg xmlns="...">'),
        ("model", SAVED_MODEL, None),
    ],
)
def test_an_earlier_output_is_replaced(path, kind, content, place):
    if content:
        (place / path).write_bytes(content)
    assert str(check_target(path, kind)) == path


def test_an_empty_folder_becomes_a_saved_model(place):
    (place / "empty").mkdir()
    check_target("empty", SAVED_MODEL)
