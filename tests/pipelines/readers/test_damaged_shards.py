"""Files of records that are damaged, hostile or something else."""

import tarfile

import pytest
import tensorflow as tf

import pipelines
from pipelines.readers import samples
from tests.pipelines.files import put
from tests.pipelines.shards import CLASSES, add, example, load, refusal, write_tars, write_tfrecords

pytestmark = pytest.mark.usefixtures("own_data_dir")


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
    ids=("no example", "no image", "no label", "a number as image", "a label below 0"),  # the bytes have no fixed order
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
