"""The table that `benchmarks.search` searches: small networks trained for real on `digits`, every point of a grid.

`python -m benchmarks.search --build` writes search_table.csv beside this file, a row for each configuration and seed:
the values, parameters, MACs, and the accuracy after each epoch on the 540 images that are not trained on (validation
and test split together, for a step of 0.19 %; nothing else is decided by them). An epoch is empty from the one on whose
loss is not finite. What is in the file is not trained again.

The network is `lecture_cnn` on 16x16 pixels, batches of 32, a constant learning rate, no augmentation.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

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
SEEDS, EPOCHS, STEPS, BATCH_SIZE, IMAGE_SIZE = (0, 1), 6, 39, 32, 16  # 39 batches: an epoch of 1,257 images
COLUMNS = (*AXES, "seed", "params", "macs", *(f"epoch{n}" for n in range(1, EPOCHS + 1)))


def configurations(axes: dict[str, tuple]) -> Iterator[dict[str, Any]]:
    """Every point of a grid."""
    return (dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values()))


def build(path: Path = PATH) -> None:
    """Train what the table at `path` lacks: an hour or so on two cores. Prints a line for each network."""
    import_tensorflow()
    done = {tuple(row[name] for name in (*AXES, "seed")) for row in rows(path)}
    if not done:
        path.write_text(",".join(COLUMNS) + "\n")
    data, networks = images(), list(configurations(GRAPH))
    for number, network in enumerate(networks, start=1):
        left = [
            (rate, seed)
            for rate, seed in itertools.product(AXES["lr"], SEEDS)
            if tuple(map(str, (*network.values(), rate, seed))) not in done
        ]
        if left:
            for row in trained(network, left, data):
                with path.open("a") as file:  # a line at a time: what is done survives an end at any moment
                    file.write(",".join(map(str, row)) + "\n")
            print(f"network {number} of {len(networks)}: {network}", flush=True)


def rows(path: Path = PATH) -> list[dict[str, str]]:
    """The lines of the table that are whole, as text by column."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    return list(csv.DictReader(whole.splitlines()))


def images() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Standardised images and one-hot targets of the project's split: "train" and "held_out"."""
    import pipelines

    data = pipelines.load("digits", image_size=IMAGE_SIZE)

    def split(*names):
        batches = [batch for name in names for batch in data.evaluation(name).as_numpy_iterator()]
        return tuple(np.concatenate(part) for part in zip(*batches, strict=True))

    return {"train": split("train"), "held_out": split("validation", "test")}


def trained(network: dict[str, Any], left: list[tuple[float, int]], data) -> Iterator[tuple]:
    """The rows of one network for (learning rate, seed): its epoch is traced once, its variables are set anew."""
    import keras
    import tensorflow as tf

    import tfcnn
    from tfcnn.cost import cost_table

    arguments = {name: value for name, value in network.items() if name != "opt"}

    def fresh():
        return tfcnn.build("lecture_cnn", (IMAGE_SIZE, IMAGE_SIZE, 1), 10, **arguments)

    keras.backend.clear_session()
    model = fresh()
    variables, table = list(model.variables), cost_table(model)  # the weights, and the state of dropout's generator
    rule = keras.optimizers.SGD(0.1, momentum=0.9) if network["opt"] == "momentum" else keras.optimizers.Adam(0.1)
    model.compile(rule, keras.losses.CategoricalCrossentropy(from_logits=True))
    rule.build(model.trainable_variables)
    (inputs, targets), (others, truth) = (tuple(map(tf.constant, data[name])) for name in ("train", "held_out"))

    @tf.function
    def epoch(batches):
        for rows in batches:
            model.train_step((tf.gather(inputs, rows), tf.gather(targets, rows)))

    @tf.function
    def accuracy():
        return tf.reduce_mean(tf.cast(tf.argmax(model(others), -1) == tf.argmax(truth, -1), "float32"))

    def accuracies(order):
        for _ in range(EPOCHS):
            model.reset_metrics()
            epoch(tf.constant(order.permutation(len(inputs))[: STEPS * BATCH_SIZE].reshape(STEPS, BATCH_SIZE)))
            if not math.isfinite(model.metrics[0].result()):
                return
            yield round(float(accuracy()), 4)

    for rate, seed in left:
        keras.utils.set_random_seed(seed)
        for variable, new in zip(variables, fresh().variables, strict=True):
            variable.assign(new)
        for variable in rule.variables:
            variable.assign(keras.ops.zeros_like(variable))
        rule.learning_rate = rate
        found = list(accuracies(np.random.default_rng(seed)))
        yield (*network.values(), rate, seed, table.params, table.macs, *found, *[""] * (EPOCHS - len(found)))
