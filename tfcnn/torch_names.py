"""Module names of torchvision's and timm's networks, in the order of `tfcnn.weights.in_order`.

One generator for a family and a way of naming: it takes the arguments of our builder and yields, for each of our layers
with weights, the module that holds them in a `state_dict`. NAMES lists the ways that a family is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator


def resnet(arguments: dict) -> Iterator[str]:
    """torchvision, timm: the stride or the wider map of a stage's first block asks for `downsample`."""
    convolutions, projected = (3, 1) if arguments["block"] == "bottleneck" else (2, 2)
    yield from ("conv1", "bn1")
    for stage, n in enumerate(arguments["repeats"], start=1):
        for i in range(n):
            block = f"layer{stage}.{i}"
            for k in range(1, convolutions + 1):
                yield from (f"{block}.conv{k}", f"{block}.bn{k}")
            if i == 0 and stage >= projected:
                yield from (f"{block}.downsample.0", f"{block}.downsample.1")
    yield "fc"


def alexnet(arguments: dict) -> Iterator[str]:
    """torchvision's `alexnet`."""
    yield from (f"features.{i}" for i in (0, 3, 6, 8, 10))
    yield from (f"classifier.{i}" for i in (1, 4, 6))


def squeezenet(arguments: dict) -> Iterator[str]:
    """torchvision: fire modules and poolings share one numbering, after the convolution, its ReLU and a pooling."""
    number = 3
    yield "features.0"
    for fires in arguments["plan"][1:]:
        for _ in fires:
            yield from (f"features.{number}.{part}" for part in ("squeeze", "expand1x1", "expand3x3"))
            number += 1
        number += 1
    yield "classifier.1"


def googlenet(arguments: dict) -> Iterator[str]:
    """torchvision. The auxiliary classifiers come after the network's end, as our outputs do."""
    branches = ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")
    modules = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    yield from _conv_bn("conv1", "conv2", "conv3")
    yield from _conv_bn(*(f"inception{module}.{branch}" for module in modules for branch in branches))
    yield "fc"
    for head in ("aux1", "aux2") if arguments["auxiliary"] else ():
        yield from _conv_bn(f"{head}.conv")
        yield from (f"{head}.fc1", f"{head}.fc2")


def inception_v3(arguments: dict) -> Iterator[str]:
    """torchvision, timm."""
    double = [f"branch3x3dbl_{k}" for k in (1, 2, 3)]
    module_5 = ("branch1x1", "branch5x5_1", "branch5x5_2", *double, "branch_pool")
    module_6 = ("branch1x1", *(f"branch7x7_{k}" for k in (1, 2, 3)), *(f"branch7x7dbl_{k}" for k in (1, 2, 3, 4, 5)))
    module_7 = ("branch1x1", "branch3x3_1", "branch3x3_2a", "branch3x3_2b", *double[:2])
    modules = {
        **dict.fromkeys(("5b", "5c", "5d"), module_5),
        "6a": ("branch3x3", *double),
        **dict.fromkeys(("6b", "6c", "6d", "6e"), (*module_6, "branch_pool")),
        "7a": ("branch3x3_1", "branch3x3_2", *(f"branch7x7x3_{k}" for k in (1, 2, 3, 4))),
        **dict.fromkeys(("7b", "7c"), (*module_7, "branch3x3dbl_3a", "branch3x3dbl_3b", "branch_pool")),
    }
    yield from _conv_bn(*(f"Conv2d_{name}" for name in ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3")))
    yield from _conv_bn(*(f"Mixed_{module}.{branch}" for module, branches in modules.items() for branch in branches))
    yield "fc"
    if arguments["auxiliary"]:
        yield from (*_conv_bn("AuxLogits.conv0", "AuxLogits.conv1"), "AuxLogits.fc")


def _conv_bn(*modules: str) -> Iterator[str]:
    """The two modules in each of torchvision's BasicConv2d."""
    for module in modules:
        yield from (f"{module}.conv", f"{module}.bn")


NAMES: dict[str, tuple[Callable[[dict], Iterator[str]], ...]] = {
    "resnet": (resnet,),
    "alexnet": (alexnet,),
    "googlenet": (googlenet,),
    "inception_v3": (inception_v3,),
    "squeezenet": (squeezenet,),
}
