"""EfficientNet's published family beside the formula of its paper."""

from __future__ import annotations

import math

from tfcnn.arithmetic import scaling
from tfcnn.config import Config
from tuning.scaling.runs import price

# Trainable parameters: keras.applications and torchvision's documentation; 10^9 MACs: Tan & Le, Table 2, "#FLOPs".
PUBLISHED = {
    "efficientnet_b0": (5288548, 0.39),
    "efficientnet_b1": (7794184, 0.70),
    "efficientnet_b2": (9109994, 1.0),
    "efficientnet_b3": (12233232, 1.8),
    "efficientnet_b4": (19341616, 4.2),
    "efficientnet_b5": (30389784, 9.9),
    "efficientnet_b6": (43040704, 19),
    "efficientnet_b7": (66347960, 37),
}


def published() -> str:
    """EfficientNet's published family beside the formula of the paper, with our parameters and MACs.

    The columns "formula" are the phi that is nearest by image size: section 3.3 with 1.2, 1.1 and 1.15.
    """
    from tfcnn.models.classification import efficientnet
    from tfcnn.tables import as_text

    body = []
    for name, (params, billions) in PUBLISHED.items():
        row, _ = efficientnet.PUBLISHED[name]
        phi = math.log(row.resolution / 224) / math.log(scaling.EFFICIENTNET.gamma)
        formula = scaling.compound(phi)
        cost = price(Config(arch=name), int(row.resolution), 3, 1000)
        body.append(
            (
                *(name.removeprefix("efficientnet_"), f"{row.width:.1f}", f"{row.depth:.1f}", str(row.resolution)),
                *(f"{phi:.2f}", f"{formula.width:.2f}", f"{formula.depth:.2f}"),
                *(f"{cost.trainable:,}", f"{params:,}", f"{cost.macs / 1e9:.2f}", f"{billions:g}"),
            )
        )
    head = ("", "width", "depth", "image", "phi", "its width", "its depth")
    head += ("trainable", "published", "10^9 MACs", "published")
    return as_text(head, body, words=[0])
