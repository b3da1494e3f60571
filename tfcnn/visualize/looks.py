"""The pictures of the command: what is looked at, as rows of panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from pipelines.text import plain, save
from tfcnn import receptive_field
from tfcnn.errors import BadInput, choose
from tfcnn.visualize import attribution, batch_norm, invariance, maximisation, pictures, points, randomisation
from tfcnn.visualize.curves import RUN_COLOURS, RUN_DASHES
from tfcnn.visualize.effective_field import effective_size
from tfcnn.visualize.model_picture import draw_model
from tfcnn.visualize.patches import Patch, cut, strongest_patches
from tfcnn.visualize.points import Target
from tfcnn.visualize.sheet import Row, draw_sheet
from tfcnn.visualize.subject import Subject

MAPS = 8  # activations of a layer
CHANNELS = 4  # of a layer, in patches and maximisation
PATCHES = 9  # of a channel
LARGEST_PROJECTION = 70  # pixels of a side that a deconvnet's projection is drawn with
LARGEST_ASCENT = 96  # pixels of a side, in maximisation


class View(NamedTuple):
    """What is drawn.

    Attributes:
        images: the network's inputs, (images, height, width, channels).
        names: of the images.
        layers: to look at; empty: the last map of each resolution.
        channels: of the layers; empty: the strongest.
        label: the class to explain; None: for each image the most probable.
    """

    images: np.ndarray
    names: Sequence[str]
    layers: Sequence[str] = ()
    channels: Sequence[int] = ()
    label: int | None = None


def layers_of(subject: Subject, view: View) -> list[str]:
    """The layers to look at."""
    return list(view.layers) or points.map_names(subject.model)


def norms_of(subject: Subject, view: View) -> list[str]:
    """The batch norms to look at. Raises BadInput."""
    names = batch_norm.layer_names(subject.model)
    if not names:
        raise BadInput(f"{subject.name} has no batch norm of maps: leave out batch_norm (--what)")
    for layer in view.layers:
        choose("batch norm", layer, names, flag="--layer")
    return list(view.layers) or names[:1]


def check(subject: Subject, view: View, what: Sequence[str]) -> None:
    """Raises BadInput for a layer without maps, and for channels that a layer does not have."""
    if "batch_norm" in what:
        norms_of(subject, view)
    network = points.Network(subject.model)
    for layer in layers_of(subject, view):
        shape = network.point(layer).shape[1:]
        if len(shape) != 3:
            raise BadInput(f"{layer} has no maps: its output is {'x'.join(map(str, shape))} (--layer)")
        if view.channels and max(view.channels) >= shape[-1]:
            raise BadInput(f"{layer} has channels 0 to {shape[-1] - 1}, got {max(view.channels)} (--channels)")


def channels_of(view: View, maps: np.ndarray, count: int) -> list[int]:
    """The channels to look at: as asked for, or those of the largest values."""
    return list(view.channels) or np.argsort(-maps.reshape(-1, maps.shape[-1]).max(0), kind="stable")[:count].tolist()


def draw_filters(subject: Subject, view: View, path: Path) -> None:
    """The kernels of the first convolution, each about grey and up to its largest weight."""
    filters = points.first_filters(subject.model)
    if filters.shape[-1] not in (1, 3):
        filters = filters.mean(-1, keepdims=True)
    count, height, width = filters.shape[:3]
    columns = int(np.ceil(np.sqrt(count)))
    panel = pictures.mosaic([pictures.about_grey(kernel) for kernel in filters], columns)
    title = f"{subject.name}: the {count} filters of {height}x{width} of the first convolution, 0 is grey"
    draw_sheet([Row("", [panel])], path, title=title, panel=6)


def draw_activations(subject: Subject, view: View, path: Path) -> None:
    """The strongest maps of each layer for the first image."""
    layers = layers_of(subject, view)
    values = points.activations(subject.model, view.images[:1], layers)
    photograph = pictures.as_rgb(subject.pixels(view.images[0]))
    rows = []
    for layer, maps in zip(layers, values, strict=True):
        numbers = channels_of(view, maps, MAPS)
        panels = [pictures.strength(np.maximum(maps[0, ..., number], 0)) for number in numbers]
        size = "x".join(map(str, maps.shape[1:3]))
        rows.append(Row(f"{layer}\n{size}", [photograph, *panels], [view.names[0], *(f"map {n}" for n in numbers)]))
    title = f"{subject.name}: maps of the largest values, each up to its own largest"
    draw_sheet(rows, path, title=title, panel=1.3)


def draw_batch_norm(subject: Subject, view: View, path: Path) -> None:
    """Maps of the first image before and after batch norms, those of each row on one scale."""
    rows = []
    for layer in norms_of(subject, view):
        stages = batch_norm.normalise(subject.model, view.images[:1], layer)
        deviations = stages.before.std((0, 1, 2))
        order = np.argsort(deviations, kind="stable")
        order = order[deviations[order] >= 0.001 * deviations.max()]  # some filters have no weights
        numbers = list(view.channels) or order[np.linspace(0, len(order) - 1, min(MAPS, len(order))).astype(int)]
        for words, maps in zip(("before", "normalised", "after"), stages, strict=True):
            strip = np.concatenate([maps[0, ..., number] for number in numbers], 1)
            panels = np.split(pictures.about_grey(strip[..., None]), len(numbers), 1)
            means = [f"{maps[..., number].mean():.2g} ± {maps[..., number].std():.2g}" for number in numbers]
            titles = [f"map {number}\n{mean}" for number, mean in zip(numbers, means, strict=True)]
            rows.append(Row(f"{layer}\n{words}", panels, titles))
    note = f"mean ± standard deviation of each map for {view.names[0]}; one scale a row, 0 is grey"
    draw_sheet(rows, path, title=f"{subject.name}: maps before and after batch norm", note=note, panel=1.3)


def draw_patches(subject: Subject, view: View, path: Path) -> None:
    """The patches that excite maps most, with what the deconvnet makes of each."""
    rows = []
    for layer in layers_of(subject, view):
        (maps,) = points.activations(subject.model, view.images, [layer])
        channels = channels_of(view, maps, CHANNELS)
        panels: list[np.ndarray] = []
        titles: list[str] = []
        patches = strongest_patches(subject.model, view.images, layer, channels, PATCHES)
        for channel, row in zip(channels, patches, strict=True):
            if row:
                squares = draw_channel(subject, view, layer, channel, row)
                panels += squares
                titles += [f"map {channel}", "deconvnet"][: len(squares)]
        if panels:
            rows.append(Row(layer, panels, titles))
    if not rows:
        raise BadInput("no map of these layers is above 0 in these images: give others (--images, --layer, --channels)")
    title = f"{subject.name}: patches that excite a map most, and what of them does (Zeiler & Fergus, figure 2)"
    draw_sheet(rows, path, title=title, panel=1.9)


def draw_channel(subject: Subject, view: View, layer: str, channel: int, row: Sequence[Patch]) -> list[np.ndarray]:
    """The patches of a map in a square, and their reconstructions where the network has rectifiers alone."""
    numbers = [patch.image for patch in row]
    images = view.images[numbers]
    pixels = subject.pixels(images)
    squares = [[pictures.as_rgb(cut(image, patch.box, 0.5)) for patch, image in zip(row, pixels, strict=True)]]
    if points.Network(subject.model).rectifies:
        projections = attribution.deconvnet(subject.model, images, Target(layer, channel))
        pairs = zip(row, projections, strict=True)
        small = [pictures.reduce(cut(projection, patch.box), LARGEST_PROJECTION) for patch, projection in pairs]
        squares.append([*map(pictures.about_grey, small)])
    columns = int(np.ceil(np.sqrt(len(row))))
    return [pictures.mosaic(panels, columns, max(1, len(panels[0]) // 20)) for panels in squares]


def draw_maximisation(subject: Subject, view: View, path: Path) -> None:
    """Images that excite maps most, by both forms."""
    rows = []
    side = subject.inputs.shape[0]
    size = side if has_fixed_size(subject) else min(side, LARGEST_ASCENT)
    for layer in layers_of(subject, view):
        count = int(points.Network(subject.model).point(layer).shape[-1])
        channels = list(view.channels) or [count * place // CHANNELS for place in range(CHANNELS)]
        panels = []
        titles = []
        for form in maximisation.FORMS:
            images = maximisation.maximise(subject.model, layer, channels, subject.standard, size=size, form=form)
            panels += [pictures.as_rgb(image) for image in images]
            titles += [f"map {channel}, {form}" for channel in channels]
        rows.append(Row(layer, panels, titles))
    title = f"{subject.name}: images that excite a map most (Olah et al. 2017)"
    draw_sheet(rows, path, title=title, panel=1.2)


def has_fixed_size(subject: Subject) -> bool:
    """Whether the network takes images of one size alone: a dense layer reads all places of a map."""
    return any(type(layer).__name__ == "Flatten" for layer in subject.model._flatten_layers())


def draw_attribution(subject: Subject, view: View, path: Path) -> None:
    """Which pixels the class depends on, by each method."""
    model = subject.model
    target = Target(channel=view.label)
    labels = points.Network(model).channels(view.images, target)
    window = max(view.images.shape[1] // 7, 1)
    panels: dict[str, list[np.ndarray]] = {
        "gradient": [*map(pictures.magnitude, attribution.gradient(model, view.images, target))],
        "SmoothGrad": [*map(pictures.magnitude, attribution.smooth_grad(model, view.images, target))],
        "integrated gradients": [
            pictures.signed(values.sum(-1)) for values in attribution.integrated_gradients(model, view.images, target)
        ],
    }
    if points.Network(model).rectifies:
        for name in RECTIFIERS_ONLY:
            panels[name] = [*map(pictures.about_grey, METHODS[name](model, view.images, target))]
    photographs = subject.pixels(view.images)
    heats = attribution.grad_cam(model, view.images, target)
    falls = attribution.occlusion(model, view.images, target, window=window, stride=max(window // 2, 1))
    panels["Grad-CAM"] = [*map(pictures.overlay, photographs, heats)]
    panels[f"occlusion, {window} pixels"] = [
        pictures.overlay(image, fall, diverging=True) for image, fall in zip(photographs, falls, strict=True)
    ]
    rows = []
    for number, (name, label) in enumerate(zip(view.names, labels, strict=True)):
        words = subject.class_names[label] if subject.class_names else f"output {label}"
        columns = [pictures.as_rgb(photographs[number]), *(column[number] for column in panels.values())]
        rows.append(Row(plain(words, 16), columns, [name, *panels]))
    note = "gradient and SmoothGrad by their magnitude, white is large; the others are signed, white or grey is 0"
    draw_sheet(rows, path, title=f"{subject.name}: what the class depends on", note=note)


METHODS: dict[str, Callable] = {
    "gradient": attribution.gradient,
    "guided backpropagation": attribution.guided_backpropagation,
    "deconvnet": attribution.deconvnet,
    "Grad-CAM": attribution.grad_cam,
}
RECTIFIERS_ONLY = ("guided backpropagation", "deconvnet")


def draw_randomisation(subject: Subject, view: View, path: Path) -> None:
    """How similar the maps of each method stay as the network loses its weights from the top."""
    labels = points.Network(subject.model).channels(view.images[:1], Target(channel=view.label))
    target = Target(channel=int(labels[0]))
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    rectifies = points.Network(subject.model).rectifies
    for number, (name, method) in enumerate(METHODS.items()):
        if name in RECTIFIERS_ONLY and not rectifies:
            continue
        similarities = randomisation.cascade(subject.model, view.images[:1], partial(method, target=target))
        values = [1.0, *similarities.values()]
        axes.plot(values, RUN_DASHES[number % len(RUN_DASHES)], color=RUN_COLOURS[number], label=name)
    axes.set(
        xlabel="layers with random weights, from the last on",
        ylabel="rank correlation of |map| with the whole network's",
        ylim=(min(0, *axes.get_ylim()), 1.02),
    )
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"{plain(subject.name)}: which maps show what was learned (Adebayo et al. 2018)", fontsize=11)
    figure.legend(loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    save(figure, path, dpi=110, format="png")


def draw_field(subject: Subject, view: View, path: Path) -> None:
    """What the centre of each layer's maps sees of the first image: the theoretical field, framed, and the effect."""
    photograph = pictures.as_rgb(subject.pixels(view.images[0]))
    panels = []
    titles = []
    for layer in layers_of(subject, view):
        effect = receptive_field.empirical_receptive_field(subject.model, layer, view.images)
        window = receptive_field.window(subject.model, layer, windows_only=True)
        size = receptive_field.receptive_field(subject.model, layer, windows_only=True)
        panel = pictures.overlay(photograph, np.sqrt(effect))
        panels.append(panel if window is None else pictures.frame(panel, *window))
        titles.append(f"{layer}: {size} pixels\neffective: {effective_size(effect)}")
    note = "frame: the theoretical field; light: effect of each pixel on the centre, square root of mean |gradient|"
    rows = [Row(plain(view.names[0], 16), panels, titles)]
    draw_sheet(rows, path, title=f"{subject.name}: receptive fields", note=note, panel=2.4)


AMOUNTS = {
    "shift": ("shift in pixels", (0, 1, 2, 4, 8, 16, 32)),
    "turn": ("rotation in degrees", (0, 5, 10, 20, 40, 90, 135, 180)),
    "scale": ("enlargement", (1, 1.1, 1.25, 1.5, 1.75, 2)),
}


def draw_invariance(subject: Subject, view: View, path: Path) -> None:
    """How far the features of changed images are from their own, for each layer."""
    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    axes = figure.subplots(1, len(AMOUNTS), sharey=True)
    layers = [*layers_of(subject, view), None]
    for place, (name, (words, amounts)) in zip(axes, AMOUNTS.items(), strict=True):
        change = invariance.CHANGES[name]
        curves = invariance.distances(subject.model, view.images, layers, change, amounts)
        for number, (layer, curve) in enumerate(zip(layers, curves, strict=True)):
            dashes = RUN_DASHES[number % len(RUN_DASHES)]
            colour = RUN_COLOURS[number % len(RUN_COLOURS)]
            place.plot(amounts, curve, dashes, color=colour, marker="o", markersize=3, label=layer or "output")
        place.set_xlabel(words)
        place.grid(alpha=0.3)
        place.spines[["top", "right"]].set_visible(False)
    axes[0].set(ylabel="distance, in units of\nthat between two images", ylim=(0, None))
    figure.suptitle(f"{plain(subject.name)}: how much maps change with the image", fontsize=11)
    lines, labels = axes[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside right upper", fontsize=9, frameon=False)
    save(figure, path, dpi=110, format="png")


def draw_stages(subject: Subject, view: View, path: Path) -> None:
    """The network's stages as blocks, with bars of what they hold and compute."""
    draw_model(subject.model, path, title=f"{subject.name}, {'x'.join(map(str, subject.inputs.shape))}")


LOOKS = {
    "model": draw_stages,
    "field": draw_field,
    "invariance": draw_invariance,
    "filters": draw_filters,
    "activations": draw_activations,
    "batch_norm": draw_batch_norm,
    "patches": draw_patches,
    "maximisation": draw_maximisation,
    "attribution": draw_attribution,
    "randomisation": draw_randomisation,
}
