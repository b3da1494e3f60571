"""The README names what there is."""

import re
from pathlib import Path

import tfcnn
from tfcnn.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_every_command_and_architecture_is_named():
    assert {name for name in COMMANDS if f"python -m {name} " not in README} == set()
    named = set(re.findall(r"\w+", README)) | {f"vgg{n}_bn" for n in (11, 13, 16, 19)}  # "each also `_bn`"
    assert set(tfcnn.list_archs()) <= named


def test_links_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_ci_runs_the_test_command():
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text()
    assert "\nmake test " in README
