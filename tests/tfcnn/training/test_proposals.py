"""Proposals kept in a file."""

import numpy as np
import pytest
import tensorflow as tf

from tfcnn.detection import proposals
from tfcnn.training.proposals import Proposals


class Images:
    """The part of RegionData that is read: seven images, whose first pixel is their number."""

    sizes = {"train": 7, "test": 2}  # noqa: RUF012
    image_shape = (4, 4, 3)
    mean = (0.0, 0.0, 0.0)
    std = (1.0, 1.0, 1.0)
    fingerprint = "of seven images"

    def images(self, split):
        values = np.arange(self.sizes[split], dtype="float32") / 255
        pixels = np.broadcast_to(values[:, None, None, None], (len(values), 4, 4, 3))
        targets = {"boxes": -np.ones((len(values), 1, 4), "float32"), "labels": -np.ones((len(values), 1), "int32")}
        return tf.data.Dataset.from_tensor_slices((pixels, targets)).batch(3)


class Search:
    """In place of selective search: image n has n + 1 regions, all of n; it fails at `last`."""

    def __init__(self, last=100):
        self.last = last
        self.calls = []

    def __call__(self, image):
        number = int(image[0, 0, 0])
        if number == self.last:
            raise KeyboardInterrupt
        self.calls.append(number)
        return np.full((number + 1, 4), number, "float32")


@pytest.fixture
def search(monkeypatch):
    search = Search()
    monkeypatch.setattr(proposals, "selective_search", search)
    return search


def check(regions):
    assert [row.tolist() for row in regions] == [[[n] * 4] * (n + 1) for n in range(len(regions))]


def test_regions_in_the_order_of_the_images(search):
    found = Proposals().of(Images(), "train")
    assert len(found) == 7
    check(found)


def test_another_process_reads_them(search, tmp_path):
    first = Proposals()
    first.keep_in(tmp_path / "p.npz", Images())
    first.of(Images(), "train")
    first.of(Images(), "test")
    search.calls.clear()
    second = Proposals()
    second.keep_in(tmp_path / "p.npz", Images())
    check(second.of(Images(), "train"))
    check(second.of(Images(), "test"))
    assert search.calls == []


def test_those_that_were_computed_before_are_kept_too(search, tmp_path):
    first = Proposals()
    first.of(Images(), "train")
    first.keep_in(tmp_path / "p.npz", Images())
    second = Proposals()
    second.keep_in(tmp_path / "p.npz", Images())
    assert len(second.of(Images(), "train")) == len(search.calls) == 7


def test_an_interrupted_search_goes_on_where_it_was(search, tmp_path):
    search.last = 4
    first = Proposals()
    first.keep_in(tmp_path / "p.npz", Images())
    with pytest.raises(KeyboardInterrupt):
        first.of(Images(), "train")
    search.last = 100
    search.calls.clear()
    second = Proposals()
    second.keep_in(tmp_path / "p.npz", Images())
    check(second.of(Images(), "train"))
    assert search.calls == [4, 5, 6]


@pytest.mark.parametrize("damage", ["cut", "other images"])
def test_a_file_of_no_use_is_written_again(damage, search, tmp_path, capsys):
    path = tmp_path / "p.npz"
    first = Proposals()
    first.keep_in(path, Images())
    first.of(Images(), "train")
    images = Images()
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:100])
    else:
        images.fingerprint = "of others"
    search.calls.clear()
    second = Proposals()
    second.keep_in(path, images)
    check(second.of(images, "train"))
    assert search.calls == list(range(7))
    assert f"warning: '{path}'" in capsys.readouterr().err
    third = Proposals()
    third.keep_in(path, images)
    check(third.of(images, "train"))
    assert len(search.calls) == 7


def test_truths_are_without_padding():
    truths = Proposals().truths(Images(), "test")
    assert [len(truth["boxes"]) for truth in truths] == [0, 0]
