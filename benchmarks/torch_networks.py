"""PyTorch's twins of networks: those of torchvision and timm, and what they lack or have at one size only."""

from __future__ import annotations

import torch
from torch import nn

UNET_FILTERS = (16, 32, 64, 128, 256)  # of `width=0.25`


def of_library(name: str, classes: int) -> nn.Module:
    """The network of timm or torchvision that a name as "timm:mobilenetv1_100" stands for."""
    library, network = name.split(":")
    if library == "timm":
        import timm

        return timm.create_model(network, num_classes=classes)
    import torchvision

    return getattr(torchvision.models, network)(num_classes=classes)


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


class UNet(nn.Module):
    """U-Net of three channels with "same" padding: (batch, 3, side, side) -> (batch, classes, side, side)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        pairs = zip([3, *UNET_FILTERS], UNET_FILTERS, (0, 0, 0, 0.5, 0.5), strict=False)
        self.down = nn.ModuleList(_convolutions(*row) for row in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * f, f, 2, 2) for f in UNET_FILTERS[-2::-1])
        self.merge = nn.ModuleList(_convolutions(2 * f, f) for f in UNET_FILTERS[-2::-1])
        self.last = nn.Conv2d(UNET_FILTERS[0], classes, 1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for level, block in enumerate(self.down):
            x = block(self.pool(x) if level else x)
            skips.append(x)
        for up, block, skip in zip(self.up, self.merge, skips[-2::-1], strict=True):
            x = block(torch.cat([skip, up(x)], 1))
        return self.last(x)


def _convolutions(before: int, after: int, dropout: float = 0.0) -> nn.Module:
    parts = [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.Conv2d(after, after, 3, padding=1), nn.ReLU()]
    if dropout:
        parts.append(nn.Dropout(dropout))
    return nn.Sequential(*parts)
