import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults.image_files import JPEG, PNG, encode
from pipelines.errors import BadFile
from pipelines.readers import image_files, scan


def scan_one(path, **kwargs):
    return scan.scan_files([str(path)], str(path.parent), str(path.parent / "cache"), **kwargs)[0]


def test_a_name_that_is_not_utf8():
    path = os.fsdecode(b"/nowhere/\xff.jpg")
    assert scan.scan_files([path], "/nowhere") == [BadFile(path, "", "its name is not UTF-8")]


def test_a_file_that_may_not_be_read_is_bad_until_it_may(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)

    def deny(self):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", deny)  # permissions do not bind the superuser
        assert scan_one(path).reason == "cannot be read: Permission denied"
    assert isinstance(scan_one(path), image_files.ImageFile)


def test_results_are_in_the_order_of_the_paths(tmp_path):
    paths = []
    for number in range(40):
        path = tmp_path / f"{number}.png"
        content = b"no" if number % 7 == 3 else encode(np.zeros((number + 1, 2), np.uint8), "PNG")
        path.write_bytes(content)
        paths.append(str(path))
    paths = paths[::-1]
    files = scan.scan_files(paths, str(tmp_path), str(tmp_path / "cache"))
    assert [file.path for file in files] == paths
    assert [getattr(file, "height", None) for file in files] == [None if n % 7 == 3 else n + 1 for n in range(40)][::-1]


# The cache


@pytest.fixture
def folder(tmp_path):
    """Three images, one of them bad, and a scan of them."""
    contents = {"a.jpg": JPEG, "b.png": PNG, "c.jpg": JPEG[:300]}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    paths = [str(tmp_path / name) for name in contents]

    def rescan(cache_dir=None, **kwargs):
        return scan.scan_files(paths, str(tmp_path), cache_dir or str(tmp_path / "cache"), **kwargs)

    return rescan


@pytest.fixture
def examinations(monkeypatch):
    """The names of the files that are examined."""
    names = []
    examine = image_files.examine

    def note_name(path, data, mask):
        names.append(os.path.basename(path))
        return examine(path, data, mask)

    monkeypatch.setattr(image_files, "examine", note_name)
    return names


def test_a_file_is_read_once(folder, examinations):
    first = folder()
    assert sorted(examinations) == ["a.jpg", "b.png", "c.jpg"]
    assert folder() == first
    assert len(examinations) == 3


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_file_that_changed_is_read_again(folder, examinations, tmp_path, change):
    folder()
    examinations.clear()
    path = tmp_path / "b.png"
    if change == "size":
        status = path.stat()
        path.write_bytes(JPEG)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    files = folder()
    assert examinations == ["b.png"]
    assert ("extension of another format" in files[1].notes) == (change == "size")


def test_images_and_masks_are_kept_apart(folder, examinations):
    images = folder()
    masks = folder(masks=True)
    assert isinstance(images[1], image_files.ImageFile)
    assert isinstance(masks[1], BadFile)
    assert (folder(), folder(masks=True), len(examinations)) == (images, masks, 6)


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
def test_a_broken_cache_is_none(folder, examinations, tmp_path, content):
    first = folder()
    (cache,) = (tmp_path / "cache").iterdir()
    if isinstance(content, str):
        entries = json.loads(gzip.decompress(cache.read_bytes()))
        if content == "rows":
            entries["files"] = {path: row[:2] for path, row in entries["files"].items()}
        else:
            entries["written_by"] = [entries["written_by"][0], "Pillow 1.0"]
        content = gzip.compress(json.dumps(entries).encode())
    cache.write_bytes(content)
    assert folder() == first
    assert len(examinations) == 6
    assert folder() == first
    assert len(examinations) == 6
    assert list((tmp_path / "cache").iterdir()) == [cache]


def test_without_a_place_for_a_cache_there_is_none(folder, examinations, tmp_path):
    (tmp_path / "file").write_text("no folder")
    assert folder(str(tmp_path / "file")) == folder(str(tmp_path / "file"))
    assert len(examinations) == 6


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
    scan.scan_files([str(path)], str(tmp_path))
    assert len(list((tmp_path / "data" / "scans").iterdir())) == 1
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    scan.scan_files([str(path)], str(tmp_path))
    assert len(list((tmp_path / "home" / "tensorflow_datasets" / "scans").iterdir())) == 1


def test_an_interrupted_scan_is_continued(folder, examinations, monkeypatch):
    examine = image_files.examine

    def interrupt(path, data, mask):
        if path.endswith("c.jpg"):
            raise KeyboardInterrupt
        return examine(path, data, mask)

    with monkeypatch.context() as patch:
        patch.setattr(image_files, "examine", interrupt)
        with pytest.raises(KeyboardInterrupt):
            folder()
    examinations.clear()
    folder()
    assert examinations == ["c.jpg"]


def test_a_long_scan_says_how_far_it_is(folder, tmp_path, capsys, monkeypatch):
    folder(str(tmp_path / "elsewhere"))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(scan, "PATIENCE", 0)
    folder()
    assert "examined 3 of 3 files in" in capsys.readouterr().err


@pytest.mark.slow
def test_scanning_needs_no_tensorflow():
    code = "import sys; from pipelines.readers import folder, npz, scan; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
