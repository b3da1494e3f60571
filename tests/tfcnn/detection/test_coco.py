import numpy as np
import pytest

from tfcnn.detection.coco import as_results, write_results

BOX = {"boxes": [[1, 2, 4, 6]], "scores": [0.5], "labels": [0]}


def test_categories_begin_at_1_and_images_may_have_names():
    assert as_results([BOX], ["a.jpg"]) == [{"image_id": "a.jpg", "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]


def test_as_many_predictions_as_images():
    with pytest.raises(ValueError, match="predictions of 1 images, image_ids of 2"):
        as_results([BOX], [1, 2])


@pytest.mark.parametrize("part", ["boxes", "scores"])
def test_a_number_that_is_not_finite_is_refused_and_nothing_written(part, tmp_path):
    broken = BOX | {part: np.full_like(np.array(BOX[part], float), np.nan)}
    with pytest.raises(ValueError, match="image 7 is not finite"):
        write_results(tmp_path / "results.json", [broken], [7])
    assert not list(tmp_path.iterdir())
