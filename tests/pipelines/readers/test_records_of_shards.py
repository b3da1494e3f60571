"""TFRecords and tars of samples: the examples of a folder, in its order; and what cannot be used."""

import functools
import io
import json
import tarfile

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from benchmarks.faults.image_files import encode
from pipelines.augmentation.policy import Augmentation
from pipelines.readers import samples, tfrecords
from pipelines.readers.shards import find_shards
from tests.pipelines.files import put

pytestmark = pytest.mark.usefixtures("own_data_dir")

SPLITS = {"train": 16, "validation": 4, "test": 6}
CLASSES = ("cat", "dog")


def images(split, size=8):
    """(relative name, PNG, class) of a split in the order of a folder; of two heights unless the size is 8."""
    return draw(split, size, SPLITS[split])


@functools.cache
def draw(split, size, count):
    random = np.random.default_rng(list(SPLITS).index(split))
    rows = []
    for name in CLASSES:
        for number in range(count // 2):
            height = size + (number % 2 if size != 8 else 0)
            pixels = random.integers(0, 256, (height, size, 3)).astype(np.uint8)
            rows.append((f"{split}/{name}/{number:05}.png", encode(pixels, "PNG"), name))
    return rows


def write_folder(root, size=8):
    for split in SPLITS:
        for name, content, _ in images(split, size):
            put(root / name, content)
    return root


def example(image, label, text=None, name=None, keys=("image/encoded", "image/class/label")):
    def feature(value):
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {keys[0]: feature(image), keys[1]: feature(label)}
    features |= {} if text is None else {"image/class/text": feature(text)}
    features |= {} if name is None else {"image/filename": feature(name)}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write_tfrecords(root, size=8):
    """Two files a split, the classes counted from 1."""
    root.mkdir(parents=True)
    for split in SPLITS:
        rows = list(images(split, size))
        half = len(rows) // 2
        for part, some in enumerate((rows[:half], rows[half:])):
            with tf.io.TFRecordWriter(str(root / f"{split}-0000{part}-of-00002.tfrecord")) as file:
                for name, content, label in some:
                    file.write(example(content, 1 + CLASSES.index(label), label.encode(), name.encode()))
    return root


def add(tar, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def write_tars(root, size=8, label=lambda name: (".cls", name.encode())):
    root.mkdir(parents=True)
    for split in SPLITS:
        with tarfile.open(root / f"photos-{split}-000.tar", "w") as tar:
            for name, content, label_name in images(split, size):
                add(tar, name, content)
                suffix, text = label(label_name)
                add(tar, name.replace(".png", suffix), text)
    return root


WRITERS = {"tfrecord": write_tfrecords, "tar": write_tars}


def load(place, cache, **options):
    options = {"batch_size": 4, "data_dir": str(cache), "seed": 3} | options
    return pipelines.load(str(place), **options)


def batches(dataset):
    return [(inputs, targets) for inputs, targets in dataset.as_numpy_iterator()]


def assert_equal_batches(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


CROPPED = {"image_size": 16, "augmentation": Augmentation(hflip=0.5, scale=(0.25, 1.0))}


@pytest.fixture(scope="module")
def of_folder(tmp_path_factory):
    """The data of a folder of images of two heights, cropped at random; their training and test batches."""
    data = load(write_folder(tmp_path_factory.mktemp("folder"), 20), tmp_path_factory.mktemp("cache"), **CROPPED)
    return data, batches(data.train(2)), batches(data.evaluation("test"))


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("memory", [0, 2048], ids=["streamed", "in memory"])
def test_records_are_the_examples_of_the_folder(kind, memory, of_folder, tmp_path):
    """Fingerprint, facts, order, pixels; and what is left of a run that was stopped in its second epoch."""
    folder, training, test = of_folder
    records = load(WRITERS[kind](tmp_path / "records", 20), tmp_path / "cache", data_memory=memory, **CROPPED)
    assert records.fingerprint == folder.fingerprint
    for fact in ("class_names", "sizes", "mean", "std", "image_shape", "notes", "duplicates"):
        assert getattr(records, fact) == getattr(folder, fact)
    assert ("26 records read from the disk" in records.storage) == (memory == 0)
    assert_equal_batches(batches(records.train(2)), training)
    assert_equal_batches(batches(records.train(1, first_epoch=1, first_step=1)), training[5:])
    assert_equal_batches(batches(records.evaluation("test")), test)


@pytest.mark.parametrize("kind", WRITERS)
def test_small_records_in_memory_are_those_of_arrays(kind, tmp_path):
    arrays = {}
    for split in SPLITS:
        rows = list(images(split))
        key = split.replace("validation", "val")
        arrays[f"x_{key}"] = np.stack([tf.io.decode_png(content).numpy() for _, content, _ in rows])
        arrays[f"y_{key}"] = np.array([name for _, _, name in rows])
    np.savez(tmp_path / "arrays.npz", **arrays)
    expected = load(tmp_path / "arrays.npz", tmp_path, augmentation=Augmentation(hflip=0.5))
    data = load(WRITERS[kind](tmp_path / "records"), tmp_path, augmentation=Augmentation(hflip=0.5))
    assert "decoded in memory" in data.storage
    assert_equal_batches(batches(data.train(2)), batches(expected.train(2)))


def test_missing_splits_are_cut_by_content(tmp_path):
    """A pattern that leaves the other files out."""
    write_folder(tmp_path / "folder")
    for split in ("validation", "test"):
        (tmp_path / "folder" / split).rename(tmp_path / split)
    expected = load(tmp_path / "folder", tmp_path, batch_size=2)
    data = load(write_tfrecords(tmp_path / "records") / "train-*.tfrecord", tmp_path, batch_size=2)
    assert data.sizes == expected.sizes
    assert data.fingerprint == expected.fingerprint
    assert data.name == str(tmp_path / "records" / "train-*.tfrecord")


@pytest.mark.parametrize(
    "label",
    [
        lambda name: (".cls", b"%d\n" % CLASSES.index(name)),
        lambda name: (".json", json.dumps({"label": CLASSES.index(name), "other": [1]}).encode()),
        lambda name: (".json", json.dumps({"cls": str(CLASSES.index(name))}).encode()),
    ],
)
def test_numbers_of_classes_are_named_by_a_file(label, tmp_path):
    write_tars(tmp_path / "tars", label=label)
    assert load(tmp_path / "tars", tmp_path).class_names == ("0", "1")
    (tmp_path / "tars" / "classes.txt").write_text("wolf\nfox\nlynx\n")
    with pytest.raises(pipelines.BadData, match="class 'lynx' has no image in the training split"):
        load(tmp_path / "tars", tmp_path)
    (tmp_path / "tars" / "classes.txt").write_text("wolf\nfox\n")
    assert load(tmp_path / "tars", tmp_path).class_names == ("wolf", "fox")


def test_short_keys_and_names_as_labels(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "few.tfrecords")) as file:
        file.write(example(b"image", b"dog", keys=("image", "label")))
    (record,) = tfrecords.read_tfrecord(str(tmp_path / "few.tfrecords"))
    assert (record.name, record.label, record.text, record.part.length) == ("few/00000000", "dog", "", 5)


def test_the_split_is_in_the_name_of_the_file_or_of_the_folder(tmp_path):
    for name in ("a-train-0.tar", "imagenet_val-000.tar", "TEST.tar", "validation/0.tar", "train/1.tar", "x.tar"):
        put(tmp_path / name, b"tar")
    splits = {shard.path.removeprefix(f"{tmp_path}/"): shard.split for shard in find_shards(str(tmp_path))}
    assert splits == {
        "TEST.tar": "test",
        "a-train-0.tar": "train",
        "imagenet_val-000.tar": "validation",
        "train/1.tar": "train",
        "validation/0.tar": "validation",
        "x.tar": "train",
    }


def test_a_folder_of_images_with_an_archive_is_one_of_images(tmp_path):
    put(tmp_path / "cats" / "1.png")
    put(tmp_path / "photos.tar", b"tar")
    assert find_shards(str(tmp_path)) == []


def refusal(place, cache, **options):
    with pytest.raises(pipelines.BadData) as error:
        load(place, cache, **options)
    message = str(error.value)
    assert "\n" not in message
    assert message.endswith(")")
    return message


def test_a_damaged_tfrecord_is_refused(tmp_path):
    file = write_tfrecords(tmp_path / "records") / "train-00000-of-00002.tfrecord"
    content = bytearray(file.read_bytes())
    content[200] ^= 1
    file.write_bytes(content)
    assert f"'{file}' is no intact file of TFRecords" in refusal(tmp_path / "records", tmp_path)
    file.write_bytes(content[:-50])
    assert f"'{file}' is no intact file of TFRecords" in refusal(tmp_path / "records", tmp_path)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"no example", "record 0 of '.*' is no tf.train.Example"),
        (example(b"image", 3, keys=("picture", "label")), "has label, picture, but no image/encoded or image"),
        (example(b"image", 3, keys=("image", "kind")), "has image, kind, but no image/class/label or label"),
        (example(3, 3, keys=("image", "label")), "image of record 0 of '.*' holds 0 values of bytes"),
        (example(b"image", -1), "label -1 of record few/00000000 of '.*': a class is 0 or more"),
    ],
)
def test_a_record_that_is_no_labelled_image_is_refused(record, message, tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "few.tfrecord")) as file:
        file.write(record)
    with pytest.raises(pipelines.BadData, match=message):
        load(tmp_path / "few.tfrecord", tmp_path)


def test_a_label_out_of_range_is_refused(tmp_path):
    write_tars(tmp_path / "tars", label=lambda name: (".cls", b"%d" % (7 * CLASSES.index(name))))
    (tmp_path / "tars" / "classes.txt").write_text("wolf\nfox\n")
    assert "dog/00000.png of" in refusal(tmp_path / "tars", tmp_path)


@pytest.mark.parametrize("cut", [100, 1024, 10240 - 512])
def test_a_truncated_tar_is_refused(cut, tmp_path):
    """Within a member, between two of them, and where the end of the archive is missing alone."""
    with tarfile.open(tmp_path / "train.tar", "w") as tar:
        add(tar, "1.png", b"image")
        add(tar, "1.cls", b"0")
    content = (tmp_path / "train.tar").read_bytes()
    assert len(content) == 10240
    (tmp_path / "train.tar").write_bytes(content[: 4 * 512] if cut == 10240 - 512 else content[:cut])
    message = refusal(tmp_path / "train.tar", tmp_path)
    assert "no intact tar" in message or "truncated" in message


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"../1.png": b"x", "../1.cls": b"0"}, "has a member outside of it, '../1.png'"),
        ({"/etc/1.png": b"x", "/etc/1.cls": b"0"}, "has a member outside of it, '/etc/1.png'"),
        ({"1.png": b"x"}, "sample '1' of '.*' has no .cls or .json with its class among png"),
        ({"1.cls": b"0"}, "sample '1' of '.*' has no image among cls"),
        ({"1.png": b"x", "1.jpg": b"x", "1.cls": b"0"}, "has the images png, jpg among"),
        ({"1.png": b"x", "1.json": b"{"}, "the .json of sample '1' of '.*' cannot be read"),
        ({"1.png": b"x", "1.json": b'{"label": 1.5}'}, "holds no class"),
        ({"1.png": b"x", "1.json": b"[" * 100_000}, "cannot be read"),
        ({"1.png": b"x", "1.cls": b"\xff"}, "the .cls of sample '1' of '.*' cannot be read"),
        ({"1.png": b"x", "1.cls": b"0", "2.png": b"x", "2.cls": b"dog"}, "are numbers and names, as 0 of 1.png"),
    ],
)
def test_a_tar_of_something_else_is_refused(members, message, tmp_path):
    with tarfile.open(tmp_path / "train.tar", "w") as tar:
        for name, content in members.items():
            add(tar, name, content)
    with pytest.raises(pipelines.BadData, match=message):
        load(tmp_path / "train.tar", tmp_path)


def test_a_link_in_a_tar_is_refused(tmp_path):
    link = tarfile.TarInfo("1.png")
    link.type = tarfile.SYMTYPE
    link.linkname = "/etc/passwd"
    with tarfile.open(tmp_path / "train.tar", "w") as tar:
        tar.addfile(link)
    with pytest.raises(pipelines.BadData, match=r"has .1\.png., a link or no regular file"):
        list(samples.read_tar(str(tmp_path / "train.tar")))


def test_what_is_no_shard_is_refused_by_name(tmp_path):
    put(tmp_path / "1.png")
    assert "matches no file" in refusal(tmp_path / "*.tfrecord", tmp_path)
    assert f"matches '{tmp_path / '1.png'}': a pattern is for" in refusal(tmp_path / "*.png", tmp_path)
    put(tmp_path / "photos.tar.gz", b"x")
    assert "is compressed, and records are read by their place: unpack it" in refusal(
        tmp_path / "photos.tar.gz", tmp_path
    )
    put(tmp_path / "test.tar", b"x")
    assert "holds no records for training, only test" in refusal(tmp_path / "test.tar", tmp_path)
    assert "is no intact tar" in refusal(put_tar(tmp_path / "some-train.tar"), tmp_path)
    put(tmp_path / "mixed" / "a.tar", b"x")
    put(tmp_path / "mixed" / "a.tfrecord", b"x")
    assert "give a pattern for one kind" in refusal(tmp_path / "mixed", tmp_path)


def test_a_name_is_checked_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "train.tar", b"x")
    for name in ("*.tar", "train.tar", str(tmp_path / "*.t?r")):
        assert pipelines.check_name(name) == name
    for name in ("*.tfrecord", "none-[0-9].tar"):
        with pytest.raises(pipelines.BadData, match="matches no file"):
            pipelines.check_name(name)
    with pytest.raises(pipelines.BadData, match=r"no such folder or file: 'none\.tfrecord-00000-of-00002'"):
        pipelines.check_name("none.tfrecord-00000-of-00002")


def put_tar(path):
    put(path, b"no tar" * 200)
    return path


def test_a_bad_image_is_refused_or_left_out(tmp_path):
    write_tars(tmp_path / "tars")
    with tarfile.open(tmp_path / "tars" / "train-001.tar", "w") as tar:
        add(tar, "broken.png", encode(np.zeros((8, 8, 3), np.uint8), "PNG")[:-8])
        add(tar, "broken.cls", b"cat")
    assert "broken.png at 512' (class 'cat'): corrupt" in refusal(tmp_path / "tars", tmp_path)
    data = load(tmp_path / "tars", tmp_path, on_bad_image="skip")
    assert (data.sizes, len(data.bad)) == (SPLITS, 1)


def test_other_tasks_are_refused(tmp_path):
    write_tars(tmp_path / "tars")
    assert "serves classification, reconstruction, not segmentation" in refusal(
        tmp_path / "tars", tmp_path, task="segmentation"
    )
    assert load(tmp_path / "tars", tmp_path, task="reconstruction").task == "reconstruction"


@pytest.mark.slow
def test_twenty_thousand_records_have_the_order_of_arrays(tmp_path, monkeypatch):
    """Read by their place, while nothing stays in memory."""
    monkeypatch.setitem(SPLITS, "train", 20_000)
    write_tars(tmp_path / "records")
    data = load(tmp_path / "records", tmp_path, batch_size=500, data_memory=0, augmentation="none", image_size=8)
    assert "20,010 records read from the disk" in data.storage
    rows = list(images("train"))
    pixels = np.stack([tf.io.decode_png(content).numpy() for _, content, _ in rows])
    order = np.concatenate([numbers for numbers in data.order(tf.constant(0, tf.int64)).numpy()])
    np.testing.assert_array_equal(np.sort(order), np.arange(20_000))
    first = batches(data.train(1, first_step=36))
    assert len(first) == 4
    for step, (inputs, targets) in enumerate(first, start=36):
        chosen = order[500 * step : 500 * (step + 1)]
        np.testing.assert_allclose((inputs * data.std + data.mean) * 255, pixels[chosen], atol=0.01)
        np.testing.assert_array_equal(targets.argmax(-1), chosen >= 10_000)
