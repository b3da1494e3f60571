"""What Hugging Face's `datasets` reads: the examples of a folder, in its order; and what cannot be used."""

import sys

import numpy as np
import pytest

import pipelines
from benchmarks.faults.image_files import encode
from pipelines.augmentation.policy import Augmentation
from tests.pipelines.files import put

datasets = pytest.importorskip("datasets")
pytestmark = pytest.mark.usefixtures("own_data_dir")

CLASSES = ("cat", "dog")
SPLITS = {"train": 16, "validation": 4, "test": 6}
OPTIONS = {"image_size": 16, "batch_size": 4, "augmentation": Augmentation(hflip=0.5, scale=(0.25, 1.0))}


def rows(split):
    """Images of two heights in the order of a folder, as `datasets` holds them."""
    random = np.random.default_rng(list(SPLITS).index(split))
    for label, name in enumerate(CLASSES):
        for number in range(SPLITS[split] // 2):
            pixels = random.integers(0, 256, (20 + number % 2, 20, 3)).astype(np.uint8)
            path = f"{split}/{name}/{number:02}.png"
            yield {"image": {"bytes": encode(pixels, "PNG"), "path": path}, "label": label}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("folder")
    for split in SPLITS:
        for row in rows(split):
            put(root / row["image"]["path"], row["image"]["bytes"])
    return root


@pytest.fixture(scope="module")
def of_folder(folder, tmp_path_factory):
    data = load(folder, tmp_path_factory.mktemp("cache"))
    return data, batches(data)


def write(path, split, kind=None, **changes):
    """A Parquet file of a split in groups of five rows; the labels of the type ClassLabel unless `kind` is another."""
    features = {"image": datasets.Image(), "label": kind or datasets.ClassLabel(names=list(CLASSES))}
    table = [row | changes for row in rows(split)]
    if isinstance(kind, datasets.Value) and kind.dtype == "string":
        table = [row | {"label": CLASSES[row["label"]]} for row in table]
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_list(table, features=datasets.Features(features)).to_parquet(path, batch_size=5)
    return path


def load(place, cache, **options):
    return pipelines.load(str(place), data_dir=str(cache), **OPTIONS | options)


def batches(data):
    return list(data.train(2).as_numpy_iterator()) + list(data.evaluation("test").as_numpy_iterator())


def assert_equal(data, of_folder):
    folder, expected = of_folder
    for fact in ("fingerprint", "class_names", "sizes", "mean", "std", "image_shape", "notes", "duplicates"):
        assert getattr(data, fact) == getattr(folder, fact)
    for one, other in zip(batches(data), expected, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize("memory", [0, 2048], ids=["streamed", "in memory"])
def test_parquet_holds_the_examples_of_the_folder(memory, of_folder, tmp_path):
    for split in SPLITS:
        write(tmp_path / "parquet" / f"{split}-00000-of-00001.parquet", split)
    data = load(f"hf:{tmp_path / 'parquet'}", tmp_path / "cache", data_memory=memory)
    assert ("26 records read from the disk" in data.storage) == (memory == 0)
    assert data.name == f"hf:{tmp_path / 'parquet'}"
    assert_equal(data, of_folder)


def test_an_image_folder_is_that_folder(folder, of_folder, tmp_path):
    assert_equal(load(f"hf:{folder}", tmp_path), of_folder)


@pytest.mark.parametrize(("kind", "names"), [("string", CLASSES), ("int64", ("0", "1"))])
def test_labels_of_another_type_are_classes(kind, names, tmp_path):
    """One file, from which validation and test are cut by content."""
    file = write(tmp_path / "photos.parquet", "train", datasets.Value(kind))
    data = load(f"hf:{file}", tmp_path / "cache")
    assert data.class_names == names
    assert sum(data.sizes.values()) == 16


def test_a_split_to_predict_is_left_out(tmp_path):
    for split, changes in {"train": {}, "test": {"label": -1}}.items():
        write(tmp_path / "parquet" / f"{split}.parquet", split, **changes)
    assert sum(load(f"hf:{tmp_path / 'parquet'}", tmp_path / "cache").sizes.values()) == 16


def refusal(place, cache):
    with pytest.raises(pipelines.BadData) as error:
        load(place, cache)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_a_label_out_of_range_is_refused(tmp_path):
    file = write(tmp_path / "photos.parquet", "train", label=-1)
    assert "label -1 of record train/cat/00.png" in refusal(f"hf:{file}", tmp_path / "cache")


def test_columns_of_something_else_are_refused(tmp_path):
    datasets.Dataset.from_dict({"text": ["a"], "label": [1]}).to_parquet(tmp_path / "texts.parquet")
    message = refusal(f"hf:{tmp_path / 'texts.parquet'}", tmp_path / "cache")
    assert "has the columns text (Value), label (Value): expected one of type Image" in message


@pytest.mark.parametrize("path", ["/etc/hostname", "../secret.png", None])
def test_an_image_outside_is_refused(path, tmp_path):
    """A path in place of the bytes, in a Parquet file that `datasets` has not written."""
    pyarrow = pytest.importorskip("pyarrow")
    file = write(tmp_path / "data" / "photos.parquet", "train")
    put(tmp_path / "secret.png")
    table = pyarrow.parquet.read_table(file)
    images = table.column("image").to_pylist()
    images[3] = {"bytes": None, "path": path}
    column = pyarrow.array(images, table.schema.field("image").type)
    pyarrow.parquet.write_table(table.set_column(0, table.schema.field("image"), column), file)
    assert f"an image without bytes, whose path '{path}' is outside of it" in refusal(f"hf:{file}", tmp_path / "cache")


def test_a_damaged_parquet_file_is_refused(tmp_path):
    file = write(tmp_path / "photos.parquet", "train")
    file.write_bytes(file.read_bytes()[:-100])
    assert f"'hf:{file}' cannot be read by datasets: " in refusal(f"hf:{file}", tmp_path / "cache")


def test_a_name_needs_the_network(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    message = refusal("hf:somebody/photographs", tmp_path)
    assert message.startswith("'hf:somebody/photographs' cannot be read by datasets: ")
    assert message.endswith("; there is no network to download it (dataset)")


def test_a_place_where_nothing_is(tmp_path):
    assert refusal(f"hf:{tmp_path / 'nothing'}", tmp_path).startswith("no such folder or file: '")
    assert "names no data set: expected hf:FOLDER or hf:NAME" in refusal("hf:", tmp_path)
    put(tmp_path / "photos.zip", b"zip")
    assert "is no folder, .parquet or .arrow file" in refusal(f"hf:{tmp_path / 'photos.zip'}", tmp_path)


def test_the_package_is_named_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "needs datasets, which is not installed: pip install -r requirements-hf.txt" in refusal("hf:x", tmp_path)
