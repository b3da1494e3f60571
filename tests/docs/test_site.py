"""The site has every page, and builds without a dead link."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(re.findall(r"[\w/]+\.md", navigation)) == sorted(
        pages | {"index.md", "contributing.md", "changelog.md"}
    )


@pytest.mark.docs
def test_the_site_builds(clone):
    pytest.importorskip("zensical", reason="make docs installs it")
    build = [sys.executable, "-m", "docs.build"]
    process = subprocess.run(build, cwd=clone, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-2000:]
    assert "MaxUnpooling2D" in (clone / "site" / "reference" / "pooling.html").read_text()


def test_what_the_builder_does_with_links_and_formulas():
    build = pytest.importorskip("docs.build", reason="make docs installs what it imports", exc_type=ImportError)
    readme = ROOT / "README.md"
    pages = build.sources()
    text = "[data](docs/data.md#top), [code](tfcnn/tables.py)\n\n```\n[c](d)\n```\n"
    expected = "[data](data.md#top), `code`\n\n```\n[c](d)\n```\n"
    assert build.with_links(text, readme, pages) == expected
    with pytest.raises(SystemExit, match=r"README.md links to 'none.md'"):
        build.with_links("[a](none.md)", readme, pages)
    formula = build.with_formulas("The size $n$ costs 3 $, `$x$` nothing.")
    assert re.fullmatch(r"The size <span><math .*?<mi>n</mi>.*</math></span> costs 3 \$, `\$x\$` nothing\.", formula)
