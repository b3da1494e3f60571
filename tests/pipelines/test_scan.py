import gzip
import hashlib
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from benchmarks import bad_files
from benchmarks.bad_files import JPEG, KINDS, ORIENTED, PHOTO, PNG, PROGRESSIVE, encoded, exif, outcome
from pipelines import examination, scan


def look(path, **kwargs):
    return scan.scan([str(path)], str(path.parent), str(path.parent / "cache"), **kwargs)[0]


def test_the_table_is_long_and_has_each_kind_once():
    names = [kind.name for kind in KINDS]
    assert len(set(names)) == len(names) > 60


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.decoder is None], ids=lambda kind: kind.name)
def test_what_cannot_be_used_is_told_why(kind, tmp_path):
    found = outcome(kind, tmp_path)
    assert isinstance(found, examination.Bad)
    assert kind.says in found.reason
    assert "\n" not in found.reason
    assert found.path == str(tmp_path / kind.file)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.decoder is not None], ids=lambda kind: kind.name)
def test_what_can_be_used_is_read_as_it_was_made(kind, tmp_path):
    found = outcome(kind, tmp_path)
    assert isinstance(found, examination.Facts), found
    assert (found.decoder, ", ".join(found.notes)) == (kind.decoder, kind.says)
    data = Path(found.path).read_bytes()
    assert found.digest == hashlib.blake2b(data, digest_size=16).hexdigest()
    if kind.mask:
        mask = examination.read_mask(found.path)
        np.testing.assert_array_equal(mask, kind.pixels)
        assert mask.dtype == np.uint8
        assert (found.height, found.width, *found.values) == (*kind.pixels.shape, *np.unique(kind.pixels))
        if kind.decoder == examination.TF_IMAGE:
            np.testing.assert_array_equal(tf.io.decode_image(data, expand_animations=False)[..., 0], kind.pixels)
        return

    for channels in {found.channels, 3}:
        warned = pytest.warns(UserWarning, match="Corrupt EXIF") if "broken EXIF" in kind.name else nullcontext()
        with warned:
            image = examination.read(found.path, channels)
        assert (image.shape, image.dtype) == ((found.height, found.width, channels), np.uint8)
        if kind.pixels is not None:
            assert found.channels == (3 if kind.pixels.ndim == 3 else 1)
            expected = np.atleast_3d(kind.pixels).astype(int)
            assert np.abs(image - expected).max() <= kind.within
        if kind.decoder == examination.TF_IMAGE:
            decoded = tf.io.decode_image(data, channels=channels, expand_animations=False)
            np.testing.assert_array_equal(decoded, image)
        if kind.decoder == examination.TF_JPEG:
            decoded = tf.io.decode_jpeg(data, channels=channels)
            assert np.abs(decoded.numpy().astype(int) - image).max() <= 4  # the fast inverse transform is its default


@pytest.mark.parametrize("orientation", ORIENTED)
@pytest.mark.parametrize(("form", "within"), [("JPEG", bad_files.LOSSY), ("PNG", 0), ("TIFF", 0), ("WEBP", 0)])
def test_images_are_turned_upright(form, within, orientation, tmp_path):
    path = tmp_path / f"a.{form.lower()}"
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(form, {})
    path.write_bytes(encoded(PHOTO, form, exif=exif(orientation), **options))
    found, upright = look(path), ORIENTED[orientation]
    assert (found.height, found.width) == upright.shape[:2]
    assert np.abs(examination.read(str(path), 3) - upright.astype(int)).max() <= within
    assert ("EXIF orientation" in found.notes) == (orientation != 1)
    assert (found.decoder == examination.PILLOW) == (orientation != 1 or form in ("TIFF", "WEBP"))


def test_a_mask_is_turned_as_its_image_is(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(bad_files.CLASSES, "PNG", exif=exif(6)))
    found = look(path, masks=True)
    assert (found.height, found.width, found.decoder) == (36, 24, examination.PILLOW)
    np.testing.assert_array_equal(examination.read_mask(str(path)), np.rot90(bad_files.CLASSES, -1))


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE, PNG], ids=["JPEG", "progressive", "PNG"])
def test_tensorflow_decodes_whatever_damaged_file_passes(data, tmp_path):
    random = np.random.RandomState(0)
    damaged = [data[:-missing] for missing in range(1, 20)]
    damaged += [data[:length] for length in random.randint(1, len(data), 40)]
    damaged += [bad_files.flipped(data, place) for place in random.randint(2, len(data), 60)]
    damaged += [data[:place] + b"\0" * 30 + data[place + 30 :] for place in random.randint(2, len(data), 40)]
    paths = [tmp_path / f"{number}.jpg" for number in range(len(damaged))]
    for path, content in zip(paths, damaged, strict=True):
        path.write_bytes(content)
    found = scan.scan(list(map(str, paths)), str(tmp_path), str(tmp_path / "cache"))
    passed = [content for content, one in zip(damaged, found, strict=True) if isinstance(one, examination.Facts)]
    for content in passed:
        assert tf.io.decode_image(content, channels=3, expand_animations=False).shape[2] == 3
    cut = found[:59]
    assert all(isinstance(one, examination.Bad) for one in cut)


def test_a_name_that_is_not_utf8():
    path = os.fsdecode(b"/nowhere/\xff.jpg")
    assert scan.scan([path], "/nowhere") == [examination.Bad(path, "", "its name is not UTF-8")]


def test_a_file_that_may_not_be_read_is_bad_until_it_may(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)

    def deny(self):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", deny)  # permissions do not bind the superuser
        assert look(path).reason == "cannot be read: Permission denied"
    assert isinstance(look(path), examination.Facts)


def test_results_are_in_the_order_of_the_paths(tmp_path):
    paths = []
    for number in range(40):
        path = tmp_path / f"{number}.png"
        content = b"no" if number % 7 == 3 else encoded(np.zeros((number + 1, 2), np.uint8), "PNG")
        path.write_bytes(content)
        paths.append(str(path))
    paths = paths[::-1]
    found = scan.scan(paths, str(tmp_path), str(tmp_path / "cache"))
    assert [one.path for one in found] == paths
    assert [getattr(one, "height", None) for one in found] == [None if n % 7 == 3 else n + 1 for n in range(40)][::-1]


# The cache


@pytest.fixture
def folder(tmp_path):
    """Three images, one of them bad, and a scan of them."""
    contents = {"a.jpg": JPEG, "b.png": PNG, "c.jpg": JPEG[:300]}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    paths = [str(tmp_path / name) for name in contents]

    def rescan(cache_dir=None, **kwargs):
        return scan.scan(paths, str(tmp_path), cache_dir or str(tmp_path / "cache"), **kwargs)

    return rescan


@pytest.fixture
def looks(monkeypatch):
    """The names of the files that are read."""
    seen, look = [], scan._look

    def counted(path, mask):
        seen.append(os.path.basename(path))
        return look(path, mask)

    monkeypatch.setattr(scan, "_look", counted)
    return seen


def test_a_file_is_read_once(folder, looks):
    first = folder()
    assert sorted(looks) == ["a.jpg", "b.png", "c.jpg"]
    assert folder() == first
    assert len(looks) == 3


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_file_that_changed_is_read_again(folder, looks, tmp_path, change):
    folder()
    looks.clear()
    path = tmp_path / "b.png"
    if change == "size":
        status = path.stat()
        path.write_bytes(JPEG)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    found = folder()
    assert looks == ["b.png"]
    assert ("extension of another format" in found[1].notes) == (change == "size")


def test_images_and_masks_are_kept_apart(folder, looks):
    images = folder()
    masks = folder(masks=True)
    assert isinstance(images[1], examination.Facts)
    assert isinstance(masks[1], examination.Bad)
    assert (folder(), folder(masks=True), len(looks)) == (images, masks, 6)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip",
        gzip.compress(b"no JSON", mtime=0),
        gzip.compress(b"[]", mtime=0),
        gzip.compress(b'{"written_by": 0}', mtime=0),
        gzip.compress(b"{}", mtime=0)[:-5],
        "rows",
        "version",
    ],
    ids=str,
)
def test_a_broken_cache_is_none(folder, looks, tmp_path, content):
    first = folder()
    (cache,) = (tmp_path / "cache").iterdir()
    if isinstance(content, str):
        held = json.loads(gzip.decompress(cache.read_bytes()))
        if content == "rows":
            held["files"] = {path: row[:2] for path, row in held["files"].items()}
        else:
            held["written_by"] = [held["written_by"][0], "Pillow 1.0"]
        content = gzip.compress(json.dumps(held).encode())
    cache.write_bytes(content)
    assert folder() == first
    assert len(looks) == 6
    assert folder() == first
    assert len(looks) == 6
    assert list((tmp_path / "cache").iterdir()) == [cache]


def test_without_a_place_for_a_cache_there_is_none(folder, looks, tmp_path):
    (tmp_path / "file").write_text("no folder")
    assert folder(str(tmp_path / "file")) == folder(str(tmp_path / "file"))
    assert len(looks) == 6


def test_a_cache_that_cannot_be_written_leaves_nothing(folder, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert len(folder()) == 3
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_cache_lies_with_the_data_of_tensorflow_datasets(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    scan.scan([str(path)], str(tmp_path))
    assert len(list((tmp_path / "data" / "scans").iterdir())) == 1
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    scan.scan([str(path)], str(tmp_path))
    assert len(list((tmp_path / "home" / "tensorflow_datasets" / "scans").iterdir())) == 1


def test_an_interrupted_scan_goes_on_where_it_was(folder, looks, monkeypatch):
    counted = scan._look

    def interrupted(path, mask):
        if path.endswith("c.jpg"):
            raise KeyboardInterrupt
        return counted(path, mask)

    with monkeypatch.context() as patch:
        patch.setattr(scan, "_look", interrupted)
        with pytest.raises(KeyboardInterrupt):
            folder()
    looks.clear()
    folder()
    assert looks == ["c.jpg"]


def test_a_long_scan_says_how_far_it_is(folder, tmp_path, capsys, monkeypatch):
    folder(str(tmp_path / "elsewhere"))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(scan, "PATIENCE", 0)
    folder()
    assert "looked at 3 of 3 files in" in capsys.readouterr().err


def test_scanning_needs_no_tensorflow():
    code = "import sys, pipelines.folder, pipelines.scan, pipelines.arrays; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_pillow_reads_what_it_would_warn_of(tmp_path):
    """A palette with transparency is one such: warnings are errors here, and lines on stderr elsewhere."""
    path = tmp_path / "a.png"
    image = Image.fromarray(bad_files.CLASSES)
    image.putpalette(bad_files.COLOURS.tobytes())
    path.write_bytes(encoded(image, "PNG", transparency=bytes(256)))
    np.testing.assert_array_equal(examination.read(str(path), 3), bad_files.COLOURS[bad_files.CLASSES])


def test_the_command_prints_the_table(run_command):
    done = run_command("benchmarks.bad_files")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(KINDS) + 2
    assert "| empty file | left out | empty: 0 bytes |" in lines
    assert "| CMYK JPEG | used: Pillow | CMYK |" in lines
