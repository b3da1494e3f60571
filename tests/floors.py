"""The graph of imports, read from the code: `python -m tests.floors` prints its rooms and the floor of each.

A room is a file or a folder right below `tfcnn/`, `pipelines/` or `tuning/`. It stands one floor above the highest room
that it imports, wherever in its files the import is; rooms of one circle share a floor. `--root DIR` reads another
checkout.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("tfcnn", "pipelines", "tuning")

Graph = dict[str, set[str]]


def modules(root: Path = ROOT) -> dict[str, Path]:
    """The files of the packages by the names of their modules."""
    paths = (path for package in PACKAGES for path in sorted((root / package).rglob("*.py")))
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imports(path: Path, root: Path = ROOT, nodes: Callable = ast.walk) -> Iterator[str]:
    """Every module imported anywhere in a file, `from package import module` resolved to the module."""
    for node in nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                place = root / inner.replace(".", "/")
                yield inner if place.with_suffix(".py").exists() or (place / "__init__.py").exists() else node.module


def outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    """As ast.walk, without what is inside functions and blocks for type checkers."""
    yield node
    for child in ast.iter_child_nodes(node):
        typing = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if not typing and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from outside_functions(child)


def graph_of_files(root: Path = ROOT) -> Graph:
    """Module -> the project's modules that it imports."""
    files = modules(root)
    return {name: {each for each in imports(path, root) if each in files} - {name} for name, path in files.items()}


def room_of(module: str) -> str:
    """The room of a module; the door of a package is a room, too.

    >>> room_of("tfcnn.models.classification.vgg"), room_of("tfcnn.cost"), room_of("tuning")
    ('tfcnn.models', 'tfcnn.cost', 'tuning')
    """
    return ".".join(module.split(".")[:2])


def graph_of_rooms(root: Path = ROOT) -> Graph:
    """Room -> the rooms that its files import."""
    rooms: Graph = {}
    for name, imported in graph_of_files(root).items():
        rooms.setdefault(room_of(name), set()).update(map(room_of, imported))
    return {room: imported - {room} for room, imported in rooms.items()}


def circles(graph: Graph) -> list[set[str]]:
    """The groups of nodes that reach one another: the strongly connected components of more than one node."""
    reached = {node: _reach(graph, node) for node in graph}
    groups: list[set[str]] = []
    for node in graph:
        group = {other for other in reached[node] if node in reached[other]}
        if group and group not in groups:
            groups.append(group)
    return groups


def _reach(graph: Graph, start: str) -> set[str]:
    reached: set[str] = set()
    ahead = list(graph[start])
    while ahead:
        node = ahead.pop()
        if node not in reached:
            reached.add(node)
            ahead += graph[node]
    return reached


def floors(graph: Graph) -> dict[str, int]:
    """Node -> its floor, from 1 up."""
    group_of = {node: frozenset({node}) for node in graph}
    for circle in circles(graph):
        group_of |= dict.fromkeys(circle, frozenset(circle))
    floor: dict[frozenset[str], int] = {}

    def of(group: frozenset[str]) -> int:
        if group not in floor:
            below = {group_of[imported] for node in group for imported in graph[node]} - {group}
            floor[group] = 1 + max(map(of, below), default=0)
        return floor[group]

    return {node: of(group) for node, group in group_of.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="checkout to read [this one]")
    root = parser.parse_args().root
    rooms = graph_of_rooms(root)
    floor = floors(rooms)
    for number in range(max(floor.values()), 0, -1):
        print(f"floor {number:2}  " + "  ".join(room for room in rooms if floor[room] == number))
    groups = circles(rooms)
    upward = sum(imported in group for group in groups for room in group for imported in rooms[room])
    print(f"\n{len(rooms)} rooms on {max(floor.values())} floors, {sum(map(len, rooms.values()))} arrows between them")
    print(f"{len(groups)} circles of rooms, {upward} arrows within them: {[sorted(group) for group in groups]}")
    print(f"{len(modules(root))} files, {len(circles(graph_of_files(root)))} circles of files")


if __name__ == "__main__":
    main()
