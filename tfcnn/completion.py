"""Completion of the script `tfcnn` in a shell, by shtab: `tfcnn --print-completion bash`. Imports no TensorFlow."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import sys
from collections.abc import Mapping
from unittest import mock

from tfcnn.errors import check_packages, choose
from tfcnn.models import registry

SHELLS = ("bash", "zsh", "tcsh", "fish")
FOLDERS = ("RUN", "DIR", "OUT", "DATA_DIR")  # values by their names in --help
FILES = ("FILE", "IMAGE", "WEIGHTS", "DATASET")


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser that prints the help of `python -m COMMAND --help`."""
    try:
        module = importlib.import_module(f"{command}.__main__")
    except ModuleNotFoundError:
        module = importlib.import_module(command)
    parsers: list[argparse.ArgumentParser] = []

    def keep(parser: argparse.ArgumentParser, file: object = None) -> None:
        parsers.append(parser)

    with (
        mock.patch.object(argparse.ArgumentParser, "print_help", keep),
        mock.patch.object(sys, "argv", [command, "--help"]),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.suppress(SystemExit),
    ):
        module.main()
    return parsers[0]


def choices_of(action: argparse.Action) -> list[str]:
    """The values that an argument takes, or an empty list."""
    if action.choices:
        return [str(choice) for choice in action.choices]
    metavar = str(action.metavar or "")
    return metavar.strip("{}").split(",") if metavar.startswith("{") else []


def completion_script(shell: str, commands: Mapping[str, str]) -> str:
    """The script that teaches a shell to complete commands, flags and values of `tfcnn`.

    Args:
        shell: one of `SHELLS`.
        commands: module -> what it does.

    Raises:
        BadInput: another shell, or shtab is not installed.
    """
    choose("shell", shell, SHELLS, flag="--print-completion")
    check_packages("--print-completion", ["shtab"], extra="completion")
    import shtab

    root = argparse.ArgumentParser(prog="tfcnn")
    subparsers = root.add_subparsers()
    for module, purpose in commands.items():
        parser = parser_of(module)
        for action in parser._actions:
            metavar = str(action.metavar or action.dest).upper().partition(".")[0]
            action.choices = [*registry.ARCHS] if action.dest == "arch" else choices_of(action) or None
            if metavar in (*FOLDERS, *FILES):
                action.complete = shtab.DIRECTORY if metavar in FOLDERS else shtab.FILE  # type: ignore[attr-defined]
        name = module.rpartition(".")[2]
        subparsers.add_parser(name, parents=[parser], add_help=False, help=purpose)
    return shtab.complete(root, shell)
