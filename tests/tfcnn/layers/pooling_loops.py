"""The oracles of pooling, unpooling, cropping and warping: slow loops in NumPy, written from the definitions.

Each loop takes the weights first.
"""

import itertools

import numpy as np


def subsampling(weights, x):
    """LeCun 1998, section II.B, on 2x2 windows."""
    coefficient, bias = weights
    batch, height, width, channels = x.shape
    y = np.zeros((batch, height // 2, width // 2, channels))
    for n, i, j, c in np.ndindex(y.shape):
        y[n, i, j, c] = np.tanh(coefficient[c] * x[n, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c].mean() + bias[c])
    return y


def blur_pooling(row, strides):
    """Zhang 2019: the filter row * row over a mirrored map, at every position of `strides`."""
    side = len(row)
    before = side // 2

    def loop(weights, x):
        height, width = x.shape[1:3]
        y = np.zeros((x.shape[0], -(-height // strides), -(-width // strides), x.shape[3]))
        for n, i, j, c in np.ndindex(y.shape):
            for a, b in np.ndindex(side, side):
                top, left = abs(i * strides + a - before), abs(j * strides + b - before)
                top, left = min(top, 2 * (height - 1) - top), min(left, 2 * (width - 1) - left)
                y[n, i, j, c] += row[a] * row[b] * x[n, top, left, c]
        return y

    return loop


def window_cells(sizes, pool_size, strides, padding):
    """For each window its place in the output and the cells of the input in it, both in row-major order."""
    rows = []
    for size, pool, stride in zip(sizes, pool_size, strides, strict=True):
        count = -(-size // stride) if padding == "same" else (size - pool) // stride + 1
        before = max((count - 1) * stride + pool - size, 0) // 2 if padding == "same" else 0
        rows.append(
            [
                [w * stride + d - before for d in range(pool) if 0 <= w * stride + d - before < size]
                for w in range(count)
            ]
        )
    for place in np.ndindex(*map(len, rows)):
        yield place, list(itertools.product(*(row[w] for row, w in zip(rows, place, strict=True))))


def place_of_maximum(values):
    """PyTorch's rule: the first of equal maxima, and the last NaN where there is one."""
    best = 0
    for i, value in enumerate(values):
        if value > values[best] or np.isnan(value):
            best = i
    return best


def max_pooling(pool_size, strides, padding):
    def loop(weights, x):
        batch, *sizes, channels = x.shape
        cells = dict(window_cells(sizes, pool_size, strides, padding))
        values = np.zeros((batch, *(1 + max(place[i] for place in cells) for i in range(len(sizes))), channels))
        indices = np.zeros(values.shape, int)
        for (n, *place, c), window in ((p, cells[p[1:-1]]) for p in np.ndindex(values.shape)):
            chosen = window[place_of_maximum([x[(n, *cell, c)] for cell in window])]
            values[(n, *place, c)] = x[(n, *chosen, c)]
            indices[(n, *place, c)] = np.ravel_multi_index((*chosen, c), (*sizes, channels))
        return [values, indices]

    return loop


def max_unpooling(output_size):
    def loop(weights, values, indices):
        batch, *_, channels = values.shape
        y = np.zeros((batch, int(np.prod(output_size)) * channels))
        for place in np.ndindex(values.shape):
            y[place[0], int(indices[place])] = values[place]
        return y.reshape(batch, *output_size, channels)

    return loop


def max_unpooling_like(*arguments):
    def loop(weights, values, like):
        _, indices = max_pooling(*arguments)(weights, like)
        return max_unpooling(like.shape[1:-1])(weights, values, indices)

    return loop


def lp_pooling(pool_size, strides, padding, p):
    def loop(weights, x):
        cells = dict(window_cells(x.shape[1:-1], pool_size, strides, padding))
        rank = len(pool_size)
        y = np.zeros((x.shape[0], *(1 + max(place[i] for place in cells) for i in range(rank)), x.shape[-1]))
        for n, *place, c in np.ndindex(y.shape):
            y[(n, *place, c)] = sum(abs(x[(n, *cell, c)]) ** p for cell in cells[tuple(place)]) ** (1 / p)
        return y

    return loop


def bed_of_nails(size, position):
    def loop(weights, x):
        batch, *sizes, channels = x.shape
        y = np.zeros((batch, *(n * s for n, s in zip(sizes, size, strict=True)), channels))
        for n, *place, c in np.ndindex(x.shape):
            y[(n, *(i * s + p for i, s, p in zip(place, size, position, strict=True)), c)] = x[(n, *place, c)]
        return y

    return loop


def crop_like(offset):
    def loop(weights, x, like):
        y = np.zeros((*like.shape[:-1], x.shape[-1]))
        for n, *place, c in np.ndindex(y.shape):
            spare = [size - smaller for size, smaller in zip(x.shape[1:-1], like.shape[1:-1], strict=True)]
            first = [s // 2 for s in spare] if offset is None else [offset] * len(spare)
            y[(n, *place, c)] = x[(n, *(i + f for i, f in zip(place, first, strict=True)), c)]
        return y

    return loop


def roi_pooling(pool_size, stride):
    """Girshick 2015, section 2.1, bin by bin; a region on the map has at least one cell there."""

    def bins(low, high, step, size, count):
        low, high = low / step, high / step
        if min(high, size) <= max(low, 0):
            return []
        first = min(max(int(np.floor(low + 0.5)), 0), size - 1)
        end = min(max(int(np.floor(high + 0.5)), first + 1), size)
        extent = (end - first) / count
        return [
            range(first + int(np.floor(i * extent + 1e-9)), first + int(np.ceil((i + 1) * extent - 1e-9)))
            for i in range(count)
        ]

    def loop(weights, maps, regions):
        _, height, width, channels = maps.shape
        pooled = np.zeros((*regions.shape[:2], *pool_size, channels))
        for n, r in np.ndindex(*regions.shape[:2]):
            x1, y1, x2, y2 = regions[n, r]
            rows = bins(y1, y2, stride[0], height, pool_size[0])
            columns = bins(x1, x2, stride[1], width, pool_size[1])
            for (i, ys), (j, xs) in itertools.product(enumerate(rows), enumerate(columns)):
                cells = [maps[n, y, x] for y in ys for x in xs]
                for c in range(channels):
                    values = [cell[c] for cell in cells]
                    pooled[n, r, i, j, c] = values[place_of_maximum(values)]
        return pooled

    return loop


def warp_regions(size, context):
    """Each pixel of a warped region by its place in the image, from its four neighbours there; 0 outside."""

    def loop(weights, images, regions):
        _, height, width, channels = images.shape
        warped = np.zeros((*regions.shape[:2], *size, channels))
        for n, r, i, j in np.ndindex(warped.shape[:-1]):
            x1, y1, x2, y2 = regions[n, r]
            if x2 <= x1 or y2 <= y1:
                continue
            y = y1 + (i + 0.5 - context) * (y2 - y1) / (size[0] - 2 * context) - 0.5
            x = x1 + (j + 0.5 - context) * (x2 - x1) / (size[1] - 2 * context) - 0.5
            for row, column in itertools.product((np.floor(y), np.floor(y) + 1), (np.floor(x), np.floor(x) + 1)):
                if 0 <= row < height and 0 <= column < width:
                    weight = (1 - abs(y - row)) * (1 - abs(x - column))
                    warped[n, r, i, j] += weight * images[n, int(row), int(column)]
        return warped

    return loop


def split_batch(weights, x, like):
    y = np.zeros((*like.shape[:2], *x.shape[1:]))
    for n, part in np.ndindex(*like.shape[:2]):
        y[n, part] = x[n * like.shape[1] + part]
    return y
