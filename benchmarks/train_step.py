"""The speed of a training step: `python -m benchmarks.train_step > docs/training_step.md` (an hour).

Contenders, each in its process, on the same random batches, with AdamW and label smoothing:

    fit                Keras' model.fit; keras.applications' network where it has it, else ours of Keras' layers
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
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.contenders import Child, interleave, is_installed, serve
from benchmarks.parity import import_torch
from benchmarks.ratio import compare
from tfcnn.cli.startup import import_tensorflow

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


def mobilenet(size: int, batch: int) -> Row:
    return Row("mobilenet", size, batch, keras=("MobileNet", {}), torch="timm:mobilenetv1_100")


def quarter_mobilenet(size: int, batch: int) -> Row:
    twin = ("MobileNet", {"alpha": 0.25})
    return Row("mobilenet", size, batch, arguments={"width": 0.25}, keras=twin, torch="timm:mobilenetv1_100:0.25")


ROWS = {
    "lenet5@28": Row("lenet5", 28, 128, channels=1, torch="here:lenet5"),
    "mobilenet@32": mobilenet(32, 64),
    "mobilenet@96": mobilenet(96, 32),
    "mobilenet@224": mobilenet(224, 16),
    "mobilenet-0.25@32": quarter_mobilenet(32, 64),
    "mobilenet-0.25@96": quarter_mobilenet(96, 32),
    "mobilenet-0.25@224": quarter_mobilenet(224, 16),
    "resnet18@64": Row("resnet18", 64, 32, torch="torchvision:resnet18"),
    "resnet50@64": Row("resnet50", 64, 32, keras=("ResNet50", {}), torch="torchvision:resnet50"),
    "vgg11@32": Row("vgg11", 32, 64, torch="here:vgg11"),
    "unet-0.25@96": Row("unet", 96, 8, arguments={"width": 0.25}, torch="here:unet"),
}
# Without twins: --precision auto follows which of them gain by bfloat16.
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

Written by `python -m benchmarks.train_step` on {device}. Float32 unless stated otherwise,
AdamW, label smoothing; each contender in a separate process, {rounds} rounds, interleaved. "fit" is Keras'
`model.fit` of keras.applications' network (where it has none, of ours with Keras' layers), with TensorFlow as
installed; "ours" is what `tfcnn.train` does, in float32 or bfloat16 by `--precision auto`; "PyTorch" is timm's or
torchvision's network, channels last, eager or "compiled" by torch.compile.
The ratio is fit's median time over the contender's, the middle half that of single rounds, CPU the ratio of
processor times. Absolute numbers mean little: the machine is shared.

| network | contender | ratio | middle half | CPU | images/s | peak MiB | parameters |
|---|---|---|---|---|---|---|---|"""
DEFAULT = ("fit", "ours", "ours bfloat16", "PyTorch", "PyTorch bfloat16", "compiled", "compiled bfloat16")
CONTENDERS = (*DEFAULT, "keras kernels")


def prepare_keras(row: Row, contender: str) -> tuple[Callable[[int], None], int]:
    """A function that does a number of steps, and the number of parameters."""
    if contender != "fit":  # fit has TensorFlow as its user has it
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
        build = getattr(keras.applications, name)
        model = build(weights=None, input_shape=shape, classes=CLASSES, classifier_activation=None, **options)
    else:
        arguments = dict(row.arguments)
        if "stem" in registry.arguments(row.arch):
            arguments["stem"] = "imagenet"
        model = factory.build(row.arch, shape, CLASSES, **arguments)
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

        def steps(count: int) -> None:
            model.fit(batches, steps_per_epoch=count, verbose=0, shuffle=False)
    else:
        kernels = "keras" if contender == "keras kernels" else "fused"
        if kernels == "fused":
            fused_kernels.accelerate(model)
        compile_model(model, Config(arch=row.arch, kernels=kernels, lr=RATE), 1000, task)
        model.optimizer.build(model.trainable_variables)
        model.compute_metrics(None, targets[:1], np.zeros((1, *model.output_shape[1:]), "float32"))
        iterator = iter(batches)
        take = loop.several_steps(model)

        def steps(count: int) -> None:
            while count:
                number, _ = take(iterator, min(count, loop.MOST_STEPS))
                count -= int(number)

    return steps, model.count_params()


def prepare_torch(row: Row, contender: str) -> tuple[Callable[[int], None], int]:
    """The same with PyTorch."""
    torch = import_torch()
    model = _torch_twin(row).train().to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, row.batch, row.channels, row.size, row.size, generator=generator)
    images = [batch.to(memory_format=torch.channels_last) for batch in images]
    places = (row.size, row.size) if row.arch == "unet" else ()
    targets = torch.randint(0, CLASSES, (4, row.batch, *places), generator=generator)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.05)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    parameters = sum(p.numel() for p in model.parameters())
    if "compiled" in contender:
        model = torch.compile(model)

    def steps(count: int) -> None:
        for number in range(count):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled="bfloat16" in contender):
                loss = loss_of(model(images[number % 4]), targets[number % 4])
            loss.backward()
            optimizer.step()
            loss.item()

    return steps, parameters


def _torch_twin(row: Row) -> Any:
    """The network that `row.torch` names."""
    from benchmarks import torch_networks

    library, name, *width = (row.torch or "").split(":")
    if library == "here":
        if name == "lenet5":
            return torch_networks.lenet5(row.size, CLASSES)
        return torch_networks.UNet(CLASSES) if name == "unet" else torch_networks.vgg11(row.size, CLASSES)
    if width:
        from timm.models.efficientnet import _gen_mobilenet_v1  # timm registers none of this width

        return _gen_mobilenet_v1(name, channel_multiplier=float(width[0]), num_classes=CLASSES)
    return torch_networks.of_library(f"{library}:{name}", CLASSES)


def run_contender(row: Row, contender: str) -> None:
    """Prepare a contender, and do as many steps as each line on standard input says."""
    prepare = prepare_torch if contender.startswith(("PyTorch", "compiled")) else prepare_keras
    steps, parameters = prepare(row, contender)
    steps(WARM_UP)
    serve(steps, parameters)


def measure(name: str, contenders: list[str], rounds: int) -> None:
    """Print the rows of the table of one network."""
    row = ROWS[name]
    children = {each: Child("benchmarks.train_step", ["--serve", name, each]) for each in contenders}
    interleave(children.values(), rounds, SECONDS)
    base = children[contenders[0]]
    for contender, child in children.items():
        ratio, low, high = compare(base.wall, child.wall)
        cpu = compare(base.cpu, child.cpu).ratio
        images = row.batch / statistics.median(child.wall)
        print(
            f"| {name}, batches of {row.batch} | {contender} | {ratio:.2f} | {low:.2f} to "
            f"{high:.2f} | {cpu:.2f} | {images:,.0f} | {child.peak:,.0f} | {child.fact:,} |",
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
    arguments = parser.parse_args()
    if arguments.serve:
        run_contender(ROWS[arguments.serve[0]], arguments.serve[1])
        return
    import_tensorflow()
    from tfcnn.training.provenance import device

    print(HEAD.format(device=device(), rounds=arguments.rounds), flush=True)
    for name in arguments.rows:
        with_torch = is_installed("torch") and ROWS[name].torch
        contenders = [c for c in arguments.contenders if with_torch or not c.startswith(("PyTorch", "compiled"))]
        measure(name, contenders, arguments.rounds)


if __name__ == "__main__":
    main()
