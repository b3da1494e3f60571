"""The house: imports point down, there is no circle, and each room keeps to the packages that it may touch."""

import sys

import pytest

from tests.floors import (
    ROOT,
    circles,
    floors,
    graph_of_files,
    graph_of_rooms,
    imports,
    modules,
    outside_functions,
    room_of,
)

STANDARD_LIBRARY_ONLY = (
    "tfcnn.arithmetic",
    "tfcnn.config",
    "tfcnn.consistency",
    "tfcnn.errors",
    "tfcnn.files",
    "tfcnn.flag_values",
    "tfcnn.flags",
    "tfcnn.options",
    "tfcnn.tables",
    "tfcnn.tasks",
    "tfcnn.weights.formats",
    "tfcnn.cli.parser",
    "tfcnn.cli.signals",
)
# Within a room of the standard library: a module's other packages.
ALSO = {"tfcnn.arithmetic.matrix": {"numpy", "scipy"}, "tfcnn.arithmetic.picture": {"matplotlib"}}
KERAS_ONLY = ("tfcnn.layers", "tfcnn.models")
KNOWS_PIPELINES = (
    "tfcnn.train",
    "tfcnn.evaluate",
    "tfcnn.results",
    "tfcnn.trained",
    "tfcnn.export",
    "tfcnn.serving",
    "tfcnn.training.data",
    "tfcnn.training.hooks",
    "tfcnn.training.regions",
    "tfcnn.visualize.subject",
    "tfcnn.cli.startup",
    "tuning",
)
# What both draw alike: pipelines cannot import visualize.
IN_PICTURES = {"pipelines.labelled_boxes", "pipelines.spectrum", "pipelines.text"}

FILES = [pytest.param(name, path, id=name) for name, path in modules().items()]
every_file = pytest.mark.parametrize(("name", "path"), FILES)


def within(name, places):
    return any(name == place or name.startswith(place + ".") for place in places)


def packages(names):
    return {name.split(".")[0] for name in names}


def test_the_graph_of_files_has_no_circle():
    assert circles(graph_of_files()) == []


def test_the_graph_of_rooms_has_no_circle():
    assert circles(graph_of_rooms()) == []


def test_every_import_points_down():
    """Below a room stands all that it imports; with the graph of rooms without a circle, floors are what they say."""
    rooms = graph_of_rooms()
    floor = floors(rooms)
    upward = [
        (room, imported) for room, all_of in rooms.items() for imported in all_of if floor[imported] >= floor[room]
    ]
    assert upward == []


def test_pipelines_stand_below_tfcnn_and_tuning_above():
    reached = {name.split(".")[0]: set() for name in modules()}
    for name, imported in graph_of_files().items():
        reached[name.split(".")[0]] |= packages(imported)
    assert reached["pipelines"] == {"pipelines"}
    assert "tuning" not in reached["tfcnn"]


@every_file
def test_the_standard_library_alone(name, path):
    if within(name, STANDARD_LIBRARY_ONLY):
        assert packages(imports(path)) <= {*sys.stdlib_module_names, "tfcnn"} | ALSO.get(name, set())


@every_file
def test_networks_and_layers_import_keras_alone(name, path):
    if within(name, KERAS_ONLY):
        assert not packages(imports(path)) & {"jax", "torch", "tensorflow_datasets"}
        at_once = packages(imports(path, nodes=outside_functions))
        assert "tensorflow" not in at_once, "only inside functions, guarded by keras.backend.backend()"


@every_file
def test_commands_data_and_tuning_alone_know_pipelines(name, path):
    if within(name, ["tfcnn"]) and not within(name, KNOWS_PIPELINES):
        allowed = IN_PICTURES if within(name, ["tfcnn.visualize"]) else set()
        assert {module for module in imports(path) if within(module, ["pipelines"])} <= allowed


def test_no_junk_drawers():
    drawers = {"utils", "common", "helpers", "base", "misc"}
    assert [path for path in modules().values() if path.stem in drawers or path.parent.name in drawers] == []


def test_a_circle_is_found():
    """What the other tests rely on, shown on graphs that are wrong."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]
    assert floors({"a": {"b"}, "b": set(), "c": {"a", "b"}}) == {"a": 2, "b": 1, "c": 3}
    assert room_of("tfcnn.models.registry") == "tfcnn.models"
    assert (ROOT / "tfcnn").is_dir()
