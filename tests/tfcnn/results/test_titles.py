"""The titles of pictures name the data, not the place where a user keeps it."""

import pytest

from tfcnn.results import subject_of


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("/somewhere/of/mine/photos", "photos"),
        ("/somewhere/of/mine/figures.npz", "figures.npz"),
        ("shapes/easy", "shapes/easy"),
        ("digits", "digits"),
    ],
)
def test_a_place_is_named_by_its_end(dataset, name):
    assert subject_of("unet", dataset) == f"unet on {name}"
