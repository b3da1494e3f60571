"""The page of the table of training steps."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.ratio import compare
from benchmarks.train_step.machine import FLOPS_OF_A_STEP, PRODUCT_FLOPS, SUM_BYTES
from benchmarks.train_step.networks import ROWS, Row
from benchmarks.training_runs import ROOT
from tfcnn.tables import as_markdown

PAGE = ROOT / "docs" / "training_step.md"
OF_TORCH = {"PyTorch": "eager", "compiled": "compiled"}
LEAST = {"classification": 1.2}  # goals for the ratio to PyTorch
LEAST_OF_OTHERS = 1.0
INTRODUCTION = """# A training step

Written by `python -m benchmarks.train_step` from benchmarks/train_step.csv, measured on {device}.
AdamW, and the loss of the default recipe: label smoothing; Dice and cross-entropy of masks. Each contender runs in a
separate process, in interleaved rounds. "Ours" is what `tfcnn.train` does, metrics included. "fit" is Keras'
`model.fit` of keras.applications' network (where it has none, of ours with Keras' layers) in float32, with TensorFlow
as installed. "PyTorch" is the faster of eager and torch.compile: timm's or torchvision's network, or one of
benchmarks/torch_networks.py and torch_segmentation.py, channels last, fused AdamW, no metrics. Its networks have as
many trainable parameters and MACs as ours. Inception-v3, MobileNet V3 and EfficientNet are built in PyTorch's form;
MobileNet V1, V2 and Xception in Keras' form, whose strided convolutions have their borders elsewhere. The parameters
of "fit" differ in Inception-v3, whose batch norms have no factors in Keras, and in ResNet-50, whose convolutions have
biases there.
What follows "-" in a name is its width, "@" its pixels, samples or voxels a side, "x" the examples of a batch.

*Of product* is the share of the machine's arithmetic that our step uses: six operations for each MAC, over the rate of
one product of 4096x4096 matrices in the same precision, measured in the same rounds. MACs on padding count, too, which
kernels skip: most of those of dilated VGG-16. *Ratio* is PyTorch's median time over ours, with the middle half of
single rounds. *MiB* is the peak of the process above what it holds after its imports: parameters, gradients, optimiser,
activations, four batches, and the memory of the compiler.

*Goals*, by these figures: at least {least:g} times PyTorch in classification and {others:g} in segmentation, in both
precisions; in float32 not below fit, and the share of the product that is named.{old}"""
OLD = """

Rows without a middle half, memory and share are of an earlier run, which did not record them; PyTorch's AdamW was not
fused then."""
HEAD = [
    "network",
    "ours, images/s",
    "of product",
    "fit",
    "PyTorch",
    "ratio",
    "middle half",
    "MiB ours",
    "MiB fit",
    "MiB PyTorch",
]
DETAILS = ["network", "contender", "precision", "images/s", "time of fit / its time", "middle half", "CPU", "MiB"]


class Measurement(NamedTuple):
    """One contender: seconds of a step in each round, peak of memory in MiB, trainable parameters; None: not known."""

    wall: list[float]
    cpu: list[float]
    peak: float | None
    parameters: int | None


class Network(NamedTuple):
    """What was measured of one network in one run."""

    row: Row
    macs: int
    contenders: dict[tuple[str, str], Measurement]

    @property
    def name(self) -> str:
        return f"{self.row.network}@{self.row.size} x {self.row.batch}"

    def rate(self, contender: str, precision: str) -> float | None:
        """Examples a second."""
        measurement = self.contenders.get((contender, precision))
        return self.row.batch / statistics.median(measurement.wall) if measurement else None

    def share(self, precision: str) -> float | None:
        """Of the product of matrices, used by our step."""
        rate = self.rate("ours", precision)
        product = self.contenders.get(("product", precision))
        if rate is None or product is None:
            return None
        return FLOPS_OF_A_STEP * self.macs * rate / (PRODUCT_FLOPS / statistics.median(product.wall))

    def best_of_torch(self, precision: str) -> str | None:
        """The faster of PyTorch's contenders."""
        rates = {contender: self.rate(contender, precision) for contender in OF_TORCH}
        rates = {contender: rate for contender, rate in rates.items() if rate is not None}
        return max(rates, key=rates.__getitem__) if rates else None


def networks_of(rows: Sequence[dict[str, str]]) -> list[Network]:
    """The networks of a table, in the order of `ROWS`."""
    networks = []
    for row in ROWS.values():
        measured = [each for each in rows if row.key.items() <= each.items()]
        if measured:
            contenders = {(each["contender"], each["precision"]): _measurement(each) for each in measured}
            networks.append(Network(row, int(measured[0]["macs"]), contenders))
    return networks


def _measurement(row: dict[str, str]) -> Measurement:
    return Measurement(
        [float(seconds) for seconds in row["wall"].split()],
        [float(seconds) for seconds in row["cpu"].split()],
        float(row["peak"]) if row["peak"] else None,
        int(row["parameters"]) if row["parameters"] else None,
    )


def ratio_of(first: list[float], second: list[float]) -> tuple[str, str]:
    """The ratio of medians, and the middle half of single rounds; empty where they are not known."""
    if len(first) > 1:
        ratio, low, high = compare(first, second)
        return f"{ratio:.2f}", f"{low:.2f} to {high:.2f}"
    return (f"{first[0] / second[0]:.2f}", "") if first else ("", "")


def check_goals(network: Network, precision: str) -> dict[str, bool]:
    """The goals of a network by name, and whether its figures meet them; those without figures are left out."""
    ours = network.rate("ours", precision)
    if ours is None:
        return {}
    goals = {}
    best = network.best_of_torch(precision)
    if best:
        least = LEAST.get(network.row.task, LEAST_OF_OTHERS)
        goals[f"{least:g} x PyTorch"] = ours >= least * network.rate(best, precision)
    if precision == "float32":
        fit = network.rate("fit", precision)
        if fit is not None:
            goals["fit"] = ours >= fit
        share = network.share(precision)
        if share is not None and network.row.share is not None:
            goals[f"{network.row.share:.0%}"] = share >= network.row.share
    return goals


def summarise(network: Network, precision: str) -> list[str]:
    """The line of a network in the table of a precision."""
    ours = network.contenders["ours", precision]
    best = network.best_of_torch(precision)
    twin = network.contenders.get((best, precision))
    ratio, middle = ratio_of(twin.wall, ours.wall) if twin else ("", "")
    fit = network.contenders.get(("fit", "float32"))
    share = network.share(precision)
    goals = check_goals(network, precision)
    return [
        network.name,
        _rate(network, "ours", precision),
        "" if share is None else f"{share:.0%}",
        _rate(network, "fit", "float32"),
        f"{_rate(network, best, precision)} {OF_TORCH[best]}" if best else "",
        ratio,
        middle,
        *(_peak(each) for each in (ours, fit, twin)),
        ", ".join(goal for goal, met in goals.items() if met),
        ", ".join(goal for goal, met in goals.items() if not met),
    ]


def _rate(network: Network, contender: str, precision: str) -> str:
    rate = network.rate(contender, precision)
    return "" if rate is None else f"{rate:,.0f}"


def _peak(measurement: Measurement | None) -> str:
    return "" if measurement is None or measurement.peak is None else f"{measurement.peak:,.0f}"


def count_goals(networks: Sequence[Network], precision: str) -> str:
    """How many networks meet each kind of goal."""
    met: dict[str, list[bool]] = {}
    for network in networks:
        for goal, reached in check_goals(network, precision).items():
            kind = "the share of the product" if goal.endswith("%") else goal
            met.setdefault(kind, []).append(reached)
    return "; ".join(f"{kind} {sum(reached)} of {len(reached)}" for kind, reached in met.items())


def detail(network: Network) -> list[list[str]]:
    """The lines of a network's contenders."""
    fit = network.contenders.get(("fit", "float32"))
    lines = []
    for (contender, precision), measurement in network.contenders.items():
        if contender in ("product", "sum"):
            continue
        ratio, middle = ratio_of(fit.wall, measurement.wall) if fit else ("", "")
        cpu, _ = ratio_of(fit.cpu, measurement.cpu) if fit else ("", "")
        parameters = "" if measurement.parameters is None else f"{measurement.parameters:,}"
        rate = _rate(network, contender, precision)
        lines.append([network.name, contender, precision, rate, ratio, middle, cpu, _peak(measurement), parameters])
    return lines


def describe_machine(network: Network) -> list[str] | None:
    """The line of what the machine did in a network's rounds; None: it was not recorded."""
    amounts = {
        ("product", "float32"): PRODUCT_FLOPS,
        ("product", "bfloat16"): PRODUCT_FLOPS,
        ("sum", "float32"): SUM_BYTES,
    }
    if not amounts.keys() <= network.contenders.keys():
        return None
    rates = [amount / statistics.median(network.contenders[key].wall) / 1e9 for key, amount in amounts.items()]
    return [network.name, *(f"{rate:,.0f}" for rate in rates[:2]), f"{rates[2]:.1f}"]


def write_page(rows: Sequence[dict[str, str]]) -> None:
    """Write docs/training_step.md."""
    networks = networks_of(rows)
    old = any(len(each.contenders["ours", "float32"].wall) == 1 for each in networks)
    device = ", ".join(dict.fromkeys(row["device"] for row in rows))
    introduction = INTRODUCTION.format(
        device=device, least=LEAST["classification"], others=LEAST_OF_OTHERS, old=OLD if old else ""
    )
    sections = [introduction]
    for precision in ("float32", "bfloat16"):
        lines = [summarise(network, precision) for network in networks]
        sections += [
            f"## {precision}",
            as_markdown([*HEAD, "goals met", "not met"], lines, words=[0, 10, 11]),
            f"Goals met: {count_goals(networks, precision)}.",
        ]
    details = [line for network in networks for line in detail(network)]
    sections += ["## All contenders", as_markdown([*DETAILS, "parameters"], details, words=[0, 1, 2])]
    machine = [line for network in networks if (line := describe_machine(network))]
    if machine:
        head = ["in the rounds of", "product, float32, GFLOP/s", "product, bfloat16, GFLOP/s", "sum of arrays, GB/s"]
        sections += ["## The machine", as_markdown(head, machine, words=[0])]
    PAGE.write_text("\n\n".join(sections) + "\n")
