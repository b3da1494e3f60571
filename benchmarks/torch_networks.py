"""PyTorch's twins of classification networks: those of torchvision and timm, and what they lack."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

# Of torchvision's networks.
OPTIONS = {"googlenet": {"aux_logits": False, "init_weights": True}}


def of_library(name: str, classes: int, width: float = 1.0) -> nn.Module:
    """The network of timm or torchvision that a name such as "timm:mobilenetv1_100" stands for.

    Args:
        width: multiplier of the filters, of timm's MobileNet alone.
    """
    library, network = name.split(":")
    if width != 1:
        from timm.models.efficientnet import _gen_mobilenet_v1  # timm registers none of every width

        return _gen_mobilenet_v1(network, channel_multiplier=width, num_classes=classes)
    if library == "timm":
        import timm

        return timm.create_model(network, num_classes=classes)
    import torchvision

    return getattr(torchvision.models, network)(num_classes=classes, **OPTIONS.get(network, {}))


def lenet5(size: int, classes: int) -> nn.Module:
    """LeNet-5 on grey images of `size` pixels a side."""
    side = ((size - 4) // 2 - 4) // 2
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * side**2, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, classes),
    )


def vgg11(size: int, classes: int) -> nn.Module:
    """torchvision's, whose first dense layer has as many inputs as the image gives; torchvision pools them to 7x7."""
    from torchvision.models import vgg11 as build  # after benchmarks.parity.import_torch

    model = build(num_classes=classes)
    model.avgpool = nn.Identity()
    model.classifier[0] = nn.Linear(512 * (size // 32) ** 2, 4096)
    return model


def nin(size: int, classes: int) -> nn.Module:
    """Network in Network for CIFAR-10, of any size, without dropout."""
    parts: list[nn.Module] = []
    before = 3
    for kernel, filters, pooled in ((5, (192, 160, 96), True), (5, (192, 192, 192), True), (3, (192, 192), False)):
        for place, after in enumerate(filters):
            side = 1 if place else kernel
            parts += [nn.Conv2d(before, after, side, padding=side // 2), nn.ReLU()]
            before = after
        parts += [nn.MaxPool2d(3, 2, ceil_mode=True)] if pooled else []
    parts += [nn.Conv2d(before, classes, 1), nn.ReLU()]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Residual(nn.Module):
    """Two convolutions and a shortcut without parameters: subsampling and channels of zeros (option A)."""

    def __init__(self, before: int, filters: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.missing = filters - before
        self.body = nn.Sequential(
            nn.Conv2d(before, filters, 3, stride, 1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
            nn.Conv2d(filters, filters, 3, padding=1, bias=False),
            nn.BatchNorm2d(filters),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x
        if self.missing:
            ends = (self.missing // 2, self.missing - self.missing // 2)
            shortcut = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, *ends))
        return functional.relu(self.body(x) + shortcut)


def resnet20(size: int, classes: int) -> nn.Module:
    """ResNet for CIFAR-10, of any size."""
    parts = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    before = 16
    for filters in (16, 32, 64):
        for _ in range(3):
            parts.append(Residual(before, filters, 1 if before == filters else 2))
            before = filters
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))


class Standardize(nn.Module):
    """Each example to mean 0 and variance 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, x.shape[1:], eps=1e-6)


def m5(size: int, classes: int) -> nn.Module:
    """M5 on sounds of `size` samples, each of which is standardised."""
    parts: list[nn.Module] = [Standardize()]
    before = 1
    for filters in (128, 128, 256, 512):
        first = before == 1
        convolution = nn.Conv1d(1, filters, 80, 4, 38) if first else nn.Conv1d(before, filters, 3, padding=1)
        parts += [convolution, nn.BatchNorm1d(filters), nn.ReLU(), nn.MaxPool1d(4, ceil_mode=True)]
        before = filters
    return nn.Sequential(*parts, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(before, classes))


def voxnet(size: int, classes: int) -> nn.Module:
    """VoxNet on grids of `size` voxels a side, without dropout."""
    side = ((size - 5) // 2 + 1 - 2) // 2
    return nn.Sequential(
        nn.Conv3d(1, 32, 5, 2),
        nn.LeakyReLU(0.1),
        nn.Conv3d(32, 32, 3),
        nn.LeakyReLU(0.1),
        nn.MaxPool3d(2),
        nn.Flatten(),
        nn.Linear(32 * side**3, 128),
        nn.LeakyReLU(0.1),
        nn.Linear(128, classes),
    )


NETWORKS: dict[str, Callable[[int, int], nn.Module]] = {
    "lenet5": lenet5,
    "vgg11": vgg11,
    "nin": nin,
    "resnet20": resnet20,
    "m5": m5,
    "voxnet": voxnet,
}
