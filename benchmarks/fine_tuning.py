"""Test accuracy after fine-tuning: `python -m benchmarks.fine_tuning [--archs A ...] [--datasets D ...] [--seeds N]`.

A network is trained on a first data set and then on a small second one, both of 32x32 grey pixels:

    figures       cut from the scenes of `shapes`: 1,500 of shapes/easy, then 120 of shapes/hard, with the same classes
    photographs   windows of the photographs that ship with scikit-image and scikit-learn, a class each: 80 of each of
                  eight, then 10 of each of eight others; test windows come from the last quarter of a photograph, those
                  for training from its left half
    digits        3,000 images of Fashion-MNIST (Debian's package dataset-fashion-mnist), then 100 scans of scikit-learn

A cell is the mean test accuracy after the last epoch and the standard deviation over the seeds: from fresh weights;
from the loaded weights at the rate for fresh ones, all layers from the start; and by the recipe for loaded weights
(tfcnn/training/recipes.py). All else is the default recipe.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from sklearn import datasets

from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config
from tfcnn.training import recipes
from tfcnn.training.data import load_data

Scores = list[float]

ARCHS = ("mobilenet_v2", "resnet18", "squeezenet1_1")
SCALES = {  # of each network
    "mobilenet_v2": {"width": 0.35, "depth": 0.34},
    "resnet18": {"width": 0.25, "depth": 0.5},
    "squeezenet1_1": {"width": 0.5},
}
USUAL = {"image_size": 32, "precision": "float32", "hflip": 0.0}
PRETRAINING = {"epochs": 10, "batch_size": 32}
TRAINING = {"epochs": 30, "batch_size": 16}
FASHION = Path("/usr/share/datasets/fashion-mnist")
SIDE = 32
HEIGHT = 256  # of a photograph's shorter side
WINDOW = 48  # of which a crop is cut
REGIONS = {"train": (0, 0.5, None), "validation": (0.5, 0.75, 10), "test": (0.75, 1, 40)}  # of the width; crops a class
PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "china",
    "coffee",
    "coins",
    "flower",
    "grass",
    "gravel",
    "hubble_deep_field",
    "ihc",
    "moon",
    "motorcycle_left",
    "retina",
    "rocket",
)


def find_photograph(name: str) -> Path:
    """The file of a photograph in the installed packages. Raises SystemExit if it is missing."""
    skimage = importlib.util.find_spec("skimage")
    folders = [Path(datasets.__file__).parent / "images"]
    folders += [Path(place) / "data" for place in (skimage.submodule_search_locations or [])] if skimage else []
    paths = [path for folder in folders for path in folder.glob(f"{name}.*")]
    if not paths:
        raise SystemExit(f"no photograph '{name}' in {', '.join(map(str, folders))}: pip install scikit-image")
    return paths[0]


def write_photographs(root: Path, names: Sequence[str], crops: int) -> Path:
    """A folder of windows of photographs, `crops` a class for training; those of two splits share no pixel."""
    rng = np.random.default_rng(0)
    for name in names:
        with Image.open(find_photograph(name)) as picture:
            grey = picture.convert("L")
        scale = HEIGHT / min(grey.size)
        grey = grey.resize((round(grey.width * scale), round(grey.height * scale)))
        for split, (start, end, count) in REGIONS.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count or crops):
                left = int(rng.integers(round(start * grey.width), round(end * grey.width) - WINDOW + 1))
                top = int(rng.integers(grey.height - WINDOW + 1))
                window = grey.crop((left, top, left + WINDOW, top + WINDOW)).resize((SIDE, SIDE))
                window.save(folder / f"{number}.png")
    return root


def write_digits(path: Path) -> Path:
    """An .npz file of scikit-learn's scans, in an order drawn once."""
    images, labels = datasets.load_digits(return_X_y=True)
    levels = (images.reshape(-1, 8, 8) * (255 / 16)).round().astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(labels))
    splits = {"train": order[:100], "val": order[100:200], "test": order[200:560]}
    arrays = {}
    for split, places in splits.items():
        arrays[f"x_{split}"] = np.stack([resize(levels[place]) for place in places])
        arrays[f"y_{split}"] = labels[places]
    return save(path, arrays)


def write_figures(path: Path, difficulty: str, count: int) -> Path:
    """An .npz file of figures in the scenes of `shapes`, cut out with the ground around them: `count` for training."""
    from pipelines.embedded import scenes

    config = next(config for config in scenes.DIFFICULTIES if config.name == difficulty)
    arrays = {}
    for split, (name, size) in enumerate({"train": count, "val": 100, "test": 300}.items()):
        images: list[np.ndarray] = []
        labels: list[str] = []
        for number in range(size):  # a scene has a figure or more
            scene = scenes.scene(config, split, number)
            grey = np.asarray(Image.fromarray(scene.image).convert("L"))
            for figure in scene.figures:
                top, left = round(figure.y - figure.radius), round(figure.x - figure.radius)
                side = round(2 * figure.radius)
                images.append(resize(grey[max(top, 0) : top + side, max(left, 0) : left + side]))
                labels.append(scenes.FIGURES[figure.kind])
        arrays[f"x_{name}"] = np.stack(images[:size])
        arrays[f"y_{name}"] = np.array(labels[:size])
    return save(path, arrays)


def write_fashion(path: Path, source: Path) -> Path:
    """An .npz file of 3,000 images of Fashion-MNIST for training, 500 for validation, 500 for testing."""
    from pipelines.readers.idx import read_idx

    splits = read_idx(source).splits
    arrays = {}
    for split, name, count in (("train", "train", 3000), ("validation", "val", 500), ("test", "test", 500)):
        images, labels = splits[split]
        arrays[f"x_{name}"] = np.stack([resize(image[..., 0]) for image in images[:count]])
        arrays[f"y_{name}"] = labels[:count]
    return save(path, arrays)


def resize(grey: np.ndarray) -> np.ndarray:
    """uint8 (h, w) -> (SIDE, SIDE, 1)"""
    return np.asarray(Image.fromarray(grey).resize((SIDE, SIDE)))[..., None]


def save(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Write arrays to a file with the ending .npz and return its path."""
    path = path.with_suffix(".npz")
    np.savez(path, **arrays)
    return path


class Transfer(NamedTuple):
    """Two data sets: functions that write them at a path, without or with a suffix, and return it."""

    first: Callable[[Path, argparse.Namespace], Path]
    then: Callable[[Path, argparse.Namespace], Path]


TRANSFERS = {
    "figures": Transfer(
        lambda path, _: write_figures(path, "easy", count=1500),
        lambda path, _: write_figures(path, "hard", count=120),
    ),
    "photographs": Transfer(
        lambda path, _: write_photographs(path, PHOTOGRAPHS[::2], crops=80),
        lambda path, _: write_photographs(path, PHOTOGRAPHS[1::2], crops=10),
    ),
    "digits": Transfer(
        lambda path, arguments: write_fashion(path, arguments.fashion),
        lambda path, _: write_digits(path),
    ),
}


def train(flags: dict[str, Any], seeds: Sequence[int], keep: Path | None = None) -> Scores:
    """Train a network with each seed as `tfcnn.train` does; the test accuracy after the last epoch in percent.

    All seeds share the functions that are traced for the first, which takes longer than the training.

    Args:
        flags: of `tfcnn.train`.
        seeds: of weights, order and augmentation.
        keep: file for the network of the last seed.
    """
    import keras

    from tfcnn.training.callbacks import uncompiled
    from tfcnn.training.fit import build_model

    scores = []
    model = None
    for seed in seeds:
        config = recipes.resolve({**USUAL, **flags, "seed": seed})
        data = load_data(config)
        start, _ = build_model(config, data)
        start.optimizer.build(start.trainable_variables)
        model = model or start
        for variable, value in zip(model.variables, start.variables, strict=True):
            variable.assign(value)
        for variable, value in zip(model.optimizer.variables, start.optimizer.variables, strict=True):
            variable.assign(value)
        model.fit(
            data.train(config.epochs),
            epochs=config.epochs,
            steps_per_epoch=data.steps_per_epoch,
            shuffle=False,
            verbose=0,
        )
        scores.append(100 * model.evaluate(data.evaluation("test"), return_dict=True, verbose=0)["accuracy"])
    if keep is not None:
        uncompiled(model).save(keep)
    keras.backend.clear_session()
    return scores


def fresh_rate(arch: str) -> float:
    """The default peak rate for fresh weights."""
    from tfcnn.training.optimizers import peak_learning_rate

    return peak_learning_rate(Config(arch=arch))


def text(scores: Scores) -> str:
    """Mean and standard deviation."""
    spread = f" +- {statistics.stdev(scores):.1f}" if len(scores) > 1 else ""
    return f"{statistics.mean(scores):.1f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--archs", nargs="+", default=ARCHS, choices=ARCHS)
    parser.add_argument("--datasets", nargs="+", default=list(TRANSFERS), choices=list(TRANSFERS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fashion", type=Path, default=FASHION, help="folder of Fashion-MNIST's four files")
    arguments = parser.parse_args()
    import_tensorflow()
    print("| data set | network | before, on the first data set | fresh weights | rate for fresh weights | recipe |")
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        for dataset in arguments.datasets:
            folder = Path(name) / dataset
            folder.mkdir()
            writers = TRANSFERS[dataset]
            first = writers.first(folder / "first", arguments)
            then = writers.then(folder / "then", arguments)
            for arch in arguments.archs:
                network = {"arch": arch, **SCALES[arch]}
                weights = folder / f"{arch}.keras"
                before = train({"dataset": str(first), **network, **PRETRAINING}, [0], weights)
                loaded = {"weights": str(weights)}
                as_fresh = {"lr": fresh_rate(arch), "head_epochs": 0, "layer_decay": 1}
                cells = [text(before)]
                for flags in ({}, loaded | as_fresh, loaded):
                    run = {"dataset": str(then), **network, **TRAINING, **flags}
                    cells.append(text(train(run, range(arguments.seeds))))
                print(f"| {dataset} | {arch} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
