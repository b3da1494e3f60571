"""The code of README and guides: commands that exist, Python that compiles, and both run."""

import functools
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs.commands import parser_of
from tests.docs.code_blocks import blocks_of, command_lines_of, steps_of, words_of
from tfcnn.__main__ import COMMANDS
from tfcnn.config_files import FIELDS
from tfcnn.training import recipes

ROOT = Path(__file__).resolve().parents[2]
GUIDES = [ROOT / "README.md", ROOT / "docs" / "training.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
PAGES = [*GUIDES, *(ROOT / "docs" / f"{name}.md" for name in ("tasks", "gallery", "serving", "benchmarks", "results"))]
RUN = [page for page in GUIDES if any(block.runs and block.language in ("sh", "python") for block in blocks_of(page))]

parser = functools.cache(parser_of)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_are_accepted(page):
    for line in command_lines_of(page):
        module, *arguments = words_of(line)
        if module in COMMANDS:
            flags = vars(parser(module).parse_args(arguments))
            if module == "tfcnn.train" and not flags.get("resume"):
                recipes.resolve({name: value for name, value in flags.items() if name in FIELDS})
        else:
            assert importlib.util.find_spec(module), line


def test_a_wrong_flag_is_seen():
    with pytest.raises(ValueError, match="unknown argument"):
        parser("tfcnn.train").parse_args(["--epoch", "3"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_compiles(page):
    for block in blocks_of(page):
        if block.language == "python":
            compile(block.text, page.name, "exec")


@pytest.mark.docs
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_blocks_run(page, clone):
    blocks = [block for block in blocks_of(page) if block.runs and block.language in ("sh", "python")]
    steps = [step for block in blocks for step in steps_of(block)]
    process = subprocess.run(
        [sys.executable, str(clone / "tests" / "docs" / "run_steps.py")],
        cwd=clone,
        input=json.dumps(steps),
        env=os.environ | {"PYTHONPATH": str(clone)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-2000:]
