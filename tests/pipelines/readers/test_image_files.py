import hashlib
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.faults import image_files as kinds
from benchmarks.faults.image_files import JPEG, KINDS, ORIENTED, PHOTO, PNG, PROGRESSIVE, encode, examine_kind, exif
from pipelines import decoding
from pipelines.errors import BadFile
from pipelines.pixels import FULL_SCALE, find_white_level
from pipelines.readers import image_files, scan


def scan_one(path, **kwargs):
    return scan.scan_files([str(path)], str(path.parent), str(path.parent / "cache"), **kwargs)[0]


def test_the_table_is_long_and_has_each_kind_once():
    names = [kind.name for kind in KINDS]
    assert len(set(names)) == len(names) > 60


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.decoder is None], ids=lambda kind: kind.name)
def test_what_cannot_be_used_is_told_why(kind, tmp_path):
    file = examine_kind(kind, tmp_path)
    assert isinstance(file, BadFile)
    assert kind.message in file.reason
    assert "\n" not in file.reason
    assert file.path == str(tmp_path / kind.file)


USABLE = [kind for kind in KINDS if kind.decoder is not None]


@pytest.mark.parametrize("kind", USABLE, ids=lambda kind: kind.name)
def test_the_decoder_of_what_can_be_used(kind, tmp_path):
    file = examine_kind(kind, tmp_path)
    assert isinstance(file, image_files.ImageFile), file
    assert (file.decoder, ", ".join(file.notes)) == (kind.decoder, kind.message)
    assert file.digest == hashlib.blake2b(Path(file.path).read_bytes(), digest_size=16).hexdigest()


@pytest.mark.parametrize("kind", [kind for kind in USABLE if kind.mask], ids=lambda kind: kind.name)
def test_a_mask_is_read_as_it_was_written(kind, tmp_path):
    file = examine_kind(kind, tmp_path)
    mask = image_files.read_mask(file.path)
    np.testing.assert_array_equal(mask, kind.pixels)
    assert mask.dtype == np.uint8
    assert (file.height, file.width, *file.values) == (*kind.pixels.shape, *np.unique(kind.pixels))
    if kind.decoder == image_files.TF_IMAGE:
        data = Path(file.path).read_bytes()
        np.testing.assert_array_equal(tf.io.decode_image(data, expand_animations=False)[..., 0], kind.pixels)


@pytest.mark.parametrize("kind", [kind for kind in USABLE if not kind.mask], ids=lambda kind: kind.name)
def test_an_image_is_read_as_it_was_written(kind, tmp_path):
    file = examine_kind(kind, tmp_path)
    data = Path(file.path).read_bytes()
    for channels in {file.channels, 3}:
        warned = pytest.warns(UserWarning, match="Corrupt EXIF") if "broken EXIF" in kind.name else nullcontext()
        white_level = find_white_level(file.samples[1]) if file.samples else FULL_SCALE
        with warned:
            image = image_files.read_image(file.path, channels, white_level)
        assert (image.shape, image.dtype) == ((file.height, file.width, channels), np.uint8)
        if kind.pixels is not None:
            assert file.channels == (3 if kind.pixels.ndim == 3 else 1)
            expected = np.atleast_3d(kind.pixels).astype(int)
            assert np.abs(image - expected).max() <= kind.tolerance
        if kind.decoder == image_files.TF_IMAGE:
            decoded = tf.io.decode_image(data, channels=channels, expand_animations=False)
            np.testing.assert_array_equal(decoded, image)
        if kind.decoder == image_files.TF_JPEG:
            decoded = tf.io.decode_jpeg(data, channels=channels, dct_method=decoding.ACCURATE)
            np.testing.assert_array_equal(decoded, image)


@pytest.mark.parametrize("orientation", ORIENTED)
@pytest.mark.parametrize(("form", "tolerance"), [("JPEG", kinds.LOSSY), ("PNG", 0), ("TIFF", 0), ("WEBP", 0)])
def test_images_are_turned_upright(form, tolerance, orientation, tmp_path):
    path = tmp_path / f"a.{form.lower()}"
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(form, {})
    path.write_bytes(encode(PHOTO, form, exif=exif(orientation), **options))
    file = scan_one(path)
    upright = ORIENTED[orientation]
    assert (file.height, file.width) == upright.shape[:2]
    assert np.abs(image_files.read_image(str(path), 3) - upright.astype(int)).max() <= tolerance
    assert ("EXIF orientation" in file.notes) == (orientation != 1)
    assert (file.decoder == image_files.PILLOW) == (orientation != 1 or form in ("TIFF", "WEBP"))


def test_a_mask_is_turned_as_its_image_is(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encode(kinds.CLASSES, "PNG", exif=exif(6)))
    file = scan_one(path, masks=True)
    assert (file.height, file.width, file.decoder) == (36, 24, image_files.PILLOW)
    np.testing.assert_array_equal(image_files.read_mask(str(path)), np.rot90(kinds.CLASSES, -1))


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE, PNG], ids=["JPEG", "progressive", "PNG"])
def test_tensorflow_decodes_whatever_damaged_file_passes(data, tmp_path):
    random = np.random.RandomState(0)
    damaged = [data[:-missing] for missing in range(1, 20)]
    damaged += [data[:length] for length in random.randint(1, len(data), 40)]
    damaged += [kinds.flip_byte(data, place) for place in random.randint(2, len(data), 60)]
    damaged += [data[:place] + b"\0" * 30 + data[place + 30 :] for place in random.randint(2, len(data), 40)]
    paths = [tmp_path / f"{number}.jpg" for number in range(len(damaged))]
    for path, content in zip(paths, damaged, strict=True):
        path.write_bytes(content)
    files = scan.scan_files(list(map(str, paths)), str(tmp_path), str(tmp_path / "cache"))
    passed = [content for content, file in zip(damaged, files, strict=True) if isinstance(file, image_files.ImageFile)]
    for content in passed:
        assert tf.io.decode_image(content, channels=3, expand_animations=False).shape[2] == 3
    truncated = files[:59]
    assert all(isinstance(file, BadFile) for file in truncated)


@pytest.mark.slow
def test_the_command_prints_the_table(run_command):
    process = run_command("benchmarks.faults.image_files")
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert len(lines) == len(KINDS) + 2
    assert "| empty file | left out | empty: 0 bytes |" in lines
    assert "| CMYK JPEG | used: Pillow | CMYK |" in lines
