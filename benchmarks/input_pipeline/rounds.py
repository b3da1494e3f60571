"""Contenders measured in turn: their images a second, and how many times as fast ours is.

A contender is a function that returns an endless iterator of batches.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

SIDE = 224
BATCH = 32
STEPS = 60  # of large images in a round
MEAN = np.array([0.485, 0.456, 0.406], "float32")
STD = np.array([0.229, 0.224, 0.225], "float32")
Contenders = dict[str, Callable[[], Iterator[Any]]]


def measure(title: str, contenders: Contenders, batch: int, steps: int, rounds: int) -> dict[str, float]:
    """Print the table of some contenders; images a second of each, the median of rounds."""
    iterators = {name: make() for name, make in contenders.items()}
    rates = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, batches in iterators.items():
            for _ in range(max(steps // 2, 12)):  # what the buffers hold from before
                next(batches)
            started = time.perf_counter()
            for _ in range(steps):
                next(batches)
            rates[name].append(steps * batch / (time.perf_counter() - started))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ours = next(values for name, values in rates.items() if name.startswith("ours"))
    print(f"\n**{title}**, batches of {batch}, {rounds} rounds\n")
    print("| | ours is times as fast | middle half | images/s |\n|---|---|---|---|")
    for name, values in rates.items():
        ratios = [rate / other for rate, other in zip(ours, values, strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        middle = statistics.median(ratios)
        rate = medians[name]
        print(f"| {name} | {middle:.2f} | {low:.2f} ... {high:.2f} | {rate:,.0f} |", flush=True)
    return medians


def fill_cache(data, name: str):
    """The batches after the first epoch, which keeps the decoded images; prints the rate of that epoch."""
    batches = iter(data.train(10_000))
    started = time.perf_counter()
    for _ in range(data.steps_per_epoch):
        next(batches)
    rate = data.steps_per_epoch * BATCH / (time.perf_counter() - started)
    print(f"\nThe first epoch of {name}, in which decoded images are kept: {rate:,.0f} images/s.")
    return batches
