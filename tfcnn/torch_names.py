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


NAMES: dict[str, tuple[Callable[[dict], Iterator[str]], ...]] = {
    "resnet": (resnet,),
}
