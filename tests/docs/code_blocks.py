"""The code of a Markdown page: its blocks, and the command lines in it.

A comment before a block says how a test runs it:

    <!-- not run: REASON -->            it cannot run here: it needs files, a download or much time
    <!-- run with --epochs 1 -->        a block of commands: appended to those that train
    <!-- run with epochs=1 -->          a block of Python: the argument has this value
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

BLOCK = re.compile(r"^(?:<!-- (?P<note>.*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`(python -m [\w.]+ [^`]+)`")
COMMAND = re.compile(r"^(?:    )?(?:\$ )?(?:\w+='[^']*' +)?(python -m .*)$", re.MULTILINE)
TRAINING = ("tfcnn.train", "tfcnn.compress", "tuning.search")


class Block(NamedTuple):
    """A fenced block: its language, text, and the comment before it."""

    language: str
    text: str
    note: str

    @property
    def runs(self) -> bool:
        return not self.note.startswith("not run")

    @property
    def settings(self) -> list[str]:
        """The words after "run with"."""
        return self.note.removeprefix("run with ").split() if self.note.startswith("run with ") else []


def blocks_of(page: Path) -> list[Block]:
    return [Block(m["language"], m["text"], m["note"] or "") for m in BLOCK.finditer(page.read_text())]


def command_lines_of(page: Path) -> list[str]:
    """Every `python -m MODULE ...` of a page, in blocks or in sentences."""
    text = page.read_text().replace("\\\n", " ")
    return COMMAND.findall(text) + SPAN.findall(" ".join(text.split()))


def words_of(line: str) -> list[str]:
    """The module and the arguments of a command line."""
    return shlex.split(line, comments=True)[2:]


def steps_of(block: Block) -> list[tuple[str, list[str] | str]]:
    """What tests/docs/run_steps.py runs for a block: ("command", words) or ("python", source)."""
    if block.language == "python":
        source = block.text
        for setting in block.settings:
            key = setting.partition("=")[0]
            source = re.sub(rf"\b{key}=[^,)]+", setting, source)
        return [("python", source)]
    steps: list[tuple[str, list[str] | str]] = []
    for line in command_lines(block.text):
        words = words_of(line)
        steps.append(("command", words + block.settings if words[0] in TRAINING else words))
    return steps


def command_lines(text: str) -> list[str]:
    return COMMAND.findall(text.replace("\\\n", " "))
