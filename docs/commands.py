"""Writes docs/commands.md from the commands' own parsers: `python -m docs.commands` (TensorFlow is not imported)."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from tfcnn.__main__ import COMMANDS
from tfcnn.completion import choices_of, parser_of

PAGE = Path(__file__).with_name("commands.md")
SHARED = "tfcnn.train"  # a flag of another command is listed by name alone where this one has the same
INTRODUCTION = f"""# Commands

Written by `python -m docs.commands` from what each command's `--help` says; defaults stand in brackets. Exit codes:
0 done, 2 bad input, 3 training or export failed, 130 and 143 interrupted. `{SHARED}` comes first, for others share
its flags.
"""


def actions_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The arguments of a command but --help."""
    return [action for action in parser._actions if action.dest != "help"]


def name_of(action: argparse.Action) -> str:
    """As a reader types it: "--lr LR", "RUN"; without its choices."""
    flags = ", ".join(action.option_strings)
    value = str(action.metavar or action.dest.upper())
    if action.nargs == 0 or choices_of(action):
        return flags
    return f"{flags} {value} ...".strip() if action.nargs in ("+", "*") else f"{flags} {value}".strip()


def help_of(action: argparse.Action) -> str:
    """What --help says, after the choices."""
    text = (action.help or "") % {"default": action.default}
    choices = ", ".join(choices_of(action))
    return f"({choices}) {text}" if choices else text


def row_of(action: argparse.Action) -> str:
    text = re.sub(r"(?<!\w)(--[a-z][a-z0-9-]*)", r"`\1`", help_of(action)).replace("*", r"\*")
    return f"| `{name_of(action)}` | {text} |"


def section(command: str, shared: set[tuple[str, str]]) -> list[str]:
    """The lines of a command. `shared` holds the name and the help of the flags that are listed elsewhere."""
    parser = parser_of(command)
    described: list[argparse.Action] = []
    referred: list[argparse.Action] = []
    for action in actions_of(parser):
        is_shared = command != SHARED and (name_of(action), help_of(action)) in shared
        (referred if is_shared else described).append(action)
    lines = [f"## {command}", "", f"`python -m {command}`: {COMMANDS[command]}.", ""]
    tables: dict[str, list[str]] = {}
    for group in parser._action_groups:
        heading = "" if group.title in ("positional arguments", "options") else f"### {command}: {group.title}"
        tables.setdefault(heading, []).extend(row_of(each) for each in group._group_actions if each in described)
    for heading, rows in tables.items():
        if rows:
            lines += [heading, ""] if heading else []
            lines += ["| argument | meaning |", "|---|---|", *rows, ""]
    if referred:
        flags = " ".join(f"`{action.option_strings[0]}`" for action in referred)
        lines += [f"As for [`{SHARED}`](#{SHARED.replace('.', '')}): {flags}", ""]
    return lines


def page() -> str:
    """The text of docs/commands.md."""
    shared = {(name_of(action), help_of(action)) for action in actions_of(parser_of(SHARED))}
    lines = [INTRODUCTION]
    for command in COMMANDS:
        lines += section(command, shared)
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
