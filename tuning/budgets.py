"""What a trial may cost, seen before it is trained: parameters, MACs, memory of activations, latency."""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from tfcnn import factory
from tfcnn.config import Config
from tfcnn.errors import BadInput

COSTS = ("parameters", "macs", "memory", "latency")  # as many flags --budget-..., and objectives that are minimised
UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}
CALLS, WARM_UP = 30, 5  # of a network whose latency is measured


class Price(NamedTuple):
    """Of one image: parameters, MACs, the most bytes that activations hold at one time, seconds of a call."""

    parameters: int
    macs: int
    memory: int
    latency: float | None = None  # None: not measured


def amount(flag: str, text: str) -> float:
    """The value of a budget: 30M is thirty million, bytes where it is memory; 5ms and 0.1s are times.

    Raises BadInput.

    >>> amount("--budget-macs", "30M"), amount("--budget-parameters", "1.5K"), amount("--budget-latency", "5ms")
    (30000000.0, 1500.0, 0.005)
    """
    timed = flag.endswith("latency")
    units = {"ms": 1e-3, "s": 1.0} if timed else UNITS
    number, unit = re.fullmatch(r"([\d.]*)(.*)", text.strip()).groups()
    try:
        value = float(number) * units[unit if timed else unit.upper()]
    except (KeyError, ValueError):
        value = 0.0
    if value <= 0:
        form = "with ms or s, as in 5ms" if timed else "with K, M or G, as in 30M"
        raise BadInput(f"{flag} must be a number above 0 {form}, got '{text}'")
    return value


def written(cost: str, value: float) -> str:
    """
    >>> written("macs", 31_500_000), written("latency", 0.0052), written("parameters", 900)
    ('31.5M', '5.2ms', '900')
    """
    if cost == "latency":
        return f"{1000 * value:.3g}ms"
    unit = next((unit for unit in "GMK" if value >= UNITS[unit]), "")
    return f"{value / UNITS[unit]:.3g}{unit}"


class Budgets:
    """Prices configurations and says which may be trained.

    Args:
        limits: the most of each of COSTS; those that are left out have no limit.
        shape: of the images of the data, (height, width, channels); with a configuration's `image_size` instead.
        num_classes: of the data.
        timed: whether latency is measured though no limit asks for it.

    Attributes:
        broken: by cost, how many proposals were over its limit.
        smallest: by cost, the least that a proposal has had.
    """

    def __init__(self, limits: dict[str, float], shape, num_classes: int | None, timed: bool = False):
        self.limits, self.shape, self.num_classes = limits, tuple(shape), num_classes
        self.timed = timed or "latency" in limits
        self.broken, self.smallest, self.unbuilt = dict.fromkeys(limits, 0), {}, ""
        self._prices: dict[str, Price] = {}

    def price(self, config: Config) -> Price:
        """What a configuration costs; one that differs in nothing that counts is not priced again.

        No weights are allocated, unless latency is measured.

        Raises:
            BadInput: it cannot be built.
        """
        shape = self.shape
        if config.image_size is not None and len(shape) == 3:
            side = config.scaled_side(config.image_size)
            shape = (side, side, shape[-1])
        key = json.dumps([config.arch, shape, config.overrides], sort_keys=True, default=str)
        if key not in self._prices:
            arguments = factory.arguments_of(config, shape, self.num_classes)
            self._prices[key] = priced(lambda: factory.build(config.arch, **arguments), self.timed)
        return self._prices[key]

    def accept(self, config: Config) -> bool:
        """Whether a configuration is within all limits; without any, nothing is priced."""
        if not self.limits:
            return True
        try:
            price = self.price(config)._asdict()
        except BadInput as error:
            self.unbuilt = str(error)
            return False
        over = [cost for cost, limit in self.limits.items() if price[cost] > limit]
        for cost in self.limits:
            self.smallest[cost] = min(price[cost], self.smallest.get(cost, price[cost]))
        for cost in over:
            self.broken[cost] += 1
        return not over

    def tightest(self) -> str:
        """One line on why nothing was accepted: the limit that most proposals broke, and the least that was seen."""
        if not self.smallest:
            return f"no proposal can be built: {self.unbuilt} (--space)"
        cost = max(self.limits, key=lambda cost: (self.broken[cost], self.smallest[cost] / self.limits[cost]))
        limit, least = written(cost, self.limits[cost]), written(cost, self.smallest[cost])
        return (
            f"no proposal of the space is within the budgets: --budget-{cost} {limit} is the tightest, broken by "
            f"{self.broken[cost]:,}; the least that was seen is {least}"
        )


def priced(build: Callable[[], Any], timed: bool = False) -> Price:
    """The price of the network that `build` makes."""
    from tfcnn import cost

    with cost.weightless():
        table = cost.cost_table(build())
    return Price(table.params, table.macs, table.peak_bytes, latency(build()) if timed else None)


def latency(model) -> float:
    """Seconds of a call with one image, compiled: the median of some, after others that are not timed."""
    import tensorflow as tf

    call = tf.function(lambda images: model(images, training=False))
    image, seconds = tf.zeros([1, *model.input_shape[1:]]), []
    for _ in range(WARM_UP + CALLS):
        started = time.perf_counter()
        call(image).numpy()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[WARM_UP:])
