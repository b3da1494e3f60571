"""Convolution as dynamic programming: a network of min-plus layers finds shortest paths on a grid.

Stride 1, no pooling, the same weights in every layer: the last page of the lectures on convolutional networks. The
values of the maps are distances, a layer lets them spread by one step, and enough layers are as many as the longest of
the shortest paths has steps. With a discount the same network is value iteration.
"""

from __future__ import annotations

import math

import keras
import numpy as np

from tfcnn.layers import MinPlusConv2D

FAR = math.inf
FOUR = np.array([[FAR, 0, FAR], [0, FAR, 0], [FAR, 0, FAR]])  # steps up, left, right and down cost nothing more
EIGHT = np.array([[1, 0, 1], [0, FAR, 0], [1, 0, 1]])  # steps along a diagonal cost 1 more


def path_network(size: tuple[int, int], layers: int, steps: np.ndarray = FOUR, discount: float = 1.0) -> keras.Model:
    """A network whose layers spread distances: d <- min(d, costs + discount * (min over neighbours of d + step)).

    Args:
        size: height and width of the grid.
        layers: how many times the layer is applied, 1 or more.
        steps: (3, 3): what a step to the neighbour there costs, besides that neighbour's distance; inf: no step.
        discount: of what is further away, above 0 and at most 1.

    Returns:
        keras.Model: [distances, costs], float32 (batch, height, width, 1) each, to the list of the distances after each
        layer. At first distances are 0 where paths end and inf elsewhere; costs are those of entering a cell, inf for
        a wall.
    """
    distances = keras.Input((*size, 1))
    costs = keras.Input((*size, 1))
    spread = MinPlusConv2D(1, 3, name="spread")
    x = distances
    maps = []
    for _ in range(layers):
        x = keras.ops.minimum(x, costs + discount * spread(x))
        maps.append(x)
    model = keras.Model([distances, costs], maps)
    spread.set_weights([np.asarray(steps, "float32")[..., None, None]])
    return model


def distances(
    costs: np.ndarray,
    end: tuple[int, int],
    layers: int,
    steps: np.ndarray = FOUR,
    discount: float = 1.0,
    far: float = FAR,
) -> np.ndarray:
    """The least cost of a path from each cell to the end, by paths of at most 1, 2, ... steps.

    Args:
        costs: (height, width): of a cell that the path goes through, the first included and the end left out; inf for
            a wall.
        end: row and column.
        layers, steps, discount: as of `path_network`.
        far: the cost of a cell before a path is there. With a discount a path without an end costs no more than the
            largest cost over 1 - discount: above that, value iteration finds such paths too.

    Returns:
        float32 (layers, height, width); `far` where no such path leads.
    """
    start = np.full(costs.shape, far, "float32")
    start[end] = 0
    model = path_network(costs.shape, layers, steps, discount)
    maps = model([start[None, ..., None], costs[None, ..., None].astype("float32")])
    return np.stack([np.asarray(values)[0, ..., 0] for values in maps])
