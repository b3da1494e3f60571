import pickle
import re
import zipfile

import numpy as np
import pytest

from pipelines.errors import BadData
from pipelines.readers.npz import read_npz
from pipelines.readers.splits import cut_by_position


def save(tmp_path, name="set.npz", **arrays):
    np.savez(tmp_path / name, **arrays)
    return tmp_path / name


def images(count, seed=0, shape=(5, 4, 3)):
    return np.random.RandomState(seed).randint(0, 256, (count, *shape)).astype(np.uint8)


def refusal(path):
    with pytest.raises(BadData) as error:
        read_npz(path)
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith("(dataset)")
    return text


LABELS = np.arange(40) % 4


def test_splits_as_keras_names_them(tmp_path):
    parts = {"train": images(40), "val": images(8, 1), "test": images(12, 2)}
    arrays = {f"x_{split}": x for split, x in parts.items()}
    arrays |= {f"y_{split}": np.arange(len(x), dtype=np.uint8)[:, None] % 4 for split, x in parts.items()}
    data = read_npz(save(tmp_path, **arrays))
    assert (data.task, data.class_names, data.value_range) == ("classification", ("0", "1", "2", "3"), (0, 255))
    for split, x in zip(("train", "validation", "test"), parts.values(), strict=True):
        np.testing.assert_array_equal(data.splits[split][0], x)
        np.testing.assert_array_equal(data.splits[split][1], np.arange(len(x)) % 4)
        assert (data.splits[split][0].dtype, data.splits[split][1].dtype) == (np.uint8, np.int64)


@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels"), ("x_train", "y_train")])
def test_what_lacks_is_cut_from_the_training_examples(tmp_path, names):
    x = images(40)
    data = read_npz(save(tmp_path, **dict(zip(names, (x, LABELS), strict=True)), comment=np.array("hello")))
    for split, rows in cut_by_position(LABELS, ("validation", "test")).items():
        np.testing.assert_array_equal(data.splits[split][0], x[rows])
        np.testing.assert_array_equal(data.splits[split][1], LABELS[rows])
    assert [len(data.splits[split][1]) for split in ("train", "validation", "test")] == [32, 4, 4]


def test_test_examples_stay_test_examples(tmp_path):
    x = images(40)
    test = images(6, 1)
    data = read_npz(save(tmp_path, x_train=x, y_train=LABELS, x_test=test, y_test=np.arange(6) % 4))
    np.testing.assert_array_equal(data.splits["test"][0], test)
    assert (len(data.splits["train"][0]), len(data.splits["validation"][0])) == (36, 4)


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((5, 4, 3), np.uint8, (5, 4, 3)),
        ((5, 4, 3), np.float32, (5, 4, 3)),
        ((5, 4), np.uint8, (5, 4, 1)),
        ((12, 9), np.float32, (12, 9, 1)),
        ((12, 9), np.int16, (12, 9, 1)),
        ((64, 8), np.float32, (64, 8)),
        ((16, 2), np.int16, (16, 2)),
        ((8, 8), np.float64, (8, 8, 1)),
        ((63, 8), np.float32, (63, 8, 1)),
        ((72, 9), np.float32, (72, 9, 1)),
        ((64, 8), np.uint8, (64, 8, 1)),
        ((64, 8), np.int64, (64, 8, 1)),
        ((12,), np.float32, (12, 1)),
        ((12,), np.int16, (12, 1)),
        ((4, 5, 6, 2), np.uint8, (4, 5, 6, 2)),
        ((4, 5, 6, 1), bool, (4, 5, 6, 1)),
    ],
    ids=str,
)
def test_images_sounds_and_volumes_by_their_shape(tmp_path, shape, dtype, expected):
    x = np.random.RandomState(0).randint(0, 2, (40, *shape)).astype(dtype)
    train = read_npz(save(tmp_path, x=x, y=LABELS)).splits["train"][0]
    assert train.shape == (32, *expected)
    rows = cut_by_position(LABELS, ("validation", "test"))["train"]
    np.testing.assert_array_equal(train.ravel(), x[rows].ravel())
    assert train.dtype == (np.uint8 if dtype is bool else dtype)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([3, 200], np.uint8), (0, 255)),
        (np.array([0, 1], np.uint8), (0, 1)),
        (np.array([3, 200], np.int16), (-32768, 32768)),
        (np.array([0.25, 0.75], np.float32), (0, 1)),
        (np.array([0, 1], np.float64), (0, 1)),
        (np.array([False, True]), (0, 1)),
        (np.array([-1, 1], np.float32), (-1, 1)),
        (np.array([0, 255], np.float32), (0, 255)),
        (np.array([10, 4000], np.uint16), (0, 4095)),
        (np.array([10, 40000], np.uint16), (0, 65535)),
        (np.array([-0.9, 0.5], np.float32), (-1, 1)),
    ],
    ids=str,
)
def test_the_range_of_the_values(tmp_path, values, expected):
    x = np.resize(values, (40, 5, 4, 3))
    assert read_npz(save(tmp_path, x=x, y=LABELS)).value_range == expected


def test_the_range_is_that_of_the_training_examples(tmp_path):
    x = np.resize(np.float32([-2, 3]), (40, 5, 4, 3))
    test = np.full((2, 5, 4, 3), 9, np.float32)
    data = read_npz(save(tmp_path, x_train=x, y_train=LABELS, x_test=test, y_test=np.array([0, 1])))
    assert data.value_range == (-2, 3)


@pytest.mark.parametrize("kind", ["U", "S"])
def test_labels_may_be_names(tmp_path, kind):
    names = np.array(["dog", "Cat", "cat", "emu"])[LABELS].astype(kind)
    data = read_npz(save(tmp_path, x=images(40), y=names))
    assert data.class_names == ("Cat", "cat", "dog", "emu")
    numbers = np.array([2, 0, 1, 3])[LABELS]
    rows = cut_by_position(numbers, ("validation", "test"))
    np.testing.assert_array_equal(data.splits["test"][1], numbers[rows["test"]])


def test_names_may_be_given(tmp_path):
    x = images(40)
    names = np.array(["d", "c", "b", "a"])
    by_number = read_npz(save(tmp_path, x=x, y=LABELS, class_names=names))
    assert by_number.class_names == ("d", "c", "b", "a")
    by_name = read_npz(save(tmp_path, x=x, y=names[LABELS], class_names=names))
    assert by_name.class_names == ("d", "c", "b", "a")
    np.testing.assert_array_equal(by_name.splits["train"][1], by_number.splits["train"][1])


@pytest.mark.parametrize("last", [(), (1,)])
def test_masks(tmp_path, last):
    y = np.random.RandomState(0).choice([0, 1, 2, 255], (40, 5, 4)).astype(np.int32)
    data = read_npz(save(tmp_path, x=images(40), y=y.reshape(40, 5, 4, *last)))
    assert (data.task, data.class_names) == ("segmentation", ("0", "1", "2"))
    rows = cut_by_position(np.zeros(40, int), ("validation", "test"))
    for split, (_, masks) in data.splits.items():
        np.testing.assert_array_equal(masks, y[rows[split]])
        assert masks.dtype == np.uint8


def test_the_fingerprint_is_of_the_values(tmp_path):
    x = images(40)
    y = LABELS
    one = read_npz(save(tmp_path, x=x, y=y)).fingerprint
    np.savez_compressed(tmp_path / "other.npz", images=x, labels=y)
    assert read_npz(tmp_path / "other.npz").fingerprint == one
    others = {
        read_npz(save(tmp_path, x=255 - x, y=y)).fingerprint,
        read_npz(save(tmp_path, x=x, y=y[::-1])).fingerprint,
        read_npz(save(tmp_path, x=x, y=y, class_names=np.array(list("abcd")))).fingerprint,
        read_npz(save(tmp_path, x=x.reshape(40, 4, 5, 3), y=y)).fingerprint,
    }
    assert len(others | {one}) == 5


X = images(40)
F = X.astype(np.float32)
NAN = F.copy()
NAN[3, 2, 1, 0] = np.nan
MASKS = np.resize([0, 1, 2], (40, 5, 4))


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({}, "holds nothing; expected x_train and y_train, x and y, or images and labels"),
        ({"a": X, "b": LABELS}, "holds a, b; expected x_train"),
        ({"x_test": X, "y_test": LABELS}, "holds x_test, y_test; expected x_train"),
        ({"x_train": X}, "holds x_train, but no y_train"),
        ({"y": LABELS}, "holds y, but no x"),
        ({"x_train": X, "y_train": LABELS, "x_val": X}, "but no y_val"),
        ({"x": X, "y": LABELS[:-1]}, "y of 'S' has 39 labels for 40 inputs"),
        ({"x": X, "y": LABELS.astype(np.float32)}, "y of 'S' is float32; labels are whole numbers or names"),
        ({"x": X, "y": LABELS - 1}, "y of 'S' has class -1; 0 ... 2"),
        ({"x": X, "y": LABELS + 1}, "class '0' of 'S' has no training example"),
        ({"x": X, "y": LABELS * 10**9}, "y of 'S' has class 3000000000; classes have examples, and there are 40"),
        ({"x": X, "y": LABELS, "class_names": np.array(["a", "b", "c"])}, "y of 'S' has class 3; 0 ... 2"),
        ({"x": X, "y": LABELS, "class_names": np.array(list("abca"))}, "class_names of 'S' has a name twice"),
        ({"x": X, "y": LABELS, "class_names": np.array(list("abcde"))}, "class 'e' of 'S' has no training example"),
        ({"x": X, "y": LABELS * 0}, "y of 'S' has 1 class; at least two are needed"),
        ({"x": X, "y": np.eye(4, dtype=int)[LABELS]}, "y of 'S' has shape (40, 4); labels are (n,), masks of images"),
        ({"x": X, "y": np.tri(4, dtype=int)[LABELS]}, "(n, d, h, w); several labels an example are not"),
        ({"x": X, "y": np.array(0)}, "y of 'S' has shape ()"),
        ({"x": X[:4], "y": LABELS[:4] % 2}, "the validation split is empty; x of 'S' has 4 examples, too few"),
        ({"x_train": X, "y_train": LABELS, "x_test": X[:0], "y_test": LABELS[:0]}, "the test split is empty"),
        ({"x_train": X, "y_train": LABELS, "x_test": X, "y_test": LABELS + 1}, "class '4' of 'S' has no training"),
        ({"x_train": X, "y_train": LABELS, "x_test": F, "y_test": LABELS}, "x_test of 'S' is float32 of shape"),
        ({"x_train": X, "y_train": LABELS, "x_test": X[:, 1:], "y_test": LABELS}, "x_test of 'S' is uint8 of shape"),
        ({"x_train": X, "y_train": LABELS, "x_test": X, "y_test": MASKS}, "y_test of 'S' has shape (40, 5, 4), unlike"),
        (
            {"x_train": X, "y_train": LABELS.astype(str), "x_test": X, "y_test": (LABELS + 1).astype(str)},
            "y_test of 'S' has '4', which is no class of the training labels",
        ),
        ({"x": NAN, "y": LABELS}, "x of 'S' has values that are not finite"),
        ({"x": F + np.float32("inf"), "y": LABELS}, "x of 'S' has values that are not finite"),
        ({"x": F * 0 + 5, "y": LABELS}, "x of 'S' has one value everywhere, 5"),
        ({"x": X.astype(complex), "y": LABELS}, "x of 'S' is complex128; inputs are whole numbers or floating point"),
        ({"x": X.astype(str), "y": LABELS}, "inputs are whole numbers or floating point"),
        ({"x": np.arange(40), "y": LABELS}, "x of 'S' has shape (40,); inputs are sounds (n, length)"),
        ({"x": X.reshape(40, -1), "y": LABELS}, "shape (40, 60) and type uint8, as of flattened images"),
        ({"x": images(40, shape=(3, 8, 8)), "y": LABELS}, "shape (40, 3, 8, 8), channels first"),
        ({"x": X[:, :0], "y": LABELS}, "shape (40, 0, 4, 3): its examples are empty"),
        ({"x": X, "y": MASKS[:, :4]}, "y of 'S' has masks of 4×4 pixels, but its images 4×5"),
        ({"x": X, "y": MASKS + 254}, "y of 'S' has class 256; classes of masks are 0 ... 254"),
        ({"x": X, "y": MASKS - 1}, "y of 'S' has class -1; classes of masks are 0 ... 254"),
        ({"x": X, "y": MASKS * 0}, "y of 'S' has 1 class"),
        ({"x": X, "y": np.full_like(MASKS, 255)}, "y of 'S' has 0 class"),
        ({"x": X, "y": MASKS, "class_names": np.array(["a", "b"])}, "y of 'S' has class 2; 0 ... 1 or 255, ignore"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_arrays_that_cannot_be_used(tmp_path, arrays, says):
    path = save(tmp_path, **arrays)
    assert says.replace("'S'", f"'{path}'") in refusal(path)


def test_objects_are_not_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (print, ("unpickled",))

    path = save(tmp_path, x=np.array([Trap()] * 40), y=LABELS)
    assert f"'{path}' cannot be read: x holds Python objects" in refusal(path)
    (tmp_path / "trap.npz").write_bytes(pickle.dumps(Trap()))
    assert "is no .npz file" in refusal(tmp_path / "trap.npz")


@pytest.mark.parametrize("spoil", ["gone", "folder", "text", "npy", "half", "zip", "bits"])
def test_files_that_are_no_arrays(tmp_path, spoil):
    path = save(tmp_path, x=X, y=LABELS)
    data = path.read_bytes()
    if spoil in ("gone", "folder"):
        path.unlink()
    if spoil == "folder":
        path.mkdir()
    if spoil == "text":
        path.write_text("x, y")
    if spoil == "npy":
        np.save(tmp_path / "one.npy", X)
        path.write_bytes((tmp_path / "one.npy").read_bytes())
    if spoil == "half":
        path.write_bytes(data[: len(data) // 2])
    if spoil == "zip":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("x.npy", "no array")
            file.writestr("y.npy", "no array")
    if spoil == "bits":
        path.write_bytes(data[:400] + bytes(9) + data[409:])
    assert re.search(r"no such file|is no \.npz file|holds one array|cannot be read: ", refusal(path))


def test_copies_in_two_splits_or_classes_are_counted(tmp_path):
    x = images(40)
    test = images(6, 1)
    test[:2] = x[[4, 8]]
    arrays = {"x_train": x, "y_train": LABELS, "x_val": images(4, 2), "y_val": LABELS[:4]}
    data = read_npz(save(tmp_path, **arrays, x_test=test, y_test=np.array([0, 1, 2, 3, 0, 1])))
    assert data.duplicates == {"test in train": 2, "two targets": 1}


@pytest.mark.parametrize("last", [(), (1,)])
@pytest.mark.parametrize("channels", [(), (2,)])
def test_volumes_with_masks(tmp_path, channels, last):
    volumes = np.random.default_rng(0).random((20, 5, 6, 7, *(channels or (1,)))).astype("float32")
    masks = np.arange(20 * 5 * 6 * 7).reshape(20, 5, 6, 7) % 3
    arrays = read_npz(save(tmp_path, x=volumes, y=masks.reshape(*masks.shape, *last)))
    assert (arrays.task, arrays.class_names) == ("segmentation", ("0", "1", "2"))
    x, y = arrays.splits["train"]
    assert x.shape == (16, 5, 6, 7, 2 if channels else 1)
    assert y.shape == (16, 5, 6, 7)


def test_masks_of_0_and_255(tmp_path):
    x = images(20)
    arrays = read_npz(save(tmp_path, x=x, y=np.where(x[..., 0] > 99, 255, 0)))
    assert arrays.class_names == ("0", "1")
    assert set(np.unique(arrays.splits["train"][1])) == {0, 1}
    assert arrays.notes == {"masks of 0 and 255: 255 is class 1, nothing is ignored": 20}


def test_masks_of_truth_values(tmp_path):
    x = images(20)
    assert read_npz(save(tmp_path, x=x, y=x[..., 0] > 99)).class_names == ("0", "1")


def test_grey_edges_of_masks(tmp_path):
    x = images(20)
    path = save(tmp_path, x=x, y=np.minimum(x[..., 0], 254) // 2 * 2)
    assert f"the masks of '{path}' hold more than 64 values" in refusal(path)


def test_values_of_masks_may_be_listed(tmp_path):
    x = images(20)
    path = save(tmp_path, x=x, y=np.where(x[..., 0] > 99, 7, 3))
    arrays = read_npz(path, mask_values=(3, 7))
    assert set(np.unique(arrays.splits["test"][1])) == {0, 1}
    assert "hold values with gaps: 3 in 20, 7 in 20 of 20 masks" in refusal(path)
