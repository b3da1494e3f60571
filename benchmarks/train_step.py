"""The speed of a training step: `python -m benchmarks.train_step > docs/training_step.md` (an hour).

Contenders, each in a process of its own, on the same random batches, with AdamW and label smoothing:

    fit                Keras' model.fit; keras.applications' network where it has it, else ours of Keras' own layers
    keras kernels      tfcnn.train's steps with --kernels keras
    ours               tfcnn.train's steps as they are by default, in float32
    ours bfloat16      the same with --precision mixed_bfloat16
    PyTorch            timm's or torchvision's network where they have it, eager, channels last
    PyTorch bfloat16   the same under torch.autocast
    compiled           PyTorch's under torch.compile, which needs a C++ compiler
    compiled bfloat16  that under torch.autocast

Rounds are interleaved, some steps of each contender a round, so that what else the machine does meets them alike. The
ratio is fit's median time to the contender's, the middle half that of the single rounds; CPU is the ratio of the
processors' time, which other work disturbs less. Memory is the peak of the process. PyTorch comes with
`make test-torch`.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.parity import import_torch
from benchmarks.ratio import compared
from tfcnn.cli.startup import import_tensorflow

ENVIRONMENT = dict(os.environ)  # as it is before TensorFlow is imported here, which sets some of it
CLASSES = 10
RATE = 1e-3
WARM_UP = 3  # steps before the first that is timed
SECONDS = 1.0  # a contender's part of a round, of the fastest


class Row(NamedTuple):
    """A network at a size, and its twins: of keras.applications, and of torchvision or timm ("library:name")."""

    arch: str
    size: int
    batch: int
    channels: int = 3
    arguments: dict = {}  # noqa: RUF012
    keras: tuple[str, dict] | None = None
    torch: str | None = None


MOBILENET = {"keras": ("MobileNet", {}), "torch": "timm:mobilenetv1_100"}
QUARTER = {"arguments": {"width": 0.25}, "keras": ("MobileNet", {"alpha": 0.25}), "torch": "timm:mobilenetv1_100:0.25"}
ROWS = {
    "lenet5@28": Row("lenet5", 28, 128, 1, torch="here:lenet5"),
    "mobilenet@32": Row("mobilenet", 32, 64, **MOBILENET),
    "mobilenet@96": Row("mobilenet", 96, 32, **MOBILENET),
    "mobilenet@224": Row("mobilenet", 224, 16, **MOBILENET),
    "mobilenet-0.25@32": Row("mobilenet", 32, 64, **QUARTER),
    "mobilenet-0.25@96": Row("mobilenet", 96, 32, **QUARTER),
    "mobilenet-0.25@224": Row("mobilenet", 224, 16, **QUARTER),
    "resnet18@64": Row("resnet18", 64, 32, torch="torchvision:resnet18"),
    "resnet50@64": Row("resnet50", 64, 32, keras=("ResNet50", {}), torch="torchvision:resnet50"),
    "vgg11@32": Row("vgg11", 32, 64, torch="here:vgg11"),
    "unet-0.25@96": Row("unet", 96, 8, arguments={"width": 0.25}, torch="here:unet"),
}
# Of ours alone: which of them gain by bfloat16 is what --precision auto goes by.
ROWS |= {
    f"{arch}@{size}": Row(arch, size, batch, arguments=arguments)
    for arch, size, batch, arguments in (
        ("alexnet", 64, 32, {}),
        ("nin", 32, 64, {}),
        ("googlenet", 64, 32, {}),
        ("squeezenet1_1", 64, 32, {}),
        ("densenet121", 64, 16, {}),
        ("resnet20", 32, 64, {}),
        ("xception", 96, 8, {}),
        ("efficientnet_b0", 64, 16, {}),
        ("segnet", 64, 8, {"width": 0.25}),
    )
}
HEAD = """# A training step

Written by `python -m benchmarks.train_step` on {device}. Float32 where nothing else is said,
AdamW, label smoothing; each contender in a process of its own, {rounds} rounds, interleaved. "fit" is Keras'
`model.fit` of keras.applications' network (where it has none, of ours of Keras' own layers), with TensorFlow as its
user has it; "ours" what `tfcnn.train` does, in float32 or bfloat16 by `--precision auto`; "PyTorch" timm's or
torchvision's network, channels last, eager or "compiled" by torch.compile.
The ratio is fit's median time to the contender's, the middle half that of single rounds, CPU the ratio of the
processors' time. Absolute numbers mean little: the machine is shared.

| network | contender | ratio | middle half | CPU | images/s | peak MiB | parameters |
|---|---|---|---|---|---|---|---|"""
DEFAULT = ("fit", "ours", "ours bfloat16", "PyTorch", "PyTorch bfloat16", "compiled", "compiled bfloat16")
CONTENDERS = (*DEFAULT, "keras kernels")


def of_keras(row: Row, contender: str) -> tuple[Callable[[int], None], int]:
    """A function that does so many steps, and the number of parameters."""
    if contender != "fit":  # which has TensorFlow as its user has it
        import_tensorflow()
    import keras
    import numpy as np
    import tensorflow as tf

    from tfcnn import factory, losses
    from tfcnn.config import Config
    from tfcnn.models import registry
    from tfcnn.training import fused_kernels, loop
    from tfcnn.training.compile import compile_model

    shape = (row.size, row.size, row.channels)
    if "bfloat16" in contender:
        keras.config.set_dtype_policy("mixed_bfloat16")
    if contender == "fit" and row.keras:
        name, options = row.keras
        options = options | {"weights": None, "classes": CLASSES, "classifier_activation": None}
        model = getattr(keras.applications, name)(input_shape=shape, **options)
    else:
        stem = {"stem": "imagenet"} if "stem" in registry.arguments(row.arch) else {}
        model = factory.build(row.arch, shape, CLASSES, **row.arguments | stem)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(4 * row.batch, *shape)).astype("float32")
    targets = rng.integers(0, CLASSES, (4 * row.batch, *model.output_shape[1:-1]))
    task = registry.family_of(row.arch).task
    if task == "classification":
        targets = np.eye(CLASSES, dtype="float32")[targets]
    batches = tf.data.Dataset.from_tensor_slices((images, targets)).batch(row.batch).cache().repeat().prefetch(2)
    if contender == "fit":
        optimizer = keras.optimizers.AdamW(RATE, weight_decay=0.05)
        model.compile(optimizer, losses.loss(task, None, 0.1), metrics=["accuracy"])

        def steps(count):
            model.fit(batches, steps_per_epoch=count, verbose=0, shuffle=False)
    else:
        kernels = "keras" if contender == "keras kernels" else "fused"
        if kernels == "fused":
            fused_kernels.accelerate(model)
        compile_model(model, Config(arch=row.arch, kernels=kernels, lr=RATE), 1000, task)
        model.optimizer.build(model.trainable_variables)
        model.compute_metrics(None, targets[:1], np.zeros((1, *model.output_shape[1:]), "float32"))
        iterator, several = iter(batches), loop.several_steps(model)

        def steps(count):
            while count:
                done, _ = several(iterator, min(count, loop.MOST_STEPS))
                count -= int(done)

    return steps, model.count_params()


def of_torch(row: Row, contender: str) -> tuple[Callable[[int], None], int]:
    """The same with PyTorch."""
    library, name, *width = row.torch.split(":")
    torch = import_torch()
    if library == "here":
        model = {"lenet5": torch_lenet, "unet": torch_unet, "vgg11": torch_vgg}[name](torch.nn, row.size)
    elif width:
        from timm.models.efficientnet import _gen_mobilenet_v1  # timm registers none of this width

        model = _gen_mobilenet_v1(name, channel_multiplier=float(width[0]), num_classes=CLASSES)
    elif library == "timm":
        import timm

        model = timm.create_model(name, num_classes=CLASSES)
    else:
        import torchvision

        model = getattr(torchvision.models, name)(num_classes=CLASSES)
    model = model.train().to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, row.batch, row.channels, row.size, row.size, generator=generator)
    images = [each.to(memory_format=torch.channels_last) for each in images]
    places = (row.size, row.size) if name == "unet" else ()
    targets = torch.randint(0, CLASSES, (4, row.batch, *places), generator=generator)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.05)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    parameters = sum(p.numel() for p in model.parameters())
    if "compiled" in contender:
        model = torch.compile(model)

    def steps(count):
        for number in range(count):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled="bfloat16" in contender):
                loss = loss_of(model(images[number % 4]), targets[number % 4])
            loss.backward()
            optimizer.step()
            loss.item()

    return steps, parameters


def torch_lenet(nn, size):
    side = ((size - 4) // 2 - 4) // 2
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(16 * side**2, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, CLASSES)),
    )


def torch_vgg(nn, size):
    """torchvision's, with as many inputs of its first dense layer as the image has; torchvision pools them to 7x7."""
    from torchvision.models import vgg11

    model = vgg11(num_classes=CLASSES)
    model.avgpool, model.classifier[0] = nn.Identity(), nn.Linear(512 * (size // 32) ** 2, 4096)
    return model


def torch_unet(nn, size):
    """With the widths of `width=0.25`."""
    import torch

    filters = [16, 32, 64, 128, 256]

    def convs(before, after, drop=0.0):
        two = ((before, after), (after, after))
        each = [layer for a, b in two for layer in (nn.Conv2d(a, b, 3, padding=1), nn.ReLU())]
        return nn.Sequential(*each, *([nn.Dropout(drop)] if drop else []))

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            pairs = zip([3, *filters], filters, (0, 0, 0, 0.5, 0.5), strict=False)
            self.down = nn.ModuleList(convs(*row) for row in pairs)
            self.up = nn.ModuleList(nn.ConvTranspose2d(2 * f, f, 2, 2) for f in filters[-2::-1])
            self.joined = nn.ModuleList(convs(2 * f, f) for f in filters[-2::-1])
            self.last, self.pool = nn.Conv2d(filters[0], CLASSES, 1), nn.MaxPool2d(2)

        def forward(self, x):
            skips = []
            for level, block in enumerate(self.down):
                x = block(self.pool(x) if level else x)
                skips.append(x)
            for up, block, skip in zip(self.up, self.joined, skips[-2::-1], strict=True):
                x = block(torch.cat([skip, up(x)], 1))
            return self.last(x)

    return UNet()


def serve(row: Row, contender: str) -> None:
    """Do as many steps as each line on standard input says; answer with wall and CPU seconds."""
    make = of_torch if contender.startswith(("PyTorch", "compiled")) else of_keras
    steps, parameters = make(row, contender)
    steps(WARM_UP)
    print("parameters", parameters, flush=True)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        steps(int(line))
        print(time.perf_counter() - wall, time.process_time() - cpu, _peak(), flush=True)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Child:
    """A contender in its process."""

    def __init__(self, row: str, contender: str):
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (a pipe that nobody reads would fill)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.train_step", "--serve", row, contender],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=Path(__file__).resolve().parents[1],
            env=ENVIRONMENT | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        self.parameters = next((int(line.split()[1]) for line in self.process.stdout if "parameters" in line), None)
        if self.parameters is None:
            self.errors.seek(0)
            raise SystemExit(f"error: {contender} of {row} failed: {self.errors.read()}")
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def steps(self, count: int) -> float:
        """Seconds a step."""
        print(count, file=self.process.stdin, flush=True)
        wall, cpu, self.peak = map(float, self.process.stdout.readline().split())
        self.wall.append(wall / count)
        self.cpu.append(cpu / count)
        return wall / count

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(name: str, contenders: list[str], rounds: int) -> None:
    """Print the rows of the table of one network."""
    row = ROWS[name]
    children = {contender: Child(name, contender) for contender in contenders}
    count = max(1, round(SECONDS / min(child.steps(2) for child in children.values())))
    for child in children.values():
        child.wall.clear(), child.cpu.clear()
    for _ in range(rounds):
        for child in children.values():
            child.steps(count)
    base = children[contenders[0]]
    for contender, child in children.items():
        (ratio, low, high), (cpu, *_) = compared(base.wall, child.wall), compared(base.cpu, child.cpu)
        images = row.batch / statistics.median(child.wall)
        print(
            f"| {name}, batches of {row.batch} | {contender} | {ratio:.2f} | {low:.2f} to "
            f"{high:.2f} | {cpu:.2f} | {images:,.0f} | {child.peak:,.0f} | {child.parameters:,} |",
            flush=True,
        )
        child.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    twins = [name for name in ROWS if ROWS[name].torch]
    parser.add_argument("--rows", nargs="+", default=twins, choices=list(ROWS), help="networks [those with a twin]")
    parser.add_argument("--contenders", nargs="+", default=DEFAULT, choices=CONTENDERS)
    parser.add_argument("--rounds", type=int, default=10, help="of each network [%(default)s]")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(ROWS[given.serve[0]], given.serve[1])
        return
    import_tensorflow()
    from tfcnn.training.provenance import device

    print(HEAD.format(device=device(), rounds=given.rounds), flush=True)
    for name in given.rows:
        with_torch = importlib.util.find_spec("torch") and ROWS[name].torch
        contenders = [c for c in given.contenders if with_torch or not c.startswith(("PyTorch", "compiled"))]
        measure(name, contenders, given.rounds)


if __name__ == "__main__":
    main()
