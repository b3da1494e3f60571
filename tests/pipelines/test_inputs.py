"""Files for a trained network: sounds and arrays in the range of the training data."""

import wave

import nibabel
import numpy as np
import pytest

from pipelines.errors import BadData
from pipelines.inputs import Inputs


def inputs_of(shape, value_range, **facts):
    channels = shape[-1]
    return Inputs(
        {
            "image_shape": shape,
            "value_range": value_range,
            "fit": "crop",
            "mean": [0.25] * channels,
            "std": [0.5] * channels,
            **facts,
        }
    )


def write_wav(path, samples, rate=8000):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.round(np.asarray(samples) * 32768).astype("<i2").tobytes())
    return str(path)


SAMPLES = np.array([0.5, -0.5, 0.25, -0.75])


@pytest.mark.parametrize("loudest", [1, 32768])
@pytest.mark.parametrize("length", [3, 6])
def test_a_sound_becomes_what_its_samples_became_in_training(loudest, length, tmp_path):
    """In training, samples in the range 0 ... `loudest`, silence at 0, are divided by it and standardised."""
    inputs = inputs_of((length, 1), (0, loudest))
    (batch,) = inputs.batches(inputs.open([write_wav(tmp_path / "a.wav", SAMPLES)]), 8)
    samples = np.pad(SAMPLES, (0, 8))[:length]
    np.testing.assert_allclose(batch[0, :, 0], (samples - 0.25) / 0.5, atol=1e-5)


def test_loud_samples_are_within_the_range_of_sounds():
    inputs = inputs_of((4, 1), (0, 32768))
    prepared = inputs.from_arrays((SAMPLES * 32768)[None, :, None])
    np.testing.assert_allclose(prepared[0, :, 0], (SAMPLES - 0.25) / 0.5, atol=1e-5)


def test_a_sound_of_another_sample_rate_is_refused(tmp_path):
    path = write_wav(tmp_path / "a.wav", SAMPLES, rate=16000)
    with pytest.raises(BadData, match=r"has 16000 samples a second, but this run was trained on 8000.* \(IMAGE\)"):
        inputs_of((4, 1), (0, 1), sample_rate=8000).open([path])
    assert len(inputs_of((4, 1), (0, 1)).open([path])) == 1  # a run that does not know its rate


def test_a_sound_where_full_scale_is_unknown_is_refused(tmp_path):
    path = write_wav(tmp_path / "a.wav", SAMPLES)
    with pytest.raises(BadData, match=r"takes sounds of 4 samples in \.npz files"):
        inputs_of((4, 1), (-3.0, 7.0)).open([path])


@pytest.mark.parametrize("key", ["x", "images"])
def test_arrays_of_a_file_are_prepared_as_arrays(key, tmp_path):
    volumes = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 4)).astype(np.uint8)
    np.savez(tmp_path / "v.npz", **{key: volumes})
    inputs = inputs_of((4, 4, 4, 1), (0, 255))
    examples = inputs.open([str(tmp_path / "v.npz")])
    assert [example.name for example in examples] == [f"{tmp_path / 'v.npz'}[{number}]" for number in range(3)]
    (batch,) = inputs.batches(examples, 8)
    np.testing.assert_allclose(batch, inputs.from_arrays(volumes), atol=1e-5)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"scans": np.zeros((2, 4, 4, 4))}, r"expected x or images \(IMAGE\)"),
        ({"x": np.zeros((2, 5, 4, 4), np.uint8)}, r"an array of shape .* this run takes \(batch, 4, 4, 4, 1\)"),
        ({"x": np.zeros((0, 4, 4, 4), np.uint8)}, "holds no example"),
        ({"x": np.full((2, 4, 4, 4), 900.0)}, r"values from 900 to 900, but this run was trained on 0 to 255"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(arrays, says, tmp_path):
    np.savez(tmp_path / "v.npz", **arrays)
    with pytest.raises(BadData, match=says):
        inputs_of((4, 4, 4, 1), (0, 255)).open([str(tmp_path / "v.npz")])


def test_a_missing_file_is_refused():
    with pytest.raises(BadData, match=r"no such file: 'nowhere\.npz' \(IMAGE\)"):
        inputs_of((4, 4, 4, 1), (0, 255)).open(["nowhere.npz"])


def test_a_nifti_file_is_prepared_as_its_array(tmp_path):
    inputs = inputs_of((3, 4, 5, 1), (0, 255))
    values = np.arange(60, dtype="uint8").reshape(3, 4, 5)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "scan.nii.gz")
    (batch,) = inputs.batches(inputs.open([str(tmp_path / "scan.nii.gz")]), 8)
    np.testing.assert_allclose(batch, inputs.from_arrays(values[None, ..., None]), atol=1e-5)


def test_a_nifti_file_of_another_range_is_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.full((3, 4, 5), 3000, "int16"), np.eye(4)), tmp_path / "scan.nii")
    with pytest.raises(BadData, match=r"scan.nii' holds values from 3000 to 3000, but this run.*\(IMAGE\)"):
        inputs_of((3, 4, 5, 1), (0, 255)).open([str(tmp_path / "scan.nii")])


def test_files_that_cannot_be_used_are_left_out_and_named(tmp_path):
    inputs = inputs_of((4, 1), (0, 1))
    (tmp_path / "bad.wav").write_text("no sound")
    good = [write_wav(tmp_path / name, SAMPLES) for name in ("a.wav", "c.wav")]
    missing = str(tmp_path / "missing.wav")
    examples, problems = inputs.open_usable([missing, str(tmp_path)])
    assert [example.name for example in examples] == good
    assert [path in problem for path, problem in zip([missing, "bad.wav"], problems, strict=True)] == [True, True]
    with pytest.raises(BadData, match=r"missing.wav.* \(and 1 more"):
        inputs.open_usable([missing, str(tmp_path / "bad.wav")])
