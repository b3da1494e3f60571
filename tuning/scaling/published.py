"""EfficientNet's published family and the formula of its paper."""

from __future__ import annotations

import math

from tfcnn.arithmetic import scaling
from tfcnn.config import Config
from tfcnn.tables import as_text
from tuning.scaling.runs import cost_of

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
COLUMNS = (
    "",
    "width",
    "depth",
    "image",
    "phi",
    "its width",
    "its depth",
    "trainable",
    "published",
    "10^9 MACs",
    "published",
)


def published_table() -> str:
    """EfficientNet's published family and the formula of the paper, with our parameters and MACs.

    phi is that of the published image size; "its width" and "its depth" are those of section 3.3 for 1.2, 1.1 and 1.15.
    """
    from tfcnn.models.classification import efficientnet  # imports Keras

    body = []
    for name, (params, billions) in PUBLISHED.items():
        row, _ = efficientnet.PUBLISHED[name]
        phi = math.log(row.resolution / 224) / math.log(scaling.EFFICIENTNET.gamma)
        formula = scaling.compound(phi)
        cost = cost_of(Config(arch=name), int(row.resolution), 3, 1000)
        body.append(
            (
                name.removeprefix("efficientnet_"),
                f"{row.width:.1f}",
                f"{row.depth:.1f}",
                str(row.resolution),
                f"{phi:.2f}",
                f"{formula.width:.2f}",
                f"{formula.depth:.2f}",
                f"{cost.trainable:,}",
                f"{params:,}",
                f"{cost.macs / 1e9:.2f}",
                f"{billions:g}",
            )
        )
    return as_text(COLUMNS, body, words=[0])
