"""What a detector learns of each region: its class, and the displacements to its true box. NumPy only."""

from __future__ import annotations

import numpy as np

from tfcnn.detection.boxes import encode, is_padding
from tfcnn.detection.matching import match

# The unit of displacements in targets and outputs: their usual deviations, so that each counts as much as the class.
# Of the authors' code of "Fast R-CNN" (2015); section 2.3 says that targets are normalised.
STD = np.array([0.1, 0.1, 0.2, 0.2], "float32")
OBJECT = 0.5  # least IoU of an example of a class: section 2.3 of both papers


def region_targets(
    regions: np.ndarray, boxes: np.ndarray, labels: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """The targets of an image's regions.

    Args:
        regions: float (r, 4) as x1, y1, x2, y2; rows of -1 are padding.
        boxes: float (n, 4), the truth; rows of -1 are padding.
        labels: int (n,), their classes.
        num_classes: K, which is the number of the background.

    Returns:
        targets float32 (r, 5): the class, -1 for padding, then the displacements to the box of largest IoU in units of
        `STD`; and that IoU, float32 (r,).
    """
    matches = match(regions, boxes, labels, num_classes, OBJECT)
    deltas = encode(matches.boxes, regions) / STD
    deltas[is_padding(regions)] = 0
    targets = np.concatenate([matches.labels[:, None], deltas], axis=1)
    return targets.astype("float32"), matches.ious.astype("float32")
