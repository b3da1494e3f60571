"""Volumes in NIfTI files, .nii and .nii.gz, read by nibabel: pip install -r requirements-volumes.txt."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.errors import BadData

SUFFIXES = (".nii", ".nii.gz")


def is_nifti(path: str) -> bool:
    """Whether a path is named as a NIfTI file.

    >>> is_nifti("scan.nii.gz"), is_nifti("SCAN.NII"), is_nifti("scan.gz")
    (True, True, False)
    """
    return path.lower().endswith(SUFFIXES)


def read_nifti(path: str, shape: Sequence[int]) -> np.ndarray:
    """Read a volume in the canonical orientation, RAS.

    Axes are turned and swapped, without interpolation, so that the first goes from the patient's left to right, the
    second from posterior to anterior, the third from inferior to superior (`nibabel.as_closest_canonical`); they are
    the network's depth, height and width. Training arrays that nibabel has read are to be brought to it as well. The
    size of the voxels is not looked at.

    Args:
        path: of the file.
        shape: (depth, height, width, channels) of the network.

    Returns:
        float32 (depth, height, width, 1), the header's scale and intercept applied.

    Raises:
        BadData: nibabel is not installed; no such file, one that cannot be read, without a known orientation, or of
            another shape in the canonical orientation, a series of volumes included.
    """
    if importlib.util.find_spec("nibabel") is None:
        raise BadData(
            f"'{path}' needs nibabel, which is not installed: pip install -r requirements-volumes.txt (IMAGE)"
        )
    if not Path(path).is_file():
        raise BadData(f"no such file: '{path}' (IMAGE)")
    import nibabel

    try:
        image: Any = nibabel.load(path)  # a type without the attributes of volumes
        has_orientation = image.header["qform_code"] > 0 or image.header["sform_code"] > 0
        if len(image.shape) == 3 and has_orientation:
            image = nibabel.as_closest_canonical(image)
    except Exception as error:  # nibabel, gzip and zlib have one for each kind of damage
        raise _unreadable(path, error) from None
    sizes = "x".join(map(str, image.shape))
    if not has_orientation:
        raise BadData(f"'{path}' does not say how its volume lies: its header has neither qform nor sform (IMAGE)")
    if (*image.shape, 1) != tuple(shape):
        what = "a volume" if len(image.shape) == 3 else "an array"
        raise BadData(
            f"'{path}' holds {what} of {sizes}, but this run takes volumes of {'x'.join(map(str, shape[:-1]))} with "
            f"{shape[-1]} channel{'s' if shape[-1] > 1 else ''}: choose or resample one volume (IMAGE)"
        )
    try:
        return image.get_fdata(dtype=np.float32)[..., None]
    except Exception as error:  # as above
        raise _unreadable(path, error) from None


def _unreadable(path: str, error: Exception) -> BadData:
    reason = " ".join(str(error).split()) or type(error).__name__
    return BadData(f"'{path}' cannot be read: {reason} (IMAGE)")
