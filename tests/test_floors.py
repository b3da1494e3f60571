"""Imports point down only: the floors of the house."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {
    0: (
        *("tfcnn.layers", "tfcnn.arithmetic", "tfcnn.config", "tfcnn.run_directory", "tfcnn.command", "pipelines"),
        *("tfcnn.layer_cost", "tfcnn.explanation", "tfcnn.visualize.windows", "tfcnn.losses", "tfcnn.matrix_view"),
        *("tfcnn.torch_names", "tfcnn.metrics", "tfcnn.flags", "tfcnn.scaling", "tfcnn.worker"),
    ),
    1: (
        *("tfcnn.models", "tfcnn.recipe", "tfcnn.checkpoint", "tfcnn.cost", "tfcnn.visualize", "tfcnn.progress"),
        *("tfcnn.graph", "tfcnn.layer_windows", "tfcnn.receptive_field", "tfcnn.weights", "tfcnn.state_dict"),
        *("tfcnn.recipes", "tfcnn.weight_average", "tfcnn.loop", "tfcnn.provenance"),
        *("tfcnn.budget", "tfcnn.tensorboard", "tfcnn.acceleration", "tfcnn.report", "tfcnn.distribution"),
    ),
    2: (
        *("tfcnn.train", "tfcnn.evaluate", "tfcnn.predict", "tfcnn.export", "tfcnn.describe", "tfcnn.__main__"),
        *("tfcnn.compare",),
    ),
    3: ("tuning",),
}
STANDARD_LIBRARY_ONLY = (
    *("tfcnn.arithmetic", "tfcnn.scaling", "tfcnn.layer_cost", "tfcnn.explanation"),
    *("tfcnn.config", "tfcnn.flags", "tfcnn.run_directory", "tfcnn.command", "tfcnn.recipes", "tfcnn.worker"),
)
MAY_IMPORT_PIPELINES = ("tfcnn.train", "tfcnn.evaluate", "tfcnn.predict", "tuning")


def modules():
    for package in ("tfcnn", "pipelines", "tuning"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield pytest.param(name, path, id=name)


def floor(name):
    """The floor of a module or of the room it is in; the package itself is the front door, above none of them."""
    return next((f for f, rooms in FLOORS.items() if any(within(name, room) for room in rooms)), None)


def within(name, room):
    return name == room or name.startswith(room + ".")


def imports(path, nodes=ast.walk):
    """Every module imported anywhere in a file, `from package import module` resolved to the module."""
    for node in nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if (ROOT / inner.replace(".", "/")).with_suffix(".py").exists() else node.module


def outside_functions(node):
    """As ast.walk, without what is inside functions."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from outside_functions(child)


@pytest.mark.parametrize(("name", "path"), list(modules()))
def test_imports_point_down(name, path):
    here = floor(name)
    assert here is not None or name == "tfcnn", f"{name} is on no floor: add its room to FLOORS"
    for imported in imports(path):
        there = floor(imported)
        if here is not None and there is not None:
            assert there <= here, f"{name} (floor {here}) imports {imported} (floor {there})"


@pytest.mark.parametrize(("name", "path"), list(modules()))
def test_rooms_keep_to_their_packages(name, path):
    found = {imported.split(".")[0] for imported in imports(path)}
    if within(name, "pipelines"):
        assert "tfcnn" not in found
    if within(name, "tfcnn.models") or within(name, "tfcnn.layers"):
        assert not found & {"jax", "torch", "tensorflow_datasets"}
        on_import = {imported.split(".")[0] for imported in imports(path, outside_functions)}
        assert "tensorflow" not in on_import, "only inside functions, guarded by keras.backend.backend()"
    if name in STANDARD_LIBRARY_ONLY:
        allowed = set(sys.stdlib_module_names) | {"tfcnn"}
        loads_models = {"keras"} if name == "tfcnn.run_directory" else set()  # inside load_model only
        assert found <= allowed | loads_models
    if within(name, "tfcnn") and not any(within(name, room) for room in MAY_IMPORT_PIPELINES):
        assert "pipelines" not in found


def test_no_junk_drawers():
    drawers = {"utils", "common", "helpers", "base", "misc"}
    found = [
        p for package in ("tfcnn", "pipelines", "tuning") for p in (ROOT / package).rglob("*") if p.stem in drawers
    ]
    assert not found
