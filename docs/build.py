"""Builds the site into site/: `make docs`, or `python -m docs.build` (needs requirements-docs.txt, not TensorFlow).

build/docs is what zensical reads: the pages of docs/, README.md as index.md, CONTRIBUTING.md, CHANGELOG.md, each
notebook as Markdown and a page for each row of REFERENCE. Links between them lead to the pages; a link to a file that
has no page becomes its name. Formulas become MathML, which browsers draw without a script, in a font that has large
operators.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import latex2mathml.converter
import nbconvert
import nbformat
import yaml
import ziamath

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
SITE = ROOT / "site"
PAGES = BUILD / "docs"
FONT = Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf"
CONFIG = ROOT / "mkdocs.yml"

REFERENCE = {  # page: its title, and modules or what they hold
    "networks": (
        "Networks and runs",
        "factory.build factory.feature_info models.registry.list_archs model_files.load_model trained "
        "config.Config train.run",
    ),
    "arithmetic": ("Arithmetic", "arithmetic.sizes arithmetic.costs arithmetic.scaling arithmetic.matrix"),
    "cost": ("Costs", "cost"),
    "receptive_field": ("Receptive fields", "receptive_field.theoretical receptive_field.effective"),
    "pooling": (
        "Layers: pooling",
        "layers.pooling.max_pooling layers.pooling.max_unpooling layers.pooling.bed_of_nails layers.pooling.lp_pooling "
        "layers.pooling.blur_pooling layers.pooling.subsampling layers.pooling.roi_pooling",
    ),
    "convolution": (
        "Layers: convolution",
        "layers.convolutional.convolution layers.convolutional.separable layers.convolutional.locally_connected "
        "layers.convolutional.orthogonal_planes layers.convolutional.deformable layers.convolutional.fft "
        "layers.convolutional.mlp layers.convolutional.min_plus",
    ),
    "other_layers": (
        "Layers: others",
        "layers.normalization layers.constraints layers.initializers layers.reshaping.padding "
        "layers.reshaping.crop_like layers.reshaping.warping layers.reshaping.split_batch",
    ),
    "weights": ("Weights", "weights.loading.load weights.loading.Loaded"),
    "losses": ("Losses and metrics", "losses metrics"),
    "detection": (
        "Detection",
        "detection.boxes detection.suppression detection.matching detection.proposals detection.metrics",
    ),
    "visualize": (
        "Pictures",
        "visualize.attribution visualize.maximisation visualize.patches visualize.effective_field visualize.invariance "
        "visualize.randomisation visualize.separability visualize.points",
    ),
    "data": ("Data", "pipelines.loading.load pipelines.dataset.Data"),
    "search": ("Search", "tuning.oracle.OptunaOracle tuning.spaces"),
}
LINK = re.compile(r"(!?)\[((?:[^][]|\[[^]]*\])*)\]\(([^()\s]+)\)")
FENCE = re.compile(r"^(?:```|~~~)")
CODE_SPAN = re.compile(r"(`+[^`]*`+)")
DISPLAY = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
INLINE = re.compile(r"(?<![\\$\w])\$(?!\s)([^$\n]+?)(?<![\s\\])\$(?![$\w])")


def full_name(name: str) -> str:
    """The name of a row of REFERENCE with its package."""
    return name if name.split(".")[0] in ("pipelines", "tuning") else f"tfcnn.{name}"


def file_of(name: str) -> Path:
    """The file that holds a row of REFERENCE."""
    path = ROOT / full_name(name).replace(".", "/")
    return path.with_suffix(".py") if path.with_suffix(".py").exists() else path.parent.with_suffix(".py")


def sources() -> dict[Path, str]:
    """The page of each file of the repository that has one."""
    pages = {ROOT / f"{name.upper()}.md": f"{name}.md" for name in ("contributing", "changelog")}
    pages[ROOT / "README.md"] = "index.md"
    pages[ROOT / "notebooks"] = "notebooks/index.md"
    for path in sorted((ROOT / "docs").rglob("*")):
        if path.suffix in (".md", ".png", ".jpg", ".css"):
            pages[path] = path.relative_to(ROOT / "docs").as_posix()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        pages[path] = f"notebooks/{path.stem}.md"
    for page, (_, modules) in REFERENCE.items():
        for name in modules.split():
            pages[file_of(name)] = f"reference/{page}.md"
    return pages


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """`text` with `change` applied to all but fenced and indented code."""
    pieces: list[tuple[bool, str]] = []  # whether it is code, and its text
    fenced = False
    after_code = True  # an indented line continues a paragraph, and is code elsewhere
    for line in text.splitlines(keepends=True):
        is_fence = bool(FENCE.match(line.lstrip()))
        is_code = fenced or is_fence or (after_code and line.startswith("    "))
        after_code = is_code or not line.strip()
        if is_fence:
            fenced = not fenced
        if pieces and pieces[-1][0] == is_code:
            pieces[-1] = (is_code, pieces[-1][1] + line)
        else:
            pieces.append((is_code, line))
    return "".join(piece if is_code else change(piece) for is_code, piece in pieces)


def with_links(text: str, source: Path, pages: dict[Path, str]) -> str:
    """The Markdown of `source` with links that lead from its page to other pages. Raises SystemExit for a dead one."""
    folder = Path(pages[source]).parent

    def rewrite(match: re.Match[str]) -> str:
        image, label, address = match.groups()
        if "://" in address or address.startswith(("#", "mailto:")):
            return match.group(0)
        path, _, anchor = address.partition("#")
        target = Path(os.path.normpath(source.parent / path))
        if target in pages:
            address = Path(os.path.relpath(pages[target], folder)).as_posix()
            return f"{image}[{label}]({address}#{anchor})" if anchor else f"{image}[{label}]({address})"
        if not target.exists():
            raise SystemExit(f"error: {source.relative_to(ROOT)} links to '{address}', which does not exist")
        return label if "`" in label else f"`{label}`"

    return outside_code(text, lambda part: LINK.sub(rewrite, part))


def with_formulas(text: str) -> str:
    """LaTeX between dollars as MathML."""

    def convert(part: str) -> str:
        part = DISPLAY.sub(lambda match: f"\n\n<div>{mathml(match.group(1), 'block')}</div>\n\n", part)
        spans = CODE_SPAN.split(part)
        spans[::2] = [INLINE.sub(inline_formula, span) for span in spans[::2]]
        return "".join(spans)

    return outside_code(text, convert)


def inline_formula(match: re.Match[str]) -> str:
    """In a span: a line that begins with <math> would begin a block of HTML."""
    return f"<span>{mathml(match.group(1), 'inline')}</span>"


def mathml(latex: str, display: str) -> str:
    return latex2mathml.converter.convert(" ".join(latex.split()), display=display)


def write(page: str, text: str) -> None:
    path = PAGES / page
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def title_of(text: str) -> str:
    """The first heading of a page."""
    return next(line[2:] for line in text.splitlines() if line.startswith("# "))


def write_notebooks(pages: dict[Path, str]) -> list[Any]:
    """Writes each notebook as Markdown with its pictures. Returns their part of the navigation."""
    navigation: list[Any] = ["notebooks/index.md"]
    rows = []
    exporter = nbconvert.MarkdownExporter()
    exporter.register_preprocessor(nbconvert.preprocessors.CoalesceStreamsPreprocessor, enabled=True)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        text, resources = exporter.from_notebook_node(notebook, {"output_files_dir": f"{path.stem}_files"})
        for name, data in resources["outputs"].items():
            picture = PAGES / "notebooks" / name
            picture.parent.mkdir(parents=True, exist_ok=True)
            picture.write_bytes(data)
            pages[path.parent / name] = f"notebooks/{name}"
        write(f"notebooks/{path.stem}.md", with_formulas(with_links(text, path, pages)))
        shutil.copy(path, PAGES / "notebooks")
        title = title_of(text)
        navigation.append({title: f"notebooks/{path.stem}.md"})
        rows.append(f"* [{title}]({path.stem}.md), [as .ipynb]({path.name})")
    write("notebooks/index.md", "# Notebooks\n\nOne a topic, in lecture order.\n\n" + "\n".join(rows) + "\n")
    return navigation


def write_reference() -> list[Any]:
    """Writes a page of directives for mkdocstrings for each row of REFERENCE. Returns their part of the navigation."""
    for page, (title, modules) in REFERENCE.items():
        directives = "\n\n".join(f"::: {full_name(name)}" for name in modules.split())
        write(f"reference/{page}.md", f"# {title}\n\n{directives}\n")
    return [{title: f"reference/{page}.md"} for page, (title, _) in REFERENCE.items()]


def write_pages() -> dict[str, Any]:
    """Writes build/docs. Returns the configuration of zensical."""
    shutil.rmtree(PAGES, ignore_errors=True)
    pages = sources()
    for source, page in pages.items():
        if source.suffix == ".md":
            write(page, with_formulas(with_links(source.read_text(), source, pages)))
        elif source.suffix in (".png", ".jpg", ".css"):
            (PAGES / page).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, PAGES / page)
    shutil.copy(FONT, PAGES)
    config = yaml.safe_load(CONFIG.read_text())
    generated = {"Notebooks": write_notebooks(pages), "Python reference": write_reference()}
    for entry in config["nav"]:
        if isinstance(entry, dict):
            entry.update({title: children for title, children in generated.items() if title in entry})
    return config


def main() -> None:
    BUILD.mkdir(exist_ok=True)
    configuration = BUILD / "mkdocs.yml"
    configuration.write_text(yaml.safe_dump(write_pages(), sort_keys=False))
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict", "--config-file", str(configuration)]
    if code := subprocess.run(command).returncode:
        sys.exit(code)
    shutil.rmtree(SITE, ignore_errors=True)
    shutil.move(BUILD / "site", SITE)  # zensical writes below its configuration


if __name__ == "__main__":
    main()
