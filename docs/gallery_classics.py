"""The pictures of the gallery without a trained network: classical filters, upsampling, shortest paths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import skimage
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio

from pipelines.text import save
from tfcnn.visualize import classics

CAMERA = Path(skimage.__file__).parent / "data" / "camera.png"
SIDE = 256


def photograph() -> np.ndarray:
    """scikit-image's camera, (256, 256) from 0 to 1."""
    return np.asarray(Image.open(CAMERA).convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)) / 255


def draw_edges(path: Path) -> None:
    """Filters, what they make of a photograph, and their frequency responses."""
    image = photograph()
    filters = {
        "edges: -1 around 8": classics.EDGES,
        "Sobel, along x": classics.SOBEL,
        "Gaussian, 2 pixels": classics.gaussian(2),
    }
    figure = Figure(figsize=(10.4, 5.6), layout="constrained")
    axes = figure.subplots(2, 4)
    axes[0, 0].imshow(image, cmap="gray", vmin=0, vmax=1)
    axes[0, 0].set_title("photograph", fontsize=10)
    for number, (name, kernel) in enumerate(filters.items(), start=1):
        answer = classics.apply_filter(image, kernel)
        signed = kernel.sum() < 0.5
        limit = np.percentile(np.abs(answer), 99)
        axes[0, number].imshow(
            answer, cmap="RdBu_r" if signed else "gray", vmin=-limit if signed else 0, vmax=limit if signed else 1
        )
        axes[0, number].set_title(name, fontsize=10)
        response = np.abs(classics.frequency_response(kernel, 129))
        shown = axes[1, number].imshow(response, cmap="cividis", vmin=0, extent=(-0.5, 0.5, 0.5, -0.5))
        axes[1, number].set_xticks([-0.5, 0, 0.5])
        axes[1, number].set_yticks([-0.5, 0, 0.5])
        axes[1, number].set_xlabel("cycles a pixel", fontsize=8)
        figure.colorbar(shown, ax=axes[1, number], shrink=0.8)
        axes[1, 0].plot(np.linspace(0, 0.5, 65), response[64, 64:], ("-", "--", ":")[number - 1], label=name)
    axes[1, 0].set(xlabel="cycles a pixel along x", ylabel="|response|")
    axes[1, 0].legend(fontsize=7, frameon=False, loc="upper left")
    axes[1, 0].set_ylim(0, 16)
    axes[1, 0].grid(alpha=0.3)
    for place in axes[0]:
        place.set_axis_off()
    figure.suptitle("Filters above, their frequency responses below: the edge kernel is a high pass", fontsize=11)
    save(figure, path, dpi=100, format="png")


def draw_wavelets(path: Path) -> None:
    """Denoising and compression."""
    image = photograph()
    noisy = image + np.random.default_rng(0).normal(0, 0.1, image.shape)
    smoothed = ndimage.gaussian_filter(noisy, 1)
    coarse, details = classics.decompose(image, 2, "db2")
    lower = np.concatenate([coarse[..., None], details[1]], -1)
    panels = {
        "noise of 0.1": noisy,
        "Gaussian, 1 pixel": smoothed,
        "wavelets, soft threshold": classics.shrink(noisy, 0.1),
        "10 % of the details": classics.compress(image, 0.1),
        "3 % of the details": classics.compress(image, 0.03),
    }
    figure = Figure(figsize=(9.6, 6.6), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    show(axes[0], bank(lower, details[0]), "two levels of the bank (db2)", "")
    for place, (name, values) in zip(axes[1:], panels.items(), strict=True):
        show(place, values, name, f"{peak_signal_noise_ratio(image, values, data_range=1):.1f} dB")
    figure.suptitle(
        "A wavelet bank is a convolution with stride 2, its inverse the transposed convolution", fontsize=11
    )
    save(figure, path, dpi=100, format="png")


def bank(lower: np.ndarray, details: np.ndarray) -> np.ndarray:
    """The bands of two levels in one square: the coarse image, details about grey."""

    def square(bands: Sequence[np.ndarray]) -> np.ndarray:
        return np.block([[bands[0], bands[1]], [bands[2], bands[3]]])

    inner = square([lower[..., 0] / 4, *(0.5 + lower[..., band] for band in (1, 2, 3))])
    return square([inner, *(0.5 + 2 * details[..., band] for band in range(3))])


def show(axes: Axes, values: np.ndarray, title: str, note: str) -> None:
    """A grey image with a title and a note."""
    axes.imshow(values, cmap="gray", vmin=0, vmax=1)
    axes.set_title(f"{title}   {note}".strip(), fontsize=10)
    axes.set_axis_off()


def draw_checkerboard(path: Path) -> None:
    """How evenly layers enlarge a map, and a photograph."""
    import keras

    rng = np.random.default_rng(3)
    small = np.asarray(Image.fromarray(photograph().astype("float32")).resize((64, 64))).astype("float32")
    small = small[4:36, 18:50]
    figure = Figure(figsize=(9.6, 6), layout="constrained")
    axes = figure.subplots(2, 3)
    for column, side in enumerate((3, 4)):
        weights = np.abs(rng.normal(1, 0.3, (side, side, 1, 1))).astype("float32")
        large = np.asarray(keras.ops.conv_transpose(small[None, ..., None], weights / weights.sum() * 4, 2))[0, ..., 0]
        draw_counts(axes[0, column], classics.overlaps(side, 2), f"transposed, {side}x{side}, stride 2")
        show(axes[1, column], large, f"transposed, random weights {side}x{side}", "")
    weights = np.abs(rng.normal(1, 0.3, (3, 3, 1, 1))).astype("float32")
    doubled = keras.ops.image.resize(small[None, ..., None], (64, 64), "bilinear")
    large = np.asarray(keras.ops.conv(doubled, weights / weights.sum(), 1, "same"))[0, ..., 0]
    draw_counts(axes[0, 2], np.full((18, 18), 9.0), "bilinear, then 3x3")
    show(axes[1, 2], large, "bilinear, then random weights 3x3", "")
    figure.suptitle(
        "Above: how many products each pixel is the sum of. Below: a photograph of 32x32, enlarged", fontsize=11
    )
    save(figure, path, dpi=100, format="png")


def draw_counts(axes: Axes, counts: np.ndarray, title: str) -> None:
    """Numbers of the inner pixels as shades, written in."""
    inner = counts[4:12, 4:12]
    axes.imshow(inner, cmap="Blues", vmin=0, vmax=9)
    for (row, column), count in np.ndenumerate(inner):
        axes.text(
            column, row, f"{count:g}", ha="center", va="center", fontsize=8, color="white" if count > 5 else "black"
        )
    axes.set_title(title, fontsize=10)
    axes.set_axis_off()


def draw_paths(path: Path) -> None:
    """Distances in a maze after some layers."""
    from tfcnn.visualize.shortest_paths import distances

    rng = np.random.default_rng(4)
    walls = np.zeros((28, 28), bool)
    walls[1:-1:3] = rng.random((9, 28)) < 0.78
    costs = np.where(walls, np.inf, 1.0)
    end = (14, 14)
    costs[end] = 1
    maps = distances(costs, end, 160)
    reached = np.isfinite(maps[-1])
    enough = 1 + int(np.argmax([(one == maps[-1]).all() for one in maps]))
    figure = Figure(figsize=(10.4, 3.2), layout="constrained")
    axes = figure.subplots(1, 4)
    for place, layers in zip(axes, (5, enough // 3, 2 * enough // 3, enough), strict=True):
        values = np.ma.masked_invalid(maps[layers - 1])
        place.set_facecolor("white")
        shown = place.imshow(values, cmap="viridis_r", vmin=0, vmax=maps[-1][reached].max())
        place.imshow(np.ma.masked_where(~walls, walls), cmap="gray", vmin=0, vmax=2)
        place.plot(end[1], end[0], "o", color="#cc5522", markersize=5)
        place.set_title(f"{layers} layers", fontsize=10)
        place.set(xticks=[], yticks=[])
    figure.colorbar(shown, ax=axes, label="steps to the dot", shrink=0.9)
    figure.suptitle(f"Shortest paths by a network of min-plus layers: {enough} are enough in this maze", fontsize=11)
    save(figure, path, dpi=100, format="png")


PICTURES = {
    "edges": (
        "Filters before networks learned them",
        "The edge kernel of the slides answers to nothing that stays the same and most to the highest frequencies; "
        "Sobel's is the product of two vectors; the Gaussian is a low pass.",
        draw_edges,
    ),
    "wavelets": (
        "Denoising and compression",
        "Details below a threshold are noise, or of little worth. Peak signal-to-noise ratios against the photograph.",
        draw_wavelets,
    ),
    "checkerboard": (
        "Transposed convolution, or interpolation and convolution",
        "Where the stride does not divide the kernel, neighbours are sums of different numbers of products, and the "
        "checkerboard shows. Is bilinear interpolation a linear operation? Of the values it is: one matrix, whatever "
        "the image, as nearest neighbours, bicubic interpolation and splines are. Of the place it is not: along a "
        "diagonal it is a parabola.",
        draw_checkerboard,
    ),
    "shortest_paths": (
        "Convolution as dynamic programming",
        "`MinPlusConv2D` adds where a convolution multiplies, and takes the minimum where it adds. With stride 1, no "
        "pooling and the same weights in each layer it finds shortest paths; enough layers are as many as the longest "
        "of them has steps.",
        draw_paths,
    ),
}
