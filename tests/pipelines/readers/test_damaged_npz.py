"""Damaged .npz files are read or refused in one line."""

import io
import zipfile

import numpy as np
import pytest

from pipelines.errors import BadData
from pipelines.readers.npz import read_npz

LABELS = np.arange(40) % 4
X = np.random.default_rng(0).integers(0, 256, (40, 5, 4, 3), np.uint8)


@pytest.fixture(scope="module", params=[np.savez, np.savez_compressed])
def valid(request):
    file = io.BytesIO()
    request.param(file, x=X, y=LABELS, class_names=np.array(list("abcd")))
    return file.getvalue()


def outcome(path):
    """The task of a file, or why it is refused; any other error is raised."""
    try:
        return read_npz(path).task
    except BadData as error:
        return str(error)


@pytest.mark.parametrize("how", ["bits", "cut", "bytes"])
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, valid, how):
    path = tmp_path / "damaged.npz"
    for seed in range(50):
        random = np.random.default_rng(seed)
        data = bytearray(valid)
        at = random.integers(len(data))
        if how == "bits":
            data[at] ^= 1 << random.integers(8)
        if how == "cut":
            data = data[:at]
        if how == "bytes":
            data[at : at + random.integers(20)] = random.bytes(random.integers(20))
        path.write_bytes(data)
        assert "\n" not in outcome(path)


def test_arrays_with_a_wrong_head_are_read_or_refused_in_one_line(tmp_path):
    """The checksums of the archive are right: NumPy's reader meets the wrong bytes."""
    path = tmp_path / "odd.npz"
    file = io.BytesIO()
    np.save(file, X)
    for seed in range(150):
        random = np.random.default_rng(seed)
        data = bytearray(file.getvalue())
        for _ in range(random.integers(1, 3)):
            data[random.integers(90)] = random.integers(256)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", bytes(data))
            with archive.open("y.npy", "w") as labels:
                np.save(labels, LABELS)
        assert "\n" not in outcome(path)
