"""The packages that are installed beside tfcnn: `pipelines` and `tuning`, whose names others may have. Standard library
only.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path

MARK = 'DISTRIBUTION = "tfcnn"'  # a line of each one's __init__.py


def problem_of(name: str) -> str | None:
    """What is wrong with the package that Python imports by a name: it is not the one beside tfcnn; else None.

    A folder of that name where Python was started comes before it, and a package of that name that is installed later
    replaces its files.
    """
    spec = importlib.util.find_spec(name)
    if spec is None:  # its import says so
        return None
    beside = Path(__file__).resolve().parents[1]
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ["a place unknown"])
    place = Path(places[0])
    folder = place.parent if spec.origin else place
    if folder.resolve() != beside / name:
        return (
            f"Python finds '{folder}' as the package {name}, and tfcnn's is '{beside / name}': rename that folder or "
            f"start in another, or install tfcnn in a separate environment"
        )
    if not spec.origin or MARK not in place.read_text(encoding="utf-8", errors="replace"):
        return (
            f"'{folder}' is not tfcnn's package {name}: another package of that name has replaced it; install tfcnn in "
            f"a separate environment"
        )
    return None


def check(name: str) -> None:
    """Report what `problem_of` finds: in a command by one line and exit code 2, in other programs by a warning.

    Programs with another package of that name can build networks, which need no data.
    """
    problem = problem_of(name)
    if problem is None:
        return
    if sys.argv[:1] == ["-m"] or Path(*sys.argv[:1]).stem == "tfcnn":  # `python -m` looks for a command, or the script
        print(f"error: {problem}", file=sys.stderr)
        raise SystemExit(2)
    warnings.warn(problem, stacklevel=3)
