"""Module names of torchvision's and timm's networks, in the order of `tfcnn.graph.in_order`.

One generator for each family and library: it takes the arguments of our builder and yields, for each of our layers with
weights, the module that holds them in a `state_dict`. NAMES lists the generators of each family.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tfcnn.arithmetic.scaling import scale_depth


def resnet(arguments: dict) -> Iterator[str]:
    """torchvision, timm: the stride or the wider map of a stage's first block asks for `downsample`."""
    convolutions, projected = (3, 1) if arguments["block"] == "bottleneck" else (2, 2)
    yield from ("conv1", "bn1")
    for stage, n in enumerate(arguments["repeats"], start=1):
        for i in range(scale_depth(n, arguments["depth"])):
            block = f"layer{stage}.{i}"
            for k in range(1, convolutions + 1):
                yield from (f"{block}.conv{k}", f"{block}.bn{k}")
            if i == 0 and stage >= projected:
                yield from (f"{block}.downsample.0", f"{block}.downsample.1")
    yield "fc"


def vgg(arguments: dict) -> Iterator[str]:
    """torchvision."""
    yield from _vgg_features(arguments)
    yield from ("classifier.0", "classifier.3", "classifier.6")


def vgg_timm(arguments: dict) -> Iterator[str]:
    yield from _vgg_features(arguments)
    yield from ("pre_logits.fc1", "pre_logits.fc2", "head.fc")


def _vgg_features(arguments: dict) -> Iterator[str]:
    place = 0
    norm = arguments["batch_norm"]
    for n in arguments["repeats"]:
        for _ in range(scale_depth(n, arguments["depth"])):
            yield f"features.{place}"
            if norm:
                yield f"features.{place + 1}"
            place += 3 if norm else 2  # convolution, batch norm, ReLU
        place += 1  # pooling


def densenet(arguments: dict) -> Iterator[str]:
    """torchvision, timm."""
    yield from ("features.conv0", "features.norm0")
    for block, n in enumerate(arguments["repeats"], start=1):
        for i in range(1, scale_depth(n, arguments["depth"]) + 1):
            layer = f"features.denseblock{block}.denselayer{i}"
            yield from (f"{layer}.norm1", f"{layer}.conv1", f"{layer}.norm2", f"{layer}.conv2")
        if block < len(arguments["repeats"]):
            yield from (f"features.transition{block}.norm", f"features.transition{block}.conv")
    yield from ("features.norm5", "classifier")


def xception_timm(arguments: dict) -> Iterator[str]:
    repeats = scale_depth(8, arguments["depth"])
    yield from ("conv1", "bn1", "conv2", "bn2")
    for block in range(1, repeats + 5):
        down = block < 4 or block == repeats + 4
        for k in range(2 if down else 3):
            first = 0 if block == 1 else 1  # ReLU, convolution, batch norm; the first block has no ReLU in front
            place = 3 * k + first
            yield from (f"block{block}.rep.{place}", f"block{block}.rep.{place + 1}")
        if down:
            yield from (f"block{block}.skip", f"block{block}.skipbn")
    yield from ("conv3", "bn3", "conv4", "bn4", "fc")


def mobilenet_timm(arguments: dict) -> Iterator[str]:
    yield from ("conv_stem", "bn1")
    for group, n in enumerate((1, 2, 2, 1 + scale_depth(5, arguments["depth"]), 2)):
        for i in range(n):
            yield from _timm_block(f"blocks.{group}.{i}", expand=False, excite=False)
    yield "classifier"


def mobilenet_v2(arguments: dict) -> Iterator[str]:
    """torchvision."""
    yield from ("features.0.0", "features.0.1")
    blocks = [block for group in _mobilenet_v2_groups(arguments) for block in group]
    for number, (expand, _) in enumerate(blocks, start=1):
        conv = f"features.{number}.conv"
        pairs = 2 if expand else 1  # of a convolution and its batch norm, with a ReLU
        yield from (f"{conv}.{i}.{j}" for i in range(pairs) for j in (0, 1))
        yield from (f"{conv}.{pairs}", f"{conv}.{pairs + 1}")
    yield from (f"features.{len(blocks) + 1}.0", f"features.{len(blocks) + 1}.1", "classifier.1")


def mobilenet_v2_timm(arguments: dict) -> Iterator[str]:
    yield from _timm_blocks(_mobilenet_v2_groups(arguments))
    yield from ("conv_head", "bn2", "classifier")


def mobilenet_v3(arguments: dict) -> Iterator[str]:
    """torchvision."""
    yield from ("features.0.0", "features.0.1")
    blocks = [block for group in _mobilenet_v3_groups(arguments) for block in group]
    for number, (expand, excite) in enumerate(blocks, start=1):
        yield from _torchvision_block(f"features.{number}.block", expand, excite)
    last = f"features.{len(blocks) + 1}"
    yield from (f"{last}.0", f"{last}.1", "classifier.0", "classifier.3")


def mobilenet_v3_timm(arguments: dict) -> Iterator[str]:
    groups = _mobilenet_v3_groups(arguments)
    yield from _timm_blocks(groups)
    yield from (f"blocks.{len(groups)}.0.conv", f"blocks.{len(groups)}.0.bn1", "conv_head", "classifier")


def efficientnet(arguments: dict) -> Iterator[str]:
    """torchvision."""
    yield from ("features.0.0", "features.0.1")
    groups = _efficientnet_groups(arguments)
    for number, blocks in enumerate(groups, start=1):
        for i, (expand, excite) in enumerate(blocks):
            yield from _torchvision_block(f"features.{number}.{i}.block", expand, excite)
    yield from (f"features.{len(groups) + 1}.0", f"features.{len(groups) + 1}.1", "classifier.1")


def efficientnet_timm(arguments: dict) -> Iterator[str]:
    yield from _timm_blocks(_efficientnet_groups(arguments))
    yield from ("conv_head", "bn2", "classifier")


# Inverted residuals in the groups that the libraries number: a row of the paper's table, or equal filters.


class Block(NamedTuple):
    """What an inverted residual has: an expanding convolution, squeeze-and-excitation."""

    expand: bool
    excite: bool


Groups = list[list[Block]]


def _mobilenet_v2_groups(arguments: dict) -> Groups:
    rows = enumerate((1, 2, 3, 4, 3, 3, 1))
    return [[Block(row > 0, False)] * scale_depth(n, arguments["depth"]) for row, n in rows]


def _efficientnet_groups(arguments: dict) -> Groups:
    rows = enumerate((1, 2, 2, 3, 3, 4, 1))
    depth = arguments["depth"] * arguments["depth_coefficient"]
    return [[Block(row > 0, not arguments["lite"])] * scale_depth(n, depth) for row, n in rows]


def _mobilenet_v3_groups(arguments: dict) -> Groups:
    groups: Groups = []
    before = 16
    for _, expanded, filters, excite, _, _, n in [row for rows in arguments["table"] for row in rows]:
        if not groups or filters != before:
            groups.append([])
        for _ in range(scale_depth(n, arguments["depth"])):
            groups[-1].append(Block(expanded != before, excite and not arguments["minimalistic"]))
            before = filters
    return groups


def _torchvision_block(name: str, expand: bool, excite: bool) -> Iterator[str]:
    """Up to four parts, numbered without those that a block lacks."""
    parts = ["conv", "conv"] if expand else ["conv"]
    parts += ["excite", "conv"] if excite else ["conv"]
    for number, part in enumerate(parts):
        if part == "excite":
            yield from (f"{name}.{number}.fc1", f"{name}.{number}.fc2")
        else:
            yield from (f"{name}.{number}.0", f"{name}.{number}.1")


def _timm_blocks(groups: Groups) -> Iterator[str]:
    yield from ("conv_stem", "bn1")
    for group, blocks in enumerate(groups):
        for i, (expand, excite) in enumerate(blocks):
            yield from _timm_block(f"blocks.{group}.{i}", expand, excite)


def _timm_block(name: str, expand: bool, excite: bool) -> Iterator[str]:
    """With or without expansion the depthwise convolution is `conv_dw`; the 1x1 and batch norms are named in turn."""
    excitation = (f"{name}.se.conv_reduce", f"{name}.se.conv_expand") if excite else ()
    if expand:
        yield from (f"{name}.conv_pw", f"{name}.bn1", f"{name}.conv_dw", f"{name}.bn2")
        yield from excitation
        yield from (f"{name}.conv_pwl", f"{name}.bn3")
    else:
        yield from (f"{name}.conv_dw", f"{name}.bn1")
        yield from excitation
        yield from (f"{name}.conv_pw", f"{name}.bn2")


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
    "vgg": (vgg, vgg_timm),
    "densenet": (densenet,),
    "mobilenet": (mobilenet_timm,),
    "mobilenet_v2": (mobilenet_v2, mobilenet_v2_timm),
    "mobilenet_v3": (mobilenet_v3, mobilenet_v3_timm),
    "xception": (xception_timm,),
    "efficientnet": (efficientnet, efficientnet_timm),
    "alexnet": (alexnet,),
    "googlenet": (googlenet,),
    "inception_v3": (inception_v3,),
    "squeezenet": (squeezenet,),
}
