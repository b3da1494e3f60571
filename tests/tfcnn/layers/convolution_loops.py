"""The oracles of the convolutions: slow loops in NumPy, written from the definitions. `weights` come first."""

import itertools

import numpy as np

PADDING = {"zero": "constant", "replicate": "edge", "reflect": "reflect", "circular": "wrap"}  # NumPy's names


def identity(x):
    return x


def padding(weights, x, amounts, mode="zero"):
    return np.pad(x, ((0, 0), *amounts, (0, 0)), mode=PADDING[mode])


def local_response_normalization(weights, x, size, alpha, beta, k):
    y = np.zeros_like(x)
    maps = x.shape[-1]
    for i in range(maps):
        neighbours = [j for j in range(i - size // 2, i - size // 2 + size) if 0 <= j < maps]
        y[..., i] = x[..., i] / (k + alpha * sum(x[..., j] ** 2 for j in neighbours)) ** beta
    return y


def windows(x, kernel_size, strides=None, dilation_rate=None):
    """(position, window of all images) for each place of a kernel on a map; window: (batch, *kernel_size, channels)."""
    rank = x.ndim - 2
    strides = strides or (1,) * rank
    dilation_rate = dilation_rate or (1,) * rank
    covered = [d * (k - 1) + 1 for k, d in zip(kernel_size, dilation_rate, strict=True)]
    counts = [(n - e) // s + 1 for n, e, s in zip(x.shape[1:-1], covered, strides, strict=True)]
    for place in itertools.product(*map(range, counts)):
        corner = [p * s for p, s in zip(place, strides, strict=True)]
        yield (
            place,
            x[(slice(None), *(slice(c, c + e, d) for c, e, d in zip(corner, covered, dilation_rate, strict=True)))],
        )


def gather(batch, values):
    """A list of (position, batch of vectors) as one array."""
    values = list(values)
    y = np.zeros((batch, *np.add(values[-1][0], 1), values[0][1].shape[-1]))
    for place, vectors in values:
        y[(slice(None), *place)] = vectors
    return y


def convolution(weights, x, strides=None, dilation_rate=None, amounts=None, mode="zero", activation=identity):
    """Cross-correlation, as every convolution of a network; groups from the kernel's channels."""
    kernel, *bias = weights
    x = padding((), x, amounts, mode) if amounts else x
    channels, filters = kernel.shape[-2:]
    groups = x.shape[-1] // channels

    def value(window):
        outputs = []
        for f in range(filters):
            first = f // (filters // groups) * channels
            products = window[..., first : first + channels] * kernel[..., f]
            outputs.append(products.reshape(len(x), -1).sum(axis=1))
        return activation(np.stack(outputs, axis=-1) + (bias[0] if bias else 0))

    return gather(len(x), ((p, value(w)) for p, w in windows(x, kernel.shape[:-2], strides, dilation_rate)))


def locally_connected(weights, x, kernel_size, strides=None, amounts=None, activation=identity):
    """The kernels in the order of the places; each one's rows in the order of the window's pixels and channels."""
    kernels, bias = weights
    x = padding((), x, amounts) if amounts else x
    places = windows(x, kernel_size, strides)
    return gather(
        len(x),
        ((p, activation(w.reshape(len(x), -1) @ kernels[i] + bias[p])) for i, (p, w) in enumerate(places)),
    )


def separable(weights, x, **how):
    """The 2-D kernel of each channel and filter is a sum of products of a column and a row."""
    column, row, *bias = weights
    kernel = np.zeros((len(column), row.shape[1], column.shape[2], row.shape[3]))
    for i, j, c, f in np.ndindex(kernel.shape):
        kernel[i, j, c, f] = sum(column[i, 0, c, r] * row[0, j, r, f] for r in range(row.shape[2]))
    return convolution([kernel, *bias], x, **how)


def orthogonal_planes(weights, x, merge, **how):
    """A 3-D kernel that is zero off the planes through its middle voxel, for each plane."""
    *planes, bias = weights
    box = np.max([plane.shape for plane in planes], axis=0)
    results = []
    for axis, plane in enumerate(planes):
        kernel = np.zeros(box)
        middle = [slice(None)] * 5
        middle[axis] = slice((box[axis] - 1) // 2, (box[axis] - 1) // 2 + 1)
        kernel[tuple(middle)] = plane
        results.append(convolution([kernel], x, **how))
    return (sum(results) if merge == "sum" else np.concatenate(results, axis=-1)) + bias


def mlp_convolution(weights, x, strides, amounts, activation):
    """The same perceptron on every window."""
    (kernel, bias), *dense = zip(weights[::2], weights[1::2], strict=True)

    def perceptron(window):
        values = activation(window.reshape(len(x), -1) @ kernel.reshape(-1, len(bias)) + bias)
        for matrix, offset in dense:
            values = activation(values @ matrix[0, 0] + offset)
        return values

    return gather(len(x), ((p, perceptron(w)) for p, w in windows(padding((), x, amounts), kernel.shape[:2], strides)))


def bilinear(image, row, column):
    """The image between its pixels: every pixel counts by its distance in both directions; nothing is outside."""
    y = np.zeros(image.shape[-1])
    for i in (int(np.floor(row)), int(np.floor(row)) + 1):
        for j in (int(np.floor(column)), int(np.floor(column)) + 1):
            if 0 <= i < image.shape[0] and 0 <= j < image.shape[1]:
                y += image[i, j] * (1 - abs(row - i)) * (1 - abs(column - j))
    return y


def deformable(weights, x, strides=(1, 1), dilation_rate=(1, 1), amounts=None, mode="zero", activation=identity):
    """Dai et al., equation 2: each tap of each place samples where its offset points."""
    kernel, offset_kernel, offset_bias, bias = weights
    offsets = convolution([offset_kernel, offset_bias], x, strides, dilation_rate, amounts, mode)
    x = padding((), x, amounts, mode) if amounts else x
    y = np.zeros((*offsets.shape[:3], kernel.shape[-1]))
    for n, i, j in np.ndindex(offsets.shape[:3]):
        for tap, (a, b) in enumerate(np.ndindex(kernel.shape[:2])):
            row = i * strides[0] + a * dilation_rate[0] + offsets[n, i, j, 2 * tap]
            column = j * strides[1] + b * dilation_rate[1] + offsets[n, i, j, 2 * tap + 1]
            y[n, i, j] += bilinear(x[n], row, column) @ kernel[a, b]
    return activation(y + bias)


def min_plus(weights, x):
    """The least sum of a value and a weight; what lies beyond the map is left out."""
    (kernel,) = weights
    rows, columns, channels, filters = kernel.shape
    batch, height, width = x.shape[:3]
    y = np.full((batch, height, width, filters), np.inf)
    for n, i, j, f in np.ndindex(y.shape):
        for a, b, c in np.ndindex(rows, columns, channels):
            top, left = i + a - (rows - 1) // 2, j + b - (columns - 1) // 2
            if 0 <= top < height and 0 <= left < width:
                y[n, i, j, f] = min(y[n, i, j, f], x[n, top, left, c] + kernel[a, b, c, f])
    return y
