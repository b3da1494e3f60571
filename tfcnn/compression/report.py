"""What compression makes of each layer: sparsity, bits, parameters and bytes; the columns of SqueezeNet's Table 1."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import NamedTuple, TypeGuard

import keras
import numpy as np

from tfcnn.compression.pruning import is_kernel
from tfcnn.compression.weights_file import Weight
from tfcnn.graph import CONVOLUTIONS, Step, read
from tfcnn.tables import as_text

HEAD = (
    "layer",
    "kept",
    "bits",
    "gap bits",
    "parameters",
    "after pruning",
    "float32",
    "gzip",
    "gzip after",
    "bytes",
    "ratio",
)
# "sparsity" is the word of the table for the share of the weights that are kept.
FIRE_HEAD = ("layer", "s1x1 sparsity", "e1x1 sparsity", "e3x3 sparsity", "bits", "before pruning", "after pruning")


class LayerRow(NamedTuple):
    """A layer before and after.

    Attributes:
        name: of the layer.
        kept: share of the kernels' weights that are not zero; None without a kernel.
        code_bits, gap_bits: of a kernel's code and gap before Huffman's code; None without a kernel.
        before, after: parameters; what is not a kernel counts in both.
        float32, gzip, bytes: bytes as plain float32, of that by gzip, and in the compressed file.
        gzip_after: bytes of the compressed network as plain float32, by gzip.
    """

    name: str
    kept: float | None
    code_bits: int | None
    gap_bits: int | None
    before: int
    after: int
    float32: int
    gzip: int
    gzip_after: int
    bytes: int

    @property
    def ratio(self) -> float:
        """How many times smaller than plain float32 it is."""
        return self.float32 / self.bytes


def layer_rows(weights: Sequence[Weight], originals: Sequence[np.ndarray]) -> list[LayerRow]:
    """A row for each layer with weights, in the order of the file.

    Args:
        weights: of the compressed network.
        originals: the values before compression, in the same order.
    """
    layers: dict[str, list[int]] = {}
    for number, weight in enumerate(weights):
        layers.setdefault(layer_of(weight.path), []).append(number)
    rows = []
    for name, numbers in layers.items():
        members = [weights[number] for number in numbers]
        size = sum(weight.bytes for weight in members)
        rows.append(_row(name, members, [originals[number] for number in numbers], size))
    return rows


def total_row(weights: Sequence[Weight], originals: Sequence[np.ndarray], size: int) -> LayerRow:
    """The whole network, whose file has `size` bytes; gzip is of one plain file."""
    return _row("total", weights, originals, size)._replace(code_bits=None, gap_bits=None)


def _row(name: str, weights: Sequence[Weight], originals: Sequence[np.ndarray], size: int) -> LayerRow:
    kernels = [weight for weight in weights if is_kernel(weight.path)]
    kernel_size = sum(weight.values.size for weight in kernels)
    nonzero = sum(int(np.count_nonzero(weight.values)) for weight in kernels)
    before = sum(weight.values.size for weight in weights)
    plain = _plain(originals)
    return LayerRow(
        name,
        nonzero / kernel_size if kernel_size else None,
        max((weight.code_bits or 0 for weight in kernels), default=None),
        max((weight.gap_bits or 0 for weight in kernels), default=None),
        before,
        before - kernel_size + nonzero,
        len(plain),
        len(gzip.compress(plain, mtime=0)),
        len(gzip.compress(_plain([weight.values for weight in weights]), mtime=0)),
        size,
    )


def _plain(values: Sequence[np.ndarray]) -> bytes:
    """The bytes of weights as float32."""
    return b"".join(array.astype(np.float32).tobytes() for array in values)


def layer_of(path: str) -> str:
    """The layer of a variable: "conv1/kernel" -> "conv1"."""
    return path.rpartition("/")[0] or path


def describe(rows: Sequence[LayerRow], total: LayerRow) -> str:
    """The rows as text."""
    return as_text(HEAD, [_cells(row) for row in rows], _cells(total), words=[0])


def _cells(row: LayerRow) -> list[str]:
    shown = [_percent(row.kept), *("" if bits is None else str(bits) for bits in (row.code_bits, row.gap_bits))]
    counts = (row.before, row.after, row.float32, row.gzip, row.gzip_after, row.bytes)
    return [row.name, *shown, *(f"{count:,}" for count in counts), f"{row.ratio:.1f}"]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


class FireRow(NamedTuple):
    """A fire module, or a convolution outside of one: `layers` are s1x1, e1x1 and e3x3, or the one."""

    name: str
    layers: tuple[LayerRow, ...]

    @property
    def before(self) -> int:
        """Parameters before pruning."""
        return sum(row.before for row in self.layers)

    @property
    def after(self) -> int:
        """Parameters after pruning."""
        return sum(row.after for row in self.layers)


def fire_rows(model: keras.Model, rows: Sequence[LayerRow]) -> list[FireRow]:
    """The lines of SqueezeNet's Table 1 (Iandola et al. 2016): conv1, fire2 ..., conv10; none without fire modules.

    Args:
        model: functional.
        rows: of its layers.
    """
    modules = _fire_modules(model)
    by_name = {row.name: row for row in rows}
    first_layers = {names[0]: names for names in modules}
    inside = {name for names in modules for name in names}
    lines: list[FireRow] = []
    for step in read(model).steps if modules else ():
        name = step.operation.name
        number = len(lines) + 1
        if name in first_layers:
            lines.append(FireRow(f"fire{number}", tuple(by_name[member] for member in first_layers[name])))
        elif name in by_name and name not in inside:
            lines.append(FireRow(f"conv{number}", (by_name[name],)))
    return lines


def _fire_modules(model: keras.Model) -> list[tuple[str, str, str]]:
    """The names of the squeezing and the two expanding convolutions of each module (figure 1 of the paper)."""
    network = read(model)
    source = network.producers()
    modules = []
    for step in network.steps:
        branches = [source.get(id(tensor)) for tensor in step.inputs]
        if not isinstance(step.operation, keras.layers.Concatenate) or len(branches) != 2:
            continue
        first, second = branches
        if not (_is_convolution(first) and _is_convolution(second)) or first.inputs[0] is not second.inputs[0]:
            continue
        squeeze = source.get(id(first.inputs[0]))
        if _is_convolution(squeeze) and set(squeeze.operation.kernel_size) == {1}:
            modules.append((squeeze.operation.name, first.operation.name, second.operation.name))
    return modules


def _is_convolution(step: Step | None) -> TypeGuard[Step]:
    return step is not None and isinstance(step.operation, CONVOLUTIONS)


def describe_fire(lines: Sequence[FireRow], total: LayerRow) -> str:
    """The lines with the columns of Table 1."""
    body = []
    for line in lines:
        kept = [_percent(row.kept) for row in line.layers]
        bits = max(row.code_bits or 0 for row in line.layers)
        body.append([line.name, *kept, *[""] * (3 - len(kept)), f"{bits}bit", f"{line.before:,}", f"{line.after:,}"])
    return as_text(FIRE_HEAD, body, ["total", "", "", "", "", f"{total.before:,}", f"{total.after:,}"], words=[0])
