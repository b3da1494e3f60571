"""Folders of sounds, written by the standard library."""

import wave

import numpy as np
import pytest

import pipelines
from pipelines.errors import BadData
from pipelines.readers.wav import read_wav, read_wav_folder

VALUES = np.array([-1.0, -0.5, 0.0, 0.25, 0.75])


def put(path, values, width=2, channels=1, rate=16_000):
    """A PCM file of values in -1 ... 1, each repeated for every channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = np.round(np.repeat(values, channels) * 2 ** (8 * width - 1)).astype(int) + (128 if width == 1 else 0)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(b"".join(int(value).to_bytes(width, "little", signed=width > 1) for value in whole))


def tones(root, count=10, folder="", length=50):
    for label in ("high", "low"):
        for number in range(count):
            put(root / folder / label / f"{number}.wav", np.full(length + number, 0.5))
    return root


def refusal(root):
    with pytest.raises(BadData) as error:
        read_wav_folder(root, 55)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_of_every_width(tmp_path, width, channels):
    put(tmp_path / "a.wav", VALUES, width, channels, 8000)
    samples, rate = read_wav(tmp_path / "a.wav")
    np.testing.assert_allclose(samples, VALUES, atol=1e-7)
    assert rate == 8000


def test_the_channels_are_averaged(tmp_path):
    put(tmp_path / "a.wav", np.array([0.5, -0.25, 0.25, 0.25]))
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[22] = 2  # channels
    data[32] = 4  # bytes of a frame
    (tmp_path / "a.wav").write_bytes(data)
    np.testing.assert_allclose(read_wav(tmp_path / "a.wav")[0], [0.125, 0.25])


def test_sounds_are_cut_or_padded(tmp_path):
    arrays = read_wav_folder(tones(tmp_path), 55)
    assert arrays.class_names == ("high", "low")
    assert {split: x.shape for split, (x, _) in arrays.splits.items()} == {
        "train": (16, 55, 1),
        "validation": (2, 55, 1),
        "test": (2, 55, 1),
    }
    assert arrays.notes == {"sounds of 16000 Hz": 20, "cut to 55 samples": 8, "padded to 55 samples": 10}


def test_splits(tmp_path):
    tones(tmp_path, 12, "Training")
    tones(tmp_path, 3, "Testing")
    assert len(read_wav_folder(tmp_path, 55).splits["test"][0]) == 6


def test_a_folder_of_sounds_is_a_data_set(tmp_path):
    data = pipelines.load(str(tones(tmp_path)), batch_size=4, sound_length=64)
    assert (data.image_shape, data.num_classes) == ((64, 1), 2)


def test_several_sample_rates_are_refused(tmp_path):
    put(tones(tmp_path) / "low" / "x.wav", VALUES, rate=8000)
    assert "several sample rates: 8000 Hz in 1, 16000 Hz in 20;" in refusal(tmp_path)


def test_what_is_no_pcm_is_refused(tmp_path):
    file = tones(tmp_path) / "low" / "3.wav"
    data = bytearray(file.read_bytes())
    data[20] = 3  # floating point
    file.write_bytes(data)
    assert "low/3.wav' cannot be read: unknown format: 3; PCM of 8, 16, 24 or 32 bits is read" in refusal(tmp_path)


def test_sounds_outside_of_classes_are_refused(tmp_path):
    put(tones(tmp_path) / "x.wav", VALUES)
    assert "x.wav' lies in no class folder: expected CLASS/*.wav" in refusal(tmp_path)
