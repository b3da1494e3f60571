"""Detections in the form of COCO's results, which pycocotools and COCO's server read. NumPy only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfcnn.detection.metrics import Boxes
from tfcnn.files import writing


def as_results(
    predictions: Sequence[Boxes], image_ids: Sequence[int | str], category_ids: Sequence[int] | None = None
) -> list[dict[str, Any]]:
    """Detections as a list for JSON, in the order of images and detections.

    Args:
        predictions: for each image a dict of "boxes" (n, 4) as x1, y1, x2, y2, "scores" (n,), "labels" (n,). Rows of
            label -1 are padding.
        image_ids: the number or name of each image.
        category_ids: COCO's number of each class; default: the class number plus 1.

    Returns:
        A dict for each detection: "image_id", "category_id", "bbox" [x, y, width, height] in pixels, "score".

    Raises:
        ValueError: predictions and image_ids differ in number, or a number is not finite.

    Example:
        >>> as_results([{"boxes": [[1, 2, 4, 6]], "scores": [0.5], "labels": [0]}], [17])
        [{'image_id': 17, 'category_id': 1, 'bbox': [1.0, 2.0, 3.0, 4.0], 'score': 0.5}]
    """
    if len(predictions) != len(image_ids):
        raise ValueError(f"predictions of {len(predictions)} images, image_ids of {len(image_ids)}")
    results = []
    for prediction, image_id in zip(predictions, image_ids, strict=True):
        boxes = np.asarray(prediction["boxes"], "float64").reshape(-1, 4)
        scores = np.asarray(prediction["scores"], "float64").reshape(-1)
        labels = np.asarray(prediction["labels"], "int64").reshape(-1)
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise ValueError(f"a box or score of image {image_id!r} is not finite")
        for (x1, y1, x2, y2), score, label in zip(boxes.tolist(), scores.tolist(), labels.tolist(), strict=True):
            if label == -1:
                continue
            category = label + 1 if category_ids is None else int(category_ids[label])
            box = [x1, y1, x2 - x1, y2 - y1]
            results.append({"image_id": image_id, "category_id": category, "bbox": box, "score": score})
    return results


def write_results(
    path: str | Path,
    predictions: Sequence[Boxes],
    image_ids: Sequence[int | str],
    category_ids: Sequence[int] | None = None,
) -> None:
    """Write `as_results` to a JSON file, whole or not at all."""
    results = as_results(predictions, image_ids, category_ids)
    with writing(Path(path)) as draft:
        draft.write_text(json.dumps(results) + "\n")
