"""The names of torchvision's and timm's modules, without a weight on either side."""

import math

import pytest

import tfcnn
from benchmarks import parity
from tfcnn import cost, graph
from tfcnn.models import registry
from tfcnn.weights.torch_names import NAMES

# One network for each way of naming and each thing that it depends on: blocks, depth, width, batch norm.
CASES = [
    ("resnet34", "torchvision", "resnet34", {}),
    ("vgg13", "timm", "vgg13", {}),
    ("vgg11_bn", "torchvision", "vgg11_bn", {}),
    ("vgg19_bn", "timm", "vgg19_bn", {}),
    ("densenet161", "torchvision", "densenet161", {}),
    ("densenet121", "timm", "densenet121", {}),
    ("mobilenet", "timm", "mobilenetv1_125", {"width": 1.25}),
    ("mobilenet_v2", "torchvision", "mobilenet_v2", {}),
    ("mobilenet_v2", "timm", "mobilenetv2_140", {"width": 1.4}),
    ("mobilenet_v3_large", "torchvision", "mobilenet_v3_large", {}),
    ("mobilenet_v3_large", "timm", "mobilenetv3_large_075", {"width": 0.75}),
    ("mobilenet_v3_small", "timm", "tf_mobilenetv3_small_minimal_100", {"minimalistic": True}),
    ("xception", "timm", "legacy_xception", {}),
    ("efficientnet_b5", "torchvision", "efficientnet_b5", {}),
    ("efficientnet_b7", "timm", "efficientnet_b7", {}),
    ("efficientnet_lite0", "timm", "tf_efficientnet_lite0", {}),
]


@pytest.mark.torch
@pytest.mark.parametrize(("arch", "library", "reference", "overrides"), CASES, ids=lambda value: str(value))
def test_every_layer_has_a_module_with_as_many_values_and_every_module_a_layer(arch, library, reference, overrides):
    torch = parity.import_torch()
    if library == "timm":
        from timm import create_model as build
    else:
        from torchvision.models import get_model as build
    with torch.device("meta"):
        tensors = build(reference).state_dict()
    sizes: dict[str, int] = {}
    for name, tensor in tensors.items():
        module, _, kind = name.rpartition(".")
        if kind != "num_batches_tracked":
            sizes[module] = sizes.get(module, 0) + tensor.numel()
    with cost.weightless():
        ours = graph.in_order(tfcnn.build(arch, **overrides))
    arguments = registry.arguments(arch, **overrides)
    ways = [list(names(arguments)) for names in NAMES[registry.family_of(arch).module]]
    names = max(ways, key=lambda way: len(set(way) & {module.removesuffix(".conv1") for module in sizes}))

    def size(name):
        parts = (name, f"{name}.conv1", f"{name}.pointwise")  # a separable convolution is two modules in timm
        return sum(sizes.pop(part, 0) for part in parts)

    assert [(name, size(name)) for name in names] == [
        (name, sum(math.prod(w.shape) for w in layer.weights)) for name, layer in zip(names, ours, strict=True)
    ]
    assert sizes == {}
