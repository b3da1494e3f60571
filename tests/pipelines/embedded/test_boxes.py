import numpy as np
import pytest


@pytest.mark.slow
def test_boxes_bound_the_instances_of_the_same_scene_in_shapes(examples_of):
    for shape, box in zip(examples_of("shapes", "validation"), examples_of("boxes", "validation"), strict=True):
        np.testing.assert_array_equal(shape["image"], box["image"])
        instances = shape["instance_mask"][..., 0]
        classes = shape["segmentation_mask"][..., 0]
        assert set(np.unique(instances)) - {0} == set(range(1, len(box["objects"]["label"]) + 1))
        np.testing.assert_array_equal(instances == 0, classes == 0)
        for number, (bbox, label) in enumerate(zip(*map(box["objects"].get, ("bbox", "label")), strict=True), 1):
            ys, xs = np.nonzero(instances == number)
            np.testing.assert_allclose(bbox * 96, [ys.min(), xs.min(), ys.max() + 1, xs.max() + 1], atol=1e-4)
            assert (classes[ys, xs] == label + 1).all()
