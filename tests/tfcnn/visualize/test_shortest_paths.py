"""Shortest paths by layers against scipy's Dijkstra, value iteration against solved equations."""

import numpy as np
import pytest
from scipy.ndimage import grey_erosion
from scipy.sparse import lil_array
from scipy.sparse.csgraph import dijkstra

from tfcnn.layers import MinPlusConv2D
from tfcnn.visualize.shortest_paths import EIGHT, FOUR, distances

END = (1, 2)


def costs(height=6, width=7, seed=0):
    """Costs of cells with some walls."""
    rng = np.random.default_rng(seed)
    grid = rng.integers(1, 9, (height, width)).astype(float)
    grid[rng.random(grid.shape) < 0.25] = np.inf
    grid[END] = 1
    return grid


def neighbours(grid, steps):
    """(cell, neighbour, cost of the step) of every step between cells that are no walls."""
    for cell in np.ndindex(grid.shape):
        for a, b in np.ndindex(3, 3):
            other = (cell[0] + a - 1, cell[1] + b - 1)
            inside = 0 <= other[0] < grid.shape[0] and 0 <= other[1] < grid.shape[1]
            if inside and np.isfinite(steps[a, b]) and np.isfinite(grid[cell]) and np.isfinite(grid[other]):
                yield cell, other, grid[cell] + steps[a, b]


def shortest(grid, steps):
    """By Dijkstra: the cost of each cell, and the least number of steps of a path with that cost."""
    number = np.arange(grid.size).reshape(grid.shape)
    graph = lil_array((grid.size, grid.size))
    tiny = 1e-6  # a step's, so that of equally short paths the one of fewest steps is taken
    for cell, other, cost in neighbours(grid, steps):
        graph[number[other], number[cell]] = cost + tiny
    length = dijkstra(graph.tocsr(), indices=number[END]).reshape(grid.shape)
    whole = np.round(length)
    reached = np.isfinite(length)
    return whole, round(np.max(length[reached] - whole[reached]) / tiny)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("steps", [FOUR, EIGHT], ids=["four", "eight"])
def test_enough_layers_give_the_shortest_paths_and_one_fewer_do_not(steps, seed):
    grid = costs(seed=seed)
    expected, longest = shortest(grid, steps)
    assert longest >= 4
    maps = distances(grid, END, longest + 2, steps)
    np.testing.assert_array_equal(maps[longest - 1], expected)
    np.testing.assert_array_equal(maps[-1], expected)
    assert (maps[longest - 2] != expected).any()


def test_value_iteration_reaches_the_solution_of_its_equations():
    """Howard's policy iteration: solve the linear equations of a policy, improve it, until it stays."""
    grid = costs()
    discount = 0.9
    number = np.arange(grid.size).reshape(grid.shape)
    moves: dict = {}
    for cell, other, cost in neighbours(grid, FOUR):
        if cell != END:
            moves.setdefault(number[cell], []).append((number[other], cost))
    policy = {cell: options[0] for cell, options in moves.items()}
    while True:
        matrix = np.eye(grid.size)
        costs_of = np.zeros(grid.size)
        for cell, (other, cost) in policy.items():
            matrix[cell, other] -= discount
            costs_of[cell] = cost
        values = np.linalg.solve(matrix, costs_of)
        better = {
            cell: min(options, key=lambda option: option[1] + discount * values[option[0]])
            for cell, options in moves.items()
        }
        if better == policy:
            break
        policy = better
    reached = distances(grid, END, 120, FOUR, discount, far=100)[-1]
    cells = sorted(policy)
    assert len(cells) > 20
    np.testing.assert_allclose(reached.ravel()[cells], values[cells], rtol=1e-3)


def test_one_channel_is_grey_scale_erosion():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(7, 8))
    kernel = rng.normal(size=(3, 3))
    layer = MinPlusConv2D(1)
    layer.build((None, 7, 8, 1))
    layer.set_weights([kernel[..., None, None]])
    expected = grey_erosion(image, structure=-kernel, mode="constant", cval=np.inf)
    np.testing.assert_allclose(layer(image[None, ..., None])[0, ..., 0], expected, rtol=1e-5, atol=1e-6)
