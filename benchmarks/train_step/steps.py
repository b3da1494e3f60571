"""The contenders: functions that do a number of training steps, each in a process that imports one library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.contenders import forget_peak
from benchmarks.parity import import_torch
from benchmarks.train_step.networks import CLASSES, RATE, Row
from tfcnn.cli.startup import import_tensorflow

WEIGHT_DECAY = 0.05


class Prepared(NamedTuple):
    """A contender that is ready: its steps, its trainable parameters, and MiB that its libraries take."""

    steps: Callable[[int], None]
    parameters: int
    imported: int


def prepare_keras(row: Row, contender: str, precision: str) -> Prepared:
    """Keras' `fit`, contender "fit", or what `tfcnn.train` does, "ours"."""
    if contender == "ours":  # fit has TensorFlow as its user has it
        import_tensorflow()
    import keras
    import tensorflow as tf

    from tfcnn import factory, losses
    from tfcnn.training import fused_kernels, loop
    from tfcnn.training.compile import compile_model

    imported = forget_peak()
    if precision == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    if contender == "fit" and row.keras:
        name, options = row.keras
        build = getattr(keras.applications, name)
        shape = row.input_shape
        model = build(weights=None, input_shape=shape, classes=CLASSES, classifier_activation=None, **options)
    else:
        model = factory.build(row.arch, row.input_shape, CLASSES, **row.overrides)
    parameters = sum(weight.numpy().size for weight in model.trainable_weights)
    batches = _batches_of(row, model)
    config = row.config
    if contender == "fit":
        optimizer = keras.optimizers.AdamW(RATE, weight_decay=WEIGHT_DECAY)
        model.compile(optimizer, losses.loss(row.task, config.loss, config.smoothing), metrics=["accuracy"])

        def fit(count: int) -> None:
            model.fit(batches, steps_per_epoch=count, verbose=0, shuffle=False)

        return Prepared(fit, parameters, imported)
    fused_kernels.accelerate(model)
    compile_model(model, config, 1000, row.task)
    model.optimizer.build(model.trainable_variables)
    _, targets = batches.element_spec
    model.compute_metrics(
        None, tf.zeros((1, *targets.shape[1:]), targets.dtype), tf.zeros((1, *model.output_shape[1:]))
    )
    iterator = iter(batches)
    take = loop.several_steps(model)

    def steps(count: int) -> None:
        while count:
            number, _ = take(iterator, min(count, loop.MOST_STEPS))
            count -= int(number)

    return Prepared(steps, parameters, imported)


def _batches_of(row: Row, model: Any) -> Any:
    """Four random batches, again and again, as a tf.data.Dataset."""
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((4, row.batch, *row.input_shape), "float32")
    targets = rng.integers(0, CLASSES, (4, row.batch, *model.output_shape[1:-1]), "int32")
    if row.task == "classification":
        targets = np.eye(CLASSES, dtype="float32")[targets]
    return tf.data.Dataset.from_tensor_slices((inputs, targets)).repeat().prefetch(2)


def prepare_torch(row: Row, contender: str, precision: str) -> Prepared:
    """The same with PyTorch, contender "PyTorch" or "compiled"."""
    torch = import_torch()
    import timm  # noqa: F401
    import torchvision  # noqa: F401

    if contender == "compiled":
        import torch._dynamo
        import torch._inductor.compile_fx

    from benchmarks.torch_segmentation import dice_cross_entropy

    imported = forget_peak()
    layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(len(row.input_shape) + 1, torch.contiguous_format)
    model = build_twin(row).train().to(memory_format=layout)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(4, row.batch, row.channels, *row.input_shape[:-1], generator=generator)
    inputs = [batch.to(memory_format=layout) for batch in inputs]
    with torch.no_grad():
        places = model(inputs[0]).shape[2:]
    targets = torch.randint(0, CLASSES, (4, row.batch, *places), generator=generator)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=WEIGHT_DECAY, fused=True)
    loss_of = dice_cross_entropy
    if row.task == "classification":
        loss_of = torch.nn.CrossEntropyLoss(label_smoothing=row.config.smoothing)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if contender == "compiled":
        model = torch.compile(model)

    def steps(count: int) -> None:
        for number in range(count):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                loss = loss_of(model(inputs[number % 4]), targets[number % 4])
            loss.backward()
            optimizer.step()
            loss.item()

    return Prepared(steps, parameters, imported)


def build_twin(row: Row) -> Any:
    """The network of PyTorch that `row.torch` names."""
    import_torch()  # before torchvision
    from benchmarks import torch_networks, torch_segmentation

    if row.torch != "here":
        return torch_networks.of_library(row.torch, CLASSES, row.width)
    if row.arch in torch_networks.NETWORKS:
        return torch_networks.NETWORKS[row.arch](row.size, CLASSES)
    return torch_segmentation.NETWORKS[row.arch](row.width, CLASSES)
