"""Volumes in NIfTI files, which nibabel writes here in every orientation."""

import importlib.util
import itertools

import nibabel
import numpy as np
import pytest

from pipelines.errors import BadData
from pipelines.readers.nifti import read_nifti

SHAPE = (3, 4, 5, 1)
VALUES = np.arange(60, dtype="int16").reshape(SHAPE[:-1])
ORIENTATIONS = [
    (axes, signs) for axes in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]


def write(path, values, affine=None, **header):
    image = nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine)
    for name, value in header.items():
        image.header[name] = value
    nibabel.save(image, path)
    return str(path)


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_a_volume_in_any_orientation_is_turned_to_the_canonical_one(axes, signs, tmp_path):
    """Stored axis k goes along axis axes[k] of RAS, in the direction of signs[k]."""
    stored = VALUES.transpose(axes)
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for k, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[axis, k] = 2.0 * sign
        stored = stored if sign > 0 else np.flip(stored, k)
    values = read_nifti(write(tmp_path / "scan.nii", stored, affine), SHAPE)
    np.testing.assert_array_equal(values[..., 0], VALUES)


def test_scale_and_intercept_of_the_header_apply(tmp_path):
    image = nibabel.Nifti1Image(VALUES, np.eye(4))
    image.header.set_slope_inter(0.5, -3)
    nibabel.save(image, tmp_path / "scan.nii.gz")
    values = read_nifti(str(tmp_path / "scan.nii.gz"), SHAPE)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values[..., 0], VALUES * 0.5 - 3)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 4, 5, 2), r"holds an array of 3x4x5x2, but this run takes volumes of 3x4x5 with 1 channel: "),
        ((5, 4, 3), r"holds a volume of 5x4x3, but this run takes volumes of 3x4x5 with 1 channel: "),
    ],
)
def test_another_shape_is_refused(shape, message, tmp_path):
    with pytest.raises(BadData, match=message) as error:
        read_nifti(write(tmp_path / "scan.nii", np.zeros(shape, "int16")), SHAPE)
    assert str(error.value).endswith("(IMAGE)")


def test_a_volume_without_orientation_is_refused(tmp_path):
    image = nibabel.Nifti1Image(VALUES, None)
    image.header["qform_code"] = image.header["sform_code"] = 0
    nibabel.save(image, tmp_path / "scan.nii")
    with pytest.raises(BadData, match="has neither qform nor sform"):
        read_nifti(str(tmp_path / "scan.nii"), SHAPE)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("end", [0, 100, -60])
def test_a_damaged_file_is_refused(suffix, end, tmp_path):
    path = tmp_path / f"scan{suffix}"
    write(path, np.random.default_rng(0).integers(0, 999, SHAPE[:-1]).astype("int16"))
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(BadData, match=r"cannot be read: .* \(IMAGE\)"):
        read_nifti(str(path), SHAPE)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadData, match="no such file"):
        read_nifti(str(tmp_path / "scan.nii"), SHAPE)


def test_without_nibabel_its_extra_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "scan.nii", VALUES)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadData, match=r"not installed: pip install -r requirements-volumes.txt"):
        read_nifti(path, SHAPE)
