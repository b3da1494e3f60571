"""PyTorch's twins of segmentation networks, as the default recipes build them: with batch norm, without dropout.

Each takes (batch, channels, ...) and gives logits (batch, classes, ...).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional

from tfcnn.arithmetic.scaling import scale_width

CONV = {2: nn.Conv2d, 3: nn.Conv3d}
UP_CONV = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
BATCH_NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
UNET = (64, 128, 256, 512, 1024)
UNET3D = ((32, 64), (64, 128), (128, 256), (256, 512))
VGG16 = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))  # convolutions of each block, and their filters


def convolutions(before: int, filters: Sequence[int], axes: int = 2, bias: bool = True, dilation: int = 1) -> nn.Module:
    """Convolutions of side 3, batch norm and ReLU after each."""
    parts: list[nn.Module] = []
    for after in filters:
        convolution = CONV[axes](before, after, 3, padding=dilation, dilation=dilation, bias=bias)
        parts += [convolution, BATCH_NORM[axes](after), nn.ReLU()]
        before = after
    return nn.Sequential(*parts)


class UNet(nn.Module):
    """U-Net of images or volumes.

    Args:
        axes: 2 or 3.
        channels: of the input.
        rows: filters of the convolutions of each level.
        keep: whether up-convolutions keep the number of channels and have no bias, as in 3-D U-Net.
        classes: logits at each position.
    """

    def __init__(self, axes: int, channels: int, rows: Sequence[Sequence[int]], keep: bool, classes: int) -> None:
        super().__init__()
        befores = [channels, *(row[-1] for row in rows)]
        self.down = nn.ModuleList(
            convolutions(before, row, axes, bias=False) for before, row in zip(befores, rows, strict=False)
        )
        self.up = nn.ModuleList()
        self.merge = nn.ModuleList()
        before = rows[-1][-1]
        for row in rows[-2::-1]:
            after = before if keep else row[-1]
            self.up.append(UP_CONV[axes](before, after, 2, 2, bias=not keep))
            self.merge.append(convolutions(row[-1] + after, (row[-1],) * 2, axes, bias=False))
            before = row[-1]
        self.last = CONV[axes](before, classes, 1)
        self.pool = POOL[axes](2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for level, block in enumerate(self.down):
            x = block(self.pool(x) if level else x)
            skips.append(x)
        for up, block, skip in zip(self.up, self.merge, skips[-2::-1], strict=True):
            x = block(torch.cat([skip, up(x)], 1))
        return self.last(x)


class SegNet(nn.Module):
    """SegNet of three levels, as its recipe has it."""

    def __init__(self, width: float, classes: int) -> None:
        super().__init__()
        rows = [(scale_width(filters, width),) * repeats for repeats, filters in VGG16[:3]]
        befores = [3, *(row[-1] for row in rows)]
        self.down = nn.ModuleList(convolutions(before, row) for before, row in zip(befores, rows, strict=False))
        self.up = nn.ModuleList(
            convolutions(row[0], (*row[1:], above)) for row, above in zip(rows[:0:-1], befores[-2:0:-1], strict=True)
        )
        self.up.append(convolutions(rows[0][0], rows[0][1:]))
        self.last = nn.Conv2d(rows[0][0], classes, 3, padding=1)
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.unpool = nn.MaxUnpool2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = []
        for block in self.down:
            x, indices = self.pool(block(x))
            places.append(indices)
        for block, indices in zip(self.up, places[::-1], strict=True):
            x = block(self.unpool(x, indices))
        return self.last(x)


class FCN8s(nn.Module):
    """FCN-8s on VGG-16, padded (form="same")."""

    def __init__(self, width: float, classes: int) -> None:
        super().__init__()
        rows = [(scale_width(filters, width),) * repeats for repeats, filters in VGG16]
        befores = [3, *(row[-1] for row in rows)]
        self.blocks = nn.ModuleList(convolutions(before, row) for before, row in zip(befores, rows, strict=False))
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        units = scale_width(4096, width)
        self.head = nn.Sequential(
            nn.Conv2d(befores[-1], units, 7, padding=3),
            nn.ReLU(),
            nn.Conv2d(units, units, 1),
            nn.ReLU(),
            nn.Conv2d(units, classes, 1),
        )
        self.scores = nn.ModuleList(nn.Conv2d(befores[level], classes, 1) for level in (4, 3))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(classes, classes, 2 * factor, factor, factor // 2, bias=False) for factor in (2, 2, 8)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = []
        for block in self.blocks:
            x = self.pool(block(x))
            pooled.append(x)
        x = self.head(x)
        for up, score, skip in zip(self.up, self.scores, (pooled[3], pooled[2]), strict=False):
            x = up(x) + score(skip)
        return self.up[-1](x)


def dilated_vgg16(width: float, classes: int) -> nn.Module:
    """The front end on VGG-16, whose map has a stride of 8."""
    parts: list[nn.Module] = []
    before = 3
    dilations = (1, 1, 1, 1, 2)
    for block, ((repeats, filters), dilation) in enumerate(zip(VGG16, dilations, strict=True)):
        row = (scale_width(filters, width),) * repeats
        parts.append(convolutions(before, row, dilation=dilation))
        parts += [nn.MaxPool2d(2, ceil_mode=True)] if block < 3 else []
        before = row[-1]
    units = scale_width(4096, width)
    head = (nn.Conv2d(before, units, 7, padding=12, dilation=4), nn.ReLU(), nn.Conv2d(units, units, 1), nn.ReLU())
    return nn.Sequential(*parts, *head, nn.Conv2d(units, classes, 1))


def unet(width: float, classes: int) -> nn.Module:
    """U-Net of three channels."""
    return UNet(2, 3, [(scale_width(filters, width),) * 2 for filters in UNET], False, classes)


def unet3d(width: float, classes: int) -> nn.Module:
    """3-D U-Net of one channel."""
    return UNet(3, 1, [[scale_width(filters, width) for filters in row] for row in UNET3D], True, classes)


def dice_cross_entropy(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`tfcnn.losses.DiceCrossEntropy` of masks that ignore nothing.

    Args:
        logits: (batch, classes, ...).
        mask: (batch, ...), whole numbers.
    """
    logits = logits.float()
    target = functional.one_hot(mask, logits.shape[1]).movedim(-1, 1).float()
    p = logits.softmax(1)
    places = tuple(range(2, logits.dim()))
    area = target.sum(places)
    overlap = 2 * (p * target).sum(places) / ((p * p).sum(places) + area)
    present = (area > 0).float()
    dice = (present * (1 - overlap)).sum(1) / present.sum(1)
    return dice.mean() + functional.cross_entropy(logits, mask)


NETWORKS: dict[str, Callable[[float, int], nn.Module]] = {
    "unet": unet,
    "segnet": SegNet,
    "fcn8s": FCN8s,
    "dilated_vgg16": dilated_vgg16,
    "unet3d": unet3d,
}
