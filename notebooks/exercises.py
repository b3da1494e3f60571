"""The students' version of the notebooks: `python -m notebooks.exercises [--out DIR] [--overwrite]`.

Cells with the tag `answer` become the names that they assign, each with `...` as its value; cells with the tag `check`
stay and fail until the student has filled in the answer. Outputs are cleared. Notebooks without exercises are left out.
"""

from __future__ import annotations

import ast
import copy
import sys
from pathlib import Path

import nbformat

from tfcnn.cli.parser import Parser, run_main
from tfcnn.errors import BadInput
from tfcnn.files import writing

FOLDER = Path(__file__).resolve().parent
ANSWER = "answer"
CHECK = "check"
HERE = 'if Path.cwd().name == "notebooks":\n    os.chdir("..")'
BELOW = """roots = [folder for folder in Path.cwd().parents if (folder / "tfcnn" / "__init__.py").is_file()]
if roots:
    os.chdir(roots[0])"""


def list_notebooks() -> list[Path]:
    """The notebooks with answers, in lecture order."""
    return sorted(FOLDER.glob("*.ipynb"))


def has_tag(cell: nbformat.NotebookNode, tag: str) -> bool:
    """Whether a cell has a tag."""
    return tag in cell.metadata.get("tags", [])


def assigned_names(source: str) -> list[str]:
    """The plain names that the top-level statements of a cell assign, each once, in order.

    >>> assigned_names("half = size // 2\\noutput_size = half + 1")
    ['half', 'output_size']
    """
    names: list[str] = []
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        else:
            continue
        parts = [part for target in targets for part in getattr(target, "elts", [target])]
        names += [part.id for part in parts if isinstance(part, ast.Name)]
    return list(dict.fromkeys(names))


def without_answer(source: str) -> str:
    """The source of an answer's cell for students.

    >>> without_answer("output_size = (28 - 5) + 1")
    'output_size = ...'
    """
    return "\n".join(f"{name} = ..." for name in assigned_names(source))


def students_version(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """A notebook without answers and outputs, or None if it has no exercise.

    Its first code cell changes to the directory that holds the packages, from any folder below it.

    Args:
        notebook: in format 4; not changed.
    """
    if not any(has_tag(cell, ANSWER) for cell in notebook.cells):
        return None
    version = copy.deepcopy(notebook)
    for cell in version.cells:
        if cell.cell_type != "code":
            continue
        cell.outputs = []
        cell.execution_count = None
        cell.source = without_answer(cell.source) if has_tag(cell, ANSWER) else cell.source.replace(HERE, BELOW)
    return version


def write_versions(folder: Path, *, overwrite: bool = False) -> list[Path]:
    """Write the students' version of every notebook with exercises; all of them or none.

    Args:
        folder: created if missing.
        overwrite: whether files with other content are replaced.

    Raises:
        BadInput: a file with other content is there, or the folder is a file or the notebooks' folder.
    """
    if folder.resolve() == FOLDER:
        raise BadInput(f"--out '{folder}' is the folder of the notebooks with answers; give another --out")
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"--out '{folder}' is a file; give the path of a folder")
    texts: dict[Path, str] = {}
    for path in list_notebooks():
        version = students_version(nbformat.read(path, as_version=4))
        if version is not None:
            texts[folder / path.name] = nbformat.writes(version) + "\n"
    changed = [path for path, text in texts.items() if path.exists() and _content(path) != text]
    if changed and not overwrite:
        raise BadInput(f"'{changed[0]}' has other content; give another --out, or replace it with --overwrite")
    for path, text in texts.items():
        with writing(path) as draft:
            draft.write_text(text, encoding="utf-8")
    return list(texts)


def _content(path: Path) -> str | None:
    """The text of a file, None for what is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, IsADirectoryError):
        return None


def main() -> None:
    parser = Parser(prog="python -m notebooks.exercises", description="Writes the notebooks without answers.")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("notebooks", "exercises"),
        metavar="DIR",
        help="folder, default: notebooks/exercises",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace notebooks in --out that have other content")
    arguments = parser.parse_args()
    paths = write_versions(arguments.out, overwrite=arguments.overwrite)
    print(f"{len(paths)} notebooks without answers in {arguments.out}")


if __name__ == "__main__":
    sys.exit(run_main(main))
