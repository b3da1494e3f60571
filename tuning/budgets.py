"""What a trial may cost, measured before it is trained: parameters, MACs, memory of activations, latency."""

from __future__ import annotations

import json
import statistics
import time
from typing import TYPE_CHECKING, NamedTuple

from tfcnn import factory
from tfcnn.config import Config
from tfcnn.errors import BadInput

if TYPE_CHECKING:  # imports Keras
    import keras

    from tfcnn.cost import CostTable

COSTS = ("parameters", "macs", "memory", "latency")  # each a flag --budget-..., and an objective to minimise
UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}
CALLS = 30  # whose median is the latency
WARM_UP_CALLS = 5  # before them


class TrialCost(NamedTuple):
    """Of one image."""

    parameters: int
    macs: int
    memory: int  # the most bytes that activations hold at one time
    latency: float | None = None  # seconds of a call; None: not measured


def parse_amount(flag: str, text: str) -> float:
    """The value of a budget: 30M is thirty million, bytes for memory; 5ms and 0.1s are times.

    Raises BadInput.

    >>> parse_amount("--budget-macs", "30M"), parse_amount("--budget-latency", "5ms")
    (30000000.0, 0.005)
    >>> parse_amount("--budget-parameters", "1.5K")
    1500.0
    """
    is_time = flag.endswith("latency")
    units = {"ms": 1e-3, "s": 1.0} if is_time else UNITS
    unit = text.strip().lstrip("0123456789.")
    number = text.strip().removesuffix(unit)
    try:
        value = float(number) * units[unit if is_time else unit.upper()]
    except (KeyError, ValueError):
        value = 0.0
    if value <= 0:
        form = "with ms or s, as in 5ms" if is_time else "with K, M or G, as in 30M"
        raise BadInput(f"{flag} must be a number above 0 {form}, got '{text}'")
    return value


def format_cost(cost: str, value: float) -> str:
    """
    >>> format_cost("macs", 31_500_000), format_cost("latency", 0.0052), format_cost("parameters", 900)
    ('31.5M', '5.2ms', '900')
    """
    if cost == "latency":
        return f"{1000 * value:.3g}ms"
    unit = next((unit for unit in "GMK" if value >= UNITS[unit]), "")
    return f"{value / UNITS[unit]:.3g}{unit}"


class Budgets:
    """Measures what configurations cost, and accepts those within the limits.

    Args:
        limits: the most of each of COSTS; a cost that is left out has no limit.
        image_shape: (height, width, channels) of the data; the `image_size` of a configuration goes before it.
        num_classes: of the data.
        timed: whether latency is measured though it has no limit.

    Attributes:
        broken: by cost, how many proposals were over its limit.
        smallest: by cost, the least of all proposals.
    """

    def __init__(
        self,
        limits: dict[str, float],
        image_shape: tuple[int, ...],
        num_classes: int | None,
        timed: bool = False,
    ) -> None:
        self.limits = limits
        self.image_shape = tuple(image_shape)
        self.num_classes = num_classes
        self.timed = timed or "latency" in limits
        self.broken = dict.fromkeys(limits, 0)
        self.smallest: dict[str, float] = {}
        self._refusal = ""  # of the last configuration that cannot be built
        self._costs: dict[str, TrialCost] = {}

    def cost_of(self, config: Config) -> TrialCost:
        """What a configuration costs. One network is built once, whatever else differs.

        No weights are allocated, unless latency is measured.

        Raises:
            BadInput: it cannot be built.
        """
        shape = self.image_shape
        sides = config.input_sides()
        if sides is not None and len(shape) == 3:
            shape = (*map(config.scaled_side, sides), shape[-1])
        key = json.dumps([config.arch, shape, config.overrides], sort_keys=True, default=str)
        if key not in self._costs:
            table = table_of(config, shape, self.num_classes)
            latency = None
            if self.timed:
                arguments = factory.arguments_of(config, shape, self.num_classes)
                latency = measure_latency(factory.build(config.arch, **arguments))
            self._costs[key] = TrialCost(table.params, table.macs, table.peak_bytes, latency)
        return self._costs[key]

    def accept(self, config: Config) -> bool:
        """Whether a configuration is within all limits; without any, nothing is built."""
        if not self.limits:
            return True
        try:
            costs = self.cost_of(config)._asdict()
        except BadInput as error:
            self._refusal = str(error)
            return False
        over = [cost for cost, limit in self.limits.items() if costs[cost] > limit]
        for cost in self.limits:
            self.smallest[cost] = min(costs[cost], self.smallest.get(cost, costs[cost]))
        for cost in over:
            self.broken[cost] += 1
        return not over

    def explain_refusal(self) -> str:
        """Why nothing was accepted, in one line: the limit that most proposals broke, and the least that was seen."""
        if not self.smallest:
            return f"no proposal can be built: {self._refusal} (--space)"
        cost = max(self.limits, key=lambda cost: (self.broken[cost], self.smallest[cost] / self.limits[cost]))
        limit = format_cost(cost, self.limits[cost])
        least = format_cost(cost, self.smallest[cost])
        return (
            f"no proposal of the space is within the budgets: --budget-{cost} {limit} is the tightest, broken by "
            f"{self.broken[cost]:,}; the least that was seen is {least}"
        )


def table_of(config: Config, shape: tuple[int, ...], num_classes: int | None) -> CostTable:
    """The cost table of a configuration's network; its weights are not allocated.

    Args:
        config: the architecture and its arguments.
        shape: (height, width, channels) of the images, after --phi has scaled them.
        num_classes: of the data.

    Raises:
        BadInput: it cannot be built.
    """
    from tfcnn import cost

    arguments = factory.arguments_of(config, shape, num_classes)
    with cost.weightless():
        return cost.cost_table(factory.build(config.arch, **arguments))


def measure_latency(model: keras.Model) -> float:
    """Median seconds of a compiled call with one image, after a warm-up."""
    import tensorflow as tf

    @tf.function
    def call(images: tf.Tensor) -> tf.Tensor:
        return model(images, training=False)

    image = tf.zeros([1, *model.input_shape[1:]])
    seconds = []
    for _ in range(WARM_UP_CALLS + CALLS):
        began = time.perf_counter()
        call(image).numpy()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[WARM_UP_CALLS:])
