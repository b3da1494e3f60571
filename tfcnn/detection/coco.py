"""Detections as COCO's results format has them (cocodataset.org/#format-results). NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def to_coco(
    detections: Mapping[str, np.ndarray], image_id: int, file_name: str, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """The detections in an image.

    Args:
        detections: "boxes" (n, 4) as x1, y1, x2, y2 in pixels, "scores" (n,), "labels" (n,).
        image_id: number of the image.
        file_name: of the image; COCO's format has it only in its file of truths.
        class_names: by label.

    Returns:
        list of dict: "image_id", "category_id", "bbox" as x, y, width, height in pixels, "score"; and, for readers,
        "file_name" and "category". COCO numbers categories from 1 on: category_id is the label + 1.

    Example:
        >>> detections = {"boxes": np.array([[1.0, 2, 4, 8]]), "scores": np.array([0.5]), "labels": np.array([1])}
        >>> to_coco(detections, 7, "a.png", ["cat", "dog"])[0]["bbox"]
        [1.0, 2.0, 3.0, 6.0]
    """
    rows = zip(detections["boxes"], detections["scores"], detections["labels"], strict=True)
    return [
        {
            "image_id": image_id,
            "category_id": int(label) + 1,
            "bbox": [round(float(value), 2) for value in (x1, y1, x2 - x1, y2 - y1)],
            "score": round(float(score), 5),
            "file_name": file_name,
            "category": class_names[label],
        }
        for (x1, y1, x2, y2), score, label in rows
    ]
