"""The memory of a training step: `python -m benchmarks.memory [--rows R ...] [--contenders C ...] [--batch N]`.

Each measurement is a fresh process which imports its libraries, builds a network, its optimiser and one random batch,
and trains on it in float32 with AdamW. Linux counts its resident memory and the peak, which can be set back. A row is
appended to benchmarks/memory.csv, which then becomes docs/memory.md; without --rows nothing is measured. A measurement
whose row is there already is not repeated: remove the rows that a change concerns.

    fit                     Keras' model.fit of our network with Keras' own layers and optimiser
    ours                    the steps of tfcnn.train
    ours --grad-checkpoint  the same with --grad-checkpoint
    PyTorch                 the twin of benchmarks.train_step, eager, channels last
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.contenders import ENVIRONMENT, forget_peak, is_installed
from benchmarks.parity import import_torch
from benchmarks.train_step.networks import CLASSES, RATE, ROWS, Row
from benchmarks.train_step.steps import WEIGHT_DECAY, build_twin
from benchmarks.training_runs import ROOT, append_row, has_row, read_rows
from tfcnn.cli.startup import import_tensorflow
from tfcnn.tables import as_markdown
from tfcnn.training.provenance import peak_memory

TABLE = Path(__file__).with_suffix(".csv")
PAGE = ROOT / "docs" / "memory.md"
CHECKPOINTED = "ours --grad-checkpoint"
CONTENDERS = ("fit", "ours", CHECKPOINTED, "PyTorch")
STEPS = 4  # after the first, which traces and compiles
SLOTS = 2  # of AdamW
MIB = 2**20
HEAD = """# The memory of a training step

Written by `python -m benchmarks.memory --rows all` from benchmarks/memory.csv. MiB of resident memory (Linux) above
what the process holds once its libraries are imported, each contender in a fresh process, float32, AdamW, one batch.
The peak of a step is that of the second to the fifth; the first also traces the graph. "Activations" are those that the
backward pass reads, from the graph alone (tfcnn/kept_activations.py), with --grad-checkpoint those of its plan
(tfcnn/training/grad_checkpoint.py); a step needs them, the weights, their gradients and the optimiser's two slots at
least. The peak also has the batch, the graph of operations (about 100 MiB once it is traced, whatever the batch), and
what the kernels work on. CPU time is one short measurement; docs/training_step.md compares speeds.
"""


def peak_of(action: Callable[[], None]) -> int:
    """The largest resident memory during a call, in MiB."""
    forget_peak()
    action()
    return peak_memory()


def build(row: Row) -> Any:
    """Our network of a row."""
    from tfcnn import factory

    return factory.build(row.arch, row.input_shape, CLASSES, **row.overrides)


def prepare_keras(row: Row, contender: str) -> Callable[[int], None]:
    """A function that trains our network for a number of steps."""
    import keras
    import numpy as np
    import tensorflow as tf

    from tfcnn import losses
    from tfcnn.training import fused_kernels, grad_checkpoint, loop
    from tfcnn.training.compile import compile_model

    model = build(row)
    config = dataclasses.replace(row.config, grad_checkpoint=contender == CHECKPOINTED)
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((row.batch, *row.input_shape), "float32")
    targets = rng.integers(0, CLASSES, (row.batch, *model.output_shape[1:-1]), "int32")
    if row.task == "classification":
        targets = np.eye(CLASSES, dtype="float32")[targets]
    batches = tf.data.Dataset.from_tensors((inputs, targets)).repeat()
    if contender == "fit":
        optimizer = keras.optimizers.AdamW(RATE, weight_decay=WEIGHT_DECAY)
        model.compile(optimizer, losses.loss(row.task, config.loss, config.smoothing), metrics=["accuracy"])
        optimizer.build(model.trainable_variables)
        return lambda count: model.fit(batches, steps_per_epoch=count, verbose=0, shuffle=False)
    fused_kernels.accelerate(model)
    if config.grad_checkpoint:
        grad_checkpoint.checkpoint_gradients(model)
    compile_model(model, config, 1000, row.task)
    model.optimizer.build(model.trainable_variables)
    model.compute_metrics(None, targets[:1], np.zeros((1, *model.output_shape[1:]), "float32"))
    take = loop.several_steps(model)
    iterator = iter(batches)

    def steps(count: int) -> None:
        take(iterator, count)

    return steps


def prepare_torch(row: Row) -> Callable[[int], None]:
    """The same with PyTorch."""
    torch = import_torch()
    from benchmarks.torch_segmentation import dice_cross_entropy

    axes = len(row.input_shape) - 1
    layout = {2: torch.channels_last, 3: torch.channels_last_3d}.get(axes, torch.contiguous_format)
    model = build_twin(row).train().to(memory_format=layout)
    inputs = torch.randn(row.batch, row.channels, *row.input_shape[:-1]).to(memory_format=layout)
    with torch.no_grad():
        places = model(inputs[:2]).shape[2:]
    targets = torch.randint(0, CLASSES, (row.batch, *places))
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=WEIGHT_DECAY, fused=True)
    loss_of = dice_cross_entropy
    if row.task == "classification":
        loss_of = torch.nn.CrossEntropyLoss(label_smoothing=row.config.smoothing)

    def steps(count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            loss_of(model(inputs), targets).backward()
            optimizer.step()

    return steps


def serve(name: str, contender: str, batch: int) -> None:
    """Measure in this process; print one line of JSON."""
    if contender == "PyTorch":
        import_torch()
        import timm  # noqa: F401
        import torchvision  # noqa: F401
    else:
        if contender != "fit":  # fit has TensorFlow as its user has it
            import_tensorflow()
        import keras  # noqa: F401

        import tfcnn.training.compile
        import tfcnn.training.loop  # noqa: F401
    imported = forget_peak()
    row = ROWS[name]._replace(batch=batch)
    steps = prepare_torch(row) if contender == "PyTorch" else prepare_keras(row, contender)
    built = forget_peak()
    first = peak_of(lambda: steps(1))
    started = time.process_time()
    peak = peak_of(lambda: steps(STEPS))
    values = {
        "built_mib": built - imported,
        "first_step_mib": first - imported,
        "step_mib": peak - imported,
        "step_cpu_seconds": round((time.process_time() - started) / STEPS, 3),
    }
    print(json.dumps(values), flush=True)


def key_of(name: str, contender: str, batch: int) -> dict[str, str]:
    """The columns of the table that name a measurement."""
    return {"network": name, "batch": str(batch), "contender": contender}


def measure(name: str, contender: str, batch: int) -> dict[str, str]:
    """The row of the table of one contender, from a fresh process."""
    command = [sys.executable, "-m", "benchmarks.memory", "--serve", name, contender, str(batch)]
    environment = ENVIRONMENT | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    if process.returncode:
        raise SystemExit(f"error: {name}, {contender} failed: {process.stderr}")
    values = json.loads(process.stdout.splitlines()[-1])
    return key_of(name, contender, batch) | {column: str(value) for column, value in values.items()}


def needed(name: str, batch: int) -> dict[str, float]:
    """MiB that a step in float32 needs: "weights" with gradients and AdamW's slots; activations, "all" and "cut"."""
    from tfcnn import cost, graph
    from tfcnn.kept_activations import kept_activations
    from tfcnn.training import grad_checkpoint

    with cost.weightless():
        model = build(ROWS[name])
    model_graph = graph.read(model)
    memory = cost.cost_table(model).memory(batch, SLOTS)
    activations = sum(map(cost.example_bytes, kept_activations(model_graph)))
    return {
        "weights": (memory.parameters + memory.gradients + memory.optimizer) / MIB,
        "all": batch * activations / MIB,
        "cut": batch * grad_checkpoint.divide(model_graph).kept_bytes / MIB,
    }


def summarise(rows: list[dict[str, str]], needed: Callable[[str, int], dict[str, float]]) -> list[list[str]]:
    """A line of the page for each row of the table; `needed` of a network's name and batch."""
    lines = []
    cases = dict.fromkeys((row["network"], row["batch"]) for row in rows)
    bounds = {case: needed(case[0], int(case[1])) for case in cases}
    ours = {(row["network"], row["batch"]): row["step_cpu_seconds"] for row in rows if row["contender"] == "ours"}
    for row in rows:
        case = (row["network"], row["batch"])
        bound = bounds[case]
        activations = bound["cut"] if row["contender"] == CHECKPOINTED else bound["all"]
        step = float(row["step_mib"])
        seconds = float(row["step_cpu_seconds"])
        lines.append(
            [
                f"{row['network']}, batches of {row['batch']}",
                row["contender"],
                f"{step:,.0f}",
                f"{activations:,.0f}",
                f"{bound['weights']:,.0f}",
                f"{step / (activations + bound['weights']):.2f}",
                f"{float(row['first_step_mib']):,.0f}",
                f"{float(row['built_mib']):,.0f}",
                f"{seconds / float(ours[case]):.2f}" if case in ours and row["contender"] != "PyTorch" else "",
            ]
        )
    return lines


def write_page(rows: list[dict[str, str]]) -> None:
    """Write docs/memory.md."""
    head = [
        "network",
        "contender",
        "peak of a step",
        "activations",
        "weights, gradients, slots",
        "peak / needed",
        "peak of the first step",
        "after building",
        "CPU time, ours = 1",
    ]
    order = list(ROWS)

    def place(row: dict[str, str]) -> tuple[int, int, int]:
        return order.index(row["network"]), int(row["batch"]), CONTENDERS.index(row["contender"])

    PAGE.write_text(f"{HEAD}\n{as_markdown(head, summarise(sorted(rows, key=place), needed), words=[0, 1])}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", nargs="+", default=[], choices=[*ROWS, "all"], help="networks to measure, or all")
    parser.add_argument("--contenders", nargs="+", default=CONTENDERS, choices=CONTENDERS)
    parser.add_argument("--batch", type=int, help="examples of a step [the network's in benchmarks.train_step]")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        name, contender, batch = arguments.serve
        serve(name, contender, int(batch))
        return
    for name in ROWS if "all" in arguments.rows else arguments.rows:
        for contender in arguments.contenders:
            if contender == "PyTorch" and not is_installed("torch"):
                continue
            batch = arguments.batch or ROWS[name].batch
            if not has_row(TABLE, key_of(name, contender, batch)):
                append_row(TABLE, measure(name, contender, batch))
    import_tensorflow()
    write_page(read_rows(TABLE))


if __name__ == "__main__":
    main()
