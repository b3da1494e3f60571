"""Test accuracy after fine-tuning: `python -m benchmarks.fine_tuning [--archs A ...] [--datasets D ...] [--seeds N]`.

Each network is trained on 4,000 images of Fashion-MNIST (Debian's package dataset-fashion-mnist), then on three small
data sets of 32x32 grey pixels that nothing has to be downloaded for:

    photographs   windows of the photographs that ship with scikit-image and scikit-learn, a class each: 10 from the
                  left half for training, validation and test windows from the third and the last quarter
    digits        100 of scikit-learn's scans for training, 100 for validation, 360 for testing
    figures       120 figures cut from the scenes of `shapes`, 60 for validation, 300 for testing

A cell is the mean test accuracy of the epoch with the least validation loss, and the standard deviation over the seeds:
from fresh weights; from the loaded weights at the rate for fresh ones, all layers from the start; and by the recipe for
loaded weights (tfcnn/training/recipes.py). All else is the default recipe.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn import datasets

from tfcnn.cli.startup import import_tensorflow
from tfcnn.config import Config
from tfcnn.run_directory import RunDirectory
from tfcnn.training import recipes
from tfcnn.training.data import load_data

Scores = list[float]

ARCHS = ("mobilenet_v2", "resnet18", "squeezenet1_1")
SCALES = {  # of each network
    "mobilenet_v2": {"width": 0.35, "depth": 0.5},
    "resnet18": {"width": 0.25, "depth": 0.5},
    "squeezenet1_1": {"width": 0.5},
}
USUAL = {"image_size": 32, "precision": "float32", "hflip": 0.0}
PRETRAINING = {"epochs": 6, "batch_size": 64}
TRAINING = {"epochs": 12, "batch_size": 16}
FASHION = Path("/usr/share/datasets/fashion-mnist")
SIDE = 32
HEIGHT = 256  # of a photograph's shorter side
WINDOW = 48  # of which a crop is cut
REGIONS = {"train": (0, 0.5, 10), "validation": (0.5, 0.75, 5), "test": (0.75, 1, 20)}  # of the width; crops a class
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


def find_photographs() -> Iterator[Path]:
    """The files of PHOTOGRAPHS in the installed packages. Raises SystemExit if one is missing."""
    skimage = importlib.util.find_spec("skimage")
    folders = [Path(datasets.__file__).parent / "images"]
    folders += [Path(place) / "data" for place in (skimage.submodule_search_locations or [])] if skimage else []
    for name in PHOTOGRAPHS:
        paths = [path for folder in folders for path in folder.glob(f"{name}.*")]
        if not paths:
            raise SystemExit(f"no photograph '{name}' in {', '.join(map(str, folders))}: pip install scikit-image")
        yield paths[0]


def write_photographs(root: Path) -> Path:
    """A folder of windows of each photograph; those of two splits share no pixel."""
    rng = np.random.default_rng(0)
    for path in find_photographs():
        with Image.open(path) as picture:
            grey = picture.convert("L")
        scale = HEIGHT / min(grey.size)
        grey = grey.resize((round(grey.width * scale), round(grey.height * scale)))
        for split, (start, end, count) in REGIONS.items():
            folder = root / split / path.stem
            folder.mkdir(parents=True)
            for number in range(count):
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


def write_figures(path: Path) -> Path:
    """An .npz file of the figures in the scenes of `shapes`, cut out with the ground around them."""
    from pipelines.embedded import scenes

    arrays = {}
    for number, (split, count) in enumerate({"train": 120, "val": 60, "test": 300}.items()):
        images: list[np.ndarray] = []
        labels: list[str] = []
        scene_number = 0
        while len(images) < count:
            scene = scenes.scene(scenes.DIFFICULTIES[0], number, scene_number)
            scene_number += 1
            grey = np.asarray(Image.fromarray(scene.image).convert("L"))
            for figure in scene.figures:
                top, left = round(figure.y - figure.radius), round(figure.x - figure.radius)
                side = round(2 * figure.radius)
                images.append(resize(grey[max(top, 0) : top + side, max(left, 0) : left + side]))
                labels.append(scenes.FIGURES[figure.kind])
        arrays[f"x_{split}"] = np.stack(images[:count])
        arrays[f"y_{split}"] = np.array(labels[:count])
    return save(path, arrays)


def write_fashion(path: Path, source: Path) -> Path:
    """An .npz file of 4,000 images of Fashion-MNIST for training, 500 for validation, 500 for testing."""
    from pipelines.readers.idx import read_idx

    splits = read_idx(source).splits
    arrays = {}
    for split, name, count in (("train", "train", 4000), ("validation", "val", 500), ("test", "test", 500)):
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


WRITERS: dict[str, Callable[[Path], Path]] = {
    "photographs": write_photographs,
    "digits": write_digits,
    "figures": write_figures,
}


def train(folder: Path, **flags: Any) -> float:
    """Train a network as `tfcnn.train` does, and return its test accuracy in percent; the run is left in `folder`."""
    import keras

    from tfcnn.training.fit import build_model, evaluate_best, fit

    config = recipes.resolve({**USUAL, **flags, "out": str(folder)})
    data = load_data(config)
    model, _ = build_model(config, data)
    directory = RunDirectory(folder)
    directory.make()
    with contextlib.redirect_stdout(io.StringIO()):
        rows = fit(model, data, config, directory)
    accuracy = evaluate_best(model, data, rows, directory)["test_accuracy"]
    keras.backend.clear_session()
    return 100 * accuracy


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
    parser.add_argument("--datasets", nargs="+", default=list(WRITERS), choices=list(WRITERS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fashion", type=Path, default=FASHION, help="folder of Fashion-MNIST's four files")
    arguments = parser.parse_args()
    import_tensorflow()
    print("| data set | network | fresh weights | loaded, rate for fresh ones | loaded, recipe |")
    print("|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fashion = write_fashion(folder / "fashion", arguments.fashion)
        places = {dataset: WRITERS[dataset](folder / dataset) for dataset in arguments.datasets}
        for arch in arguments.archs:
            network = {"arch": arch, **SCALES[arch]}
            first = folder / arch
            score = train(first, dataset=str(fashion), **network, **PRETRAINING)
            print(f"| Fashion-MNIST | {arch} | {score:.1f} | | |", flush=True)
            loaded = {"weights": str(first / "model.keras")}
            as_fresh = {"lr": fresh_rate(arch), "head_epochs": 0, "layer_decay": 1}
            columns = {"fresh": {}, "as fresh": loaded | as_fresh, "recipe": loaded}
            for dataset, place in places.items():
                scores: dict[str, Scores] = {
                    column: [
                        train(
                            folder / f"{arch} {dataset} {column} {seed}",
                            dataset=str(place),
                            seed=seed,
                            **network,
                            **TRAINING,
                            **flags,
                        )
                        for seed in range(arguments.seeds)
                    ]
                    for column, flags in columns.items()
                }
                print(f"| {dataset} | {arch} | {' | '.join(map(text, scores.values()))} |", flush=True)


if __name__ == "__main__":
    main()
