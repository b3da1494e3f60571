"""Our networks against the libraries that others load: `python -m benchmarks.parity [--archs A ...]`.

A reference is built in its own library with random weights and batch-norm statistics, its weights are stored as that
library stores them, and `tfcnn.build(..., weights=FILE)` loads them. Both see the same random images. The error is the
largest difference of a logit, in units of the standard deviation of the reference's logits; 1e-4 is the house's limit.
PyTorch, torchvision and timm come with `make test-torch`.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tfcnn
from tfcnn.cli.startup import import_tensorflow

LIMIT = 1e-4
CLASSES = 10
# Added to batch norm's biases, so that most units are on the straight side of ReLU. Without it a hundred layers of
# random weights magnify rounding until torchvision's resnet101 in float32 is 2e-4 from itself in float64.
SHIFT = 1.0


LIBRARIES: list[Any] = []  # PyTorch forgets the operators of a library that is garbage-collected


class Case(NamedTuple):
    """A network of ours and its reference."""

    arch: str
    library: str  # "keras.applications", "torchvision" or "timm"
    reference: str  # its name there
    size: int = 64  # image side: small, and enough for every stage
    arguments: tuple = ()  # of our builder, (name, value) each
    options: tuple = ()  # of the reference's builder


def mobilenet_v3(size: str) -> Iterator[Case]:
    arch = f"mobilenet_v3_{size}"
    keras_name = f"MobileNetV3{size.title()}"
    yield Case(arch, "keras.applications", keras_name, options=RAW)
    yield Case(arch, "keras.applications", keras_name, arguments=(("width", 0.75),), options=(*RAW, ("alpha", 0.75)))
    yield Case(
        arch,
        "keras.applications",
        keras_name,
        arguments=(("minimalistic", True),),
        options=(*RAW, ("minimalistic", True)),
    )
    yield Case(arch, "torchvision", arch, arguments=(("form", "torchvision"),))
    yield Case(arch, "timm", f"mobilenetv3_{size}_100", arguments=(("form", "timm"),))
    yield Case(arch, "timm", f"mobilenetv3_{size}_075", arguments=(("form", "timm"), ("width", 0.75)))
    yield Case(arch, "timm", f"tf_mobilenetv3_{size}_100", arguments=(("form", "keras"),))
    yield Case(arch, "timm", f"tf_mobilenetv3_{size}_075", arguments=(("form", "keras"), ("width", 0.75)))
    minimal = (("form", "keras"), ("minimalistic", True))
    yield Case(arch, "timm", f"tf_mobilenetv3_{size}_minimal_100", arguments=minimal)


def efficientnet(number: int) -> Iterator[Case]:
    arch = f"efficientnet_b{number}"
    size = 128  # on 2x2 maps the statistics of so deep a network say little
    yield Case(arch, "keras.applications", f"EfficientNetB{number}", size)
    yield Case(arch, "torchvision", arch, size, (("form", "torchvision"),))
    yield Case(arch, "timm", arch, size, (("form", "timm"),))
    yield Case(arch, "timm", f"tf_{arch}", size, (("form", "keras"),))


RAW = (("include_preprocessing", False),)  # keras.applications' MobileNetV3 scales its images otherwise

CASES = (
    Case("resnet18", "torchvision", "resnet18"),
    Case("resnet50", "torchvision", "resnet50"),
    Case("resnet50", "timm", "resnet50"),
    Case("resnet50", "keras.applications", "ResNet50", arguments=(("form", "keras"),)),
    Case("alexnet", "torchvision", "alexnet", 224),
    Case("googlenet", "torchvision", "googlenet", options=(("aux_logits", False), ("init_weights", True))),
    Case("inception_v3", "keras.applications", "InceptionV3", 96),
    Case(
        "inception_v3",
        "torchvision",
        "inception_v3",
        size=96,
        arguments=(("form", "torchvision"),),
        options=(("aux_logits", False), ("init_weights", True)),
    ),
    Case("inception_v3", "timm", "inception_v3", 96, (("form", "torchvision"),)),
    Case("mobilenet", "keras.applications", "MobileNet"),
    Case("mobilenet", "timm", "mobilenetv1_100", arguments=(("form", "timm"),)),
    Case("mobilenet_v2", "keras.applications", "MobileNetV2", arguments=(("width", 0.35),), options=(("alpha", 0.35),)),
    Case("mobilenet_v2", "torchvision", "mobilenet_v2", arguments=(("form", "torchvision"),)),
    Case("mobilenet_v2", "timm", "mobilenetv2_050", arguments=(("form", "torchvision"), ("width", 0.5))),
    Case("mobilenet_v3_small", "keras.applications", "MobileNetV3Small", options=RAW),
    Case("mobilenet_v3_small", "torchvision", "mobilenet_v3_small", arguments=(("form", "torchvision"),)),
    Case("mobilenet_v3_small", "timm", "mobilenetv3_small_050", arguments=(("form", "timm"), ("width", 0.5))),
    Case("densenet121", "torchvision", "densenet121"),
    Case("xception", "keras.applications", "Xception", 96),
    Case("xception", "timm", "legacy_xception", 96, (("form", "timm"),)),
    Case("efficientnet_b0", "keras.applications", "EfficientNetB0"),
    Case("efficientnet_b0", "torchvision", "efficientnet_b0", arguments=(("form", "torchvision"),)),
    Case("efficientnet_b0", "timm", "efficientnet_b0", arguments=(("form", "timm"),)),
    Case("squeezenet1_0", "torchvision", "squeezenet1_0"),
    Case("squeezenet1_1", "torchvision", "squeezenet1_1"),
)

# The rest of the same families: minutes, and therefore no part of the tests.
SIBLINGS = (
    *(Case(f"resnet{n}", "torchvision", f"resnet{n}", 128) for n in (34, 101, 152)),
    *(Case(f"resnet{n}", "timm", f"resnet{n}") for n in (18, 34, 101, 152)),
    *(Case(f"resnet{n}", "keras.applications", f"ResNet{n}", arguments=(("form", "keras"),)) for n in (101, 152)),
    *(Case(f"vgg{n}{bn}", "torchvision", f"vgg{n}{bn}", 224) for n in (11, 13, 16, 19) for bn in ("", "_bn")),
    *(Case(f"vgg{n}{bn}", "timm", f"vgg{n}{bn}", 224) for n in (11, 13, 16, 19) for bn in ("", "_bn")),
    *(Case(f"vgg{n}", "keras.applications", f"VGG{n}") for n in (16, 19)),
    *(Case(f"densenet{n}", "torchvision", f"densenet{n}") for n in (169, 201, 161)),
    *(Case(f"densenet{n}", "timm", f"densenet{n}") for n in (121, 169, 201, 161)),
    *(Case(f"densenet{n}", "keras.applications", f"DenseNet{n}") for n in (121, 169, 201)),
    Case("mobilenet_v2", "keras.applications", "MobileNetV2"),
    Case("mobilenet_v2", "timm", "mobilenetv2_100", arguments=(("form", "torchvision"),)),
    Case("mobilenet_v2", "timm", "mobilenetv2_140", arguments=(("form", "torchvision"), ("width", 1.4))),
    *(case for size in ("small", "large") for case in mobilenet_v3(size)),
    *(case for n in range(8) for case in efficientnet(n)),
    Case("efficientnet_lite0", "timm", "tf_efficientnet_lite0", 128, (("form", "keras"),)),
    Case("efficientnet_lite0", "timm", "efficientnet_lite0", 128, (("form", "timm"),)),
)


class Parity(NamedTuple):
    error: float  # largest difference of a logit / standard deviation of the reference's logits
    spread: float  # how far the logits of two images differ, in the same unit: the comparison means nothing near 0


def parity(case: Case, seed: int = 0) -> Parity:
    """Build the reference, carry its weights over by a file, and compare the logits."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(4, case.size, case.size, 3)).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        build_reference = build_in_keras if case.library == "keras.applications" else build_in_torch
        path, expected = build_reference(case, images, rng, Path(folder))
        arguments = dict(case.arguments)
        if "stem" in tfcnn.models.registry.arguments(case.arch):
            arguments["stem"] = "imagenet"
        model = tfcnn.build(case.arch, images.shape[1:], CLASSES, weights=str(path), **arguments)
    logits = np.asarray(model(images, training=False))
    unit = expected.std()
    return Parity(
        error=float(abs(logits - expected).max() / unit), spread=float(abs(expected[0] - expected[1]).max() / unit)
    )


def build_in_keras(case: Case, images: np.ndarray, rng: np.random.Generator, folder: Path) -> tuple[Path, np.ndarray]:
    """(file of the weights, logits)."""
    import keras

    keras.utils.set_random_seed(0)
    build = getattr(keras.applications, case.reference)
    shape = images.shape[1:]
    model = build(weights=None, input_shape=shape, classes=CLASSES, classifier_activation=None, **dict(case.options))
    if any(isinstance(layer, keras.layers.Normalization) for layer in model.layers):
        images = images * 255  # EfficientNet divides them
    variables = [(layer, variable) for layer in model.layers for variable in layer.weights]
    for layer, variable in variables:
        if variable.name in ("gamma", "beta", "bias"):
            shift = SHIFT if variable.name == "beta" else 0.0
            variable.assign(variable + 0.2 * rng.normal(size=variable.shape) + shift)
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(images, training=True)  # the statistics become those of these images
    for _, variable in variables:
        if variable.name == "moving_variance":
            variable.assign(variable * rng.uniform(0.8, 1.25, size=variable.shape))
    path = folder / "reference.weights.h5"
    model.save_weights(path)
    return path, np.asarray(model(images, training=False))


def build_in_torch(case: Case, images: np.ndarray, rng: np.random.Generator, folder: Path) -> tuple[Path, np.ndarray]:
    """(file of the weights, logits)."""
    torch = import_torch()
    from safetensors.torch import save_file

    torch.manual_seed(0)
    if case.library == "timm":
        import timm

        model = timm.create_model(case.reference, num_classes=CLASSES, **dict(case.options))
    else:
        import torchvision

        model = torchvision.models.get_model(case.reference, num_classes=CLASSES, **dict(case.options))
    batch = torch.from_numpy(np.moveaxis(images, -1, 1).copy())
    with torch.no_grad():
        if not any(hasattr(module, "running_mean") for module in model.modules()):
            for weight in model.parameters():  # PyTorch's default fades from layer to layer until only biases are seen
                if weight.dim() > 1:
                    torch.nn.init.kaiming_normal_(weight, nonlinearity="relu")
        for module in model.modules():
            for name, value in module.named_parameters(recurse=False):
                if name == "bias" or hasattr(module, "running_mean"):
                    value += 0.2 * torch.from_numpy(rng.normal(size=tuple(value.shape)).astype("float32"))
            if hasattr(module, "running_mean"):
                module.bias += SHIFT
                module.momentum = 1.0
        model.train()(batch)  # the statistics become those of these images
        for module in model.modules():
            if hasattr(module, "running_var"):
                module.running_var *= torch.from_numpy(
                    rng.uniform(0.8, 1.25, module.running_var.shape).astype("float32")
                )
        expected = model.eval()(batch).numpy()
    path = folder / "reference.safetensors"
    save_file(model.state_dict(), path)
    return path, expected


@functools.cache
def import_torch() -> Any:
    """PyTorch, ready for torchvision: on CPU its compiled operators may not load, and its import asks for two."""
    import torch

    if importlib.util.find_spec("torchvision"):
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        LIBRARIES.append(library)
    return torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--archs", nargs="+", help="only these [all]")
    archs = parser.parse_args().archs
    import_tensorflow()
    print("| network | arguments | reference | error | spread |")
    print("|---|---|---|---|---|")
    for case in (*CASES, *SIBLINGS):
        if not archs or case.arch in archs:
            error, spread = parity(case)
            arguments = ", ".join(f"{key}={value}" for key, value in case.arguments)
            verdict = "" if error < LIMIT else " (too large)"
            peer = f"{case.library} {case.reference}"
            print(f"| {case.arch} | {arguments} | {peer} | {error:.1e}{verdict} | {spread:.2f} |", flush=True)


if __name__ == "__main__":
    main()
