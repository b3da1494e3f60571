"""Folders of IDX files, as MNIST and Fashion-MNIST ship, written here by their definition."""

import gzip
import struct

import numpy as np
import pytest

import pipelines
from pipelines.errors import BadData
from pipelines.readers.idx import read_idx

TRAIN = 40
TEST = 20


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write(root, mark="-", pack=bytes, ending=""):
    rng = np.random.default_rng(0)
    for prefix, count in (("train", TRAIN), ("t10k", TEST)):
        images = rng.integers(0, 256, (count, 6, 5)).astype(np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (root / f"{prefix}-images{mark}idx3-ubyte{ending}").write_bytes(pack(idx(images)))
        (root / f"{prefix}-labels{mark}idx1-ubyte{ending}").write_bytes(pack(idx(labels)))
    return root


def refusal(root):
    with pytest.raises(BadData) as error:
        read_idx(root)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("mark", ["-", "."])
@pytest.mark.parametrize(("pack", "ending"), [(bytes, ""), (gzip.compress, ".gz")])
def test_the_splits_are_those_of_the_files(tmp_path, mark, pack, ending):
    arrays = read_idx(write(tmp_path, mark, pack, ending))
    assert arrays.class_names == tuple("0123456789")
    assert {split: x.shape for split, (x, _) in arrays.splits.items()} == {
        "train": (36, 6, 5, 1),
        "validation": (4, 6, 5, 1),
        "test": (20, 6, 5, 1),
    }
    np.testing.assert_array_equal(arrays.splits["test"][1], np.arange(TEST) % 10)


def test_the_pixels_are_those_written(tmp_path):
    x, _ = read_idx(write(tmp_path)).splits["test"]
    rng = np.random.default_rng(0)
    rng.integers(0, 256, (TRAIN, 6, 5))
    np.testing.assert_array_equal(x[..., 0], rng.integers(0, 256, (TEST, 6, 5)))


def test_the_names_of_the_classes(tmp_path):
    names = [f"class {number}" for number in range(10)]
    (write(tmp_path) / "classes.txt").write_text("\n".join(names))
    assert read_idx(tmp_path).class_names == tuple(names)


def test_a_folder_of_idx_files_is_a_data_set_that_is_not_mirrored(tmp_path):
    data = pipelines.load(str(write(tmp_path)), batch_size=4)
    assert (data.image_shape, data.num_classes, data.augmentation.hflip) == ((32, 32, 1), 10, 0)


def spoil_missing(root):
    (root / "t10k-labels-idx1-ubyte").unlink()


def spoil_magic(root):
    file = root / "train-images-idx3-ubyte"
    file.write_bytes(b"\0\0\x0d\x03" + file.read_bytes()[4:])


def spoil_length(root):
    file = root / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])


def spoil_header(root):
    (root / "train-images-idx3-ubyte").write_bytes(b"\0\0")


def spoil_count(root):
    (root / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(3, np.uint8)))


def spoil_gzip(root):
    file = root / "train-images-idx3-ubyte"
    (root / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(file.read_bytes())[:100])
    file.unlink()


def spoil_names(root):
    (root / "classes.txt").write_text("a\nb")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_missing, "holds IDX files, but no t10k-labels-idx1-ubyte (dataset)"),
        (spoil_magic, "is no IDX file of uint8 with 3 axes: it begins with 00000d03"),
        (spoil_length, "holds 1,199 values, but its header says 40x6x5"),
        (spoil_header, "is no IDX file of uint8 with 3 axes: it begins with 0000"),
        (spoil_count, "holds 40 images and 3 labels of train"),
        (spoil_gzip, "cannot be read: Compressed file ended before the end-of-stream marker was reached"),
        (spoil_names, "must hold different names, one a line, of the classes 0 ... 9"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, spoil, says):
    spoil(write(tmp_path))
    assert says in refusal(tmp_path)
