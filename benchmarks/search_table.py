"""The table that `benchmarks.search` searches: small networks trained for real on `digits`, every point of a grid.

`python -m benchmarks.search --build` writes search_table.csv, a row for each configuration and seed:
the values, parameters, MACs, and the accuracy after each epoch on the 540 images that are not trained on (validation
and test split together, for a step of 0.19 %; they decide nothing else). Epochs are empty from the first one whose loss
is not finite. What is in the file is not trained again.

The network is `lecture_cnn` on 16x16 pixels, with batches of 32, a constant learning rate and no augmentation.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import pipelines
import tfcnn
from tfcnn.cli.startup import import_tensorflow

PATH = Path(__file__).with_suffix(".csv")
GRAPH = {  # what a network is built and compiled with
    "filters": (2, 4, 6, 8),
    "kernel_size": (2, 3),
    "depth": (1, 2),
    "dropout": (0.0, 0.5),
    "opt": ("momentum", "adam"),
}
AXES = GRAPH | {"lr": (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)}
SEEDS = (0, 1)
EPOCHS = 6
STEPS = 39  # batches: an epoch of 1,257 images
BATCH_SIZE = 32
IMAGE_SIZE = 16

Split = tuple[np.ndarray, np.ndarray]  # images (n, 16, 16, 1), one-hot targets (n, 10)
COLUMNS = (*AXES, "seed", "params", "macs", *(f"epoch{n}" for n in range(1, EPOCHS + 1)))


def configurations(axes: dict[str, tuple]) -> Iterator[dict[str, Any]]:
    """Every point of a grid."""
    return (dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values()))


def build(path: Path = PATH) -> None:
    """Train what the table at `path` lacks: an hour or so on two cores. Prints a line for each network."""
    import_tensorflow()
    rows = {tuple(row[name] for name in (*AXES, "seed")) for row in read_rows(path)}
    if not rows:
        path.write_text(",".join(COLUMNS) + "\n")
    train = load_split("train")
    held_out = load_split("validation", "test")
    networks = list(configurations(GRAPH))
    for number, network in enumerate(networks, start=1):
        left = [
            (rate, seed)
            for rate, seed in itertools.product(AXES["lr"], SEEDS)
            if tuple(map(str, (*network.values(), rate, seed))) not in rows
        ]
        if left:
            for row in train_network(network, left, train, held_out):
                with path.open("a") as file:  # a line at a time: what is done survives an end at any moment
                    file.write(",".join(map(str, row)) + "\n")
            print(f"network {number} of {len(networks)}: {network}", flush=True)


def read_rows(path: Path = PATH) -> list[dict[str, str]]:
    """The complete lines of the table, as text by column; a last line that was cut off is removed from the file."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    return list(csv.DictReader(whole.splitlines()))


def load_split(*names: str) -> Split:
    """Standardised images and one-hot targets of the project's splits."""
    data = pipelines.load("digits", image_size=IMAGE_SIZE)
    batches = [batch for name in names for batch in data.evaluation(name).as_numpy_iterator()]
    images, targets = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(targets)


def train_network(
    network: dict[str, Any], left: list[tuple[float, int]], train: Split, held_out: Split
) -> Iterator[tuple[Any, ...]]:
    """The rows of one network for each (learning rate, seed) that is left.

    Its epoch is traced once; its variables are reset for each row.
    """
    import keras
    import tensorflow as tf

    from tfcnn.cost import cost_table

    arguments = {name: value for name, value in network.items() if name != "opt"}

    def build_model() -> keras.Model:
        return tfcnn.build("lecture_cnn", (IMAGE_SIZE, IMAGE_SIZE, 1), 10, **arguments)

    keras.backend.clear_session()
    model = build_model()
    variables = list(model.variables)  # the weights, and the state of dropout's generator
    table = cost_table(model)
    rule = keras.optimizers.SGD(0.1, momentum=0.9) if network["opt"] == "momentum" else keras.optimizers.Adam(0.1)
    model.compile(rule, keras.losses.CategoricalCrossentropy(from_logits=True))
    rule.build(model.trainable_variables)
    images, targets = map(tf.constant, train)
    other_images, other_targets = map(tf.constant, held_out)

    @tf.function
    def run_epoch(batches: tf.Tensor) -> None:
        for batch in batches:
            model.train_step((tf.gather(images, batch), tf.gather(targets, batch)))

    @tf.function
    def accuracy() -> tf.Tensor:
        hits = tf.argmax(model(other_images), -1) == tf.argmax(other_targets, -1)
        return tf.reduce_mean(tf.cast(hits, "float32"))

    def accuracies(order: np.random.Generator) -> Iterator[float]:
        for _ in range(EPOCHS):
            model.reset_metrics()
            run_epoch(tf.constant(order.permutation(len(images))[: STEPS * BATCH_SIZE].reshape(STEPS, BATCH_SIZE)))
            if not math.isfinite(model.metrics[0].result()):
                return
            yield round(float(accuracy()), 4)

    for rate, seed in left:
        keras.utils.set_random_seed(seed)
        for variable, new in zip(variables, build_model().variables, strict=True):
            variable.assign(new)
        for variable in rule.variables:
            variable.assign(keras.ops.zeros_like(variable))
        rule.learning_rate = rate
        curve = list(accuracies(np.random.default_rng(seed)))
        empty = [""] * (EPOCHS - len(curve))
        yield (*network.values(), rate, seed, table.params, table.macs, *curve, *empty)
