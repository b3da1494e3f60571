"""A folder of sounds: root/CLASS/**.wav, or in splits root/SPLIT/CLASS/**.wav, as `folder_layouts` has them.

PCM of 8, 16, 24 or 32 bits, read by the standard library. The channels are averaged; a sound becomes float32 in
-1 ... 1, cut or padded with silence to one length.
"""

from __future__ import annotations

import collections
import hashlib
import os
import wave
from pathlib import Path

import numpy as np

from pipelines.errors import BadData
from pipelines.readers import tree
from pipelines.readers.npz import Arrays
from pipelines.readers.splits import SPLITS, cut_by_position

LAYOUTS = "CLASS/*.wav, or train/CLASS/*.wav and test/CLASS/*.wav"


def is_sound(path: str) -> bool:
    """Whether a path is named as a .wav file."""
    return path.lower().endswith(".wav")


def find_sounds(folder: Path) -> list[str]:
    """The paths of the .wav files in a folder and below it, relative to it, sorted."""
    return sorted(
        os.path.relpath(os.path.join(here, name), folder)
        for here, _, names in os.walk(folder)
        for name in names
        if is_sound(name) and not name.startswith(".")
    )


def is_wav_folder(folder: Path) -> bool:
    """Whether a folder holds sounds and no image."""
    return bool(find_sounds(folder)) and not tree.images(folder)


def read_wav_folder(path: str | Path, length: int) -> Arrays:
    """Read the sounds of a folder.

    Args:
        path: the folder.
        length: samples of each sound; longer ones are cut, shorter ones padded with silence.

    Returns:
        Arrays, each split as (sounds float32 (n, length, 1), labels int64 (n,)).

    Raises:
        BadData: no known layout; a file that is no PCM; several sample rates; fewer than two classes; an empty split
            or a class without a training sound.
    """
    root = Path(path).expanduser()
    names = find_sounds(root)
    places = [_place(root, name) for name in names]
    class_names = tuple(sorted({label for _, label in places}))
    if len(class_names) < 2:
        raise BadData(f"'{root}' has class '{class_names[0]}' alone; at least two are needed (--dataset)")
    labels = np.array([class_names.index(label) for _, label in places], np.int64)
    sounds, lengths, rates = _read_all(root, names, length)
    if len(rates) > 1:
        counts = ", ".join(f"{rate} Hz in {count:,}" for rate, count in sorted(rates.items()))
        raise BadData(
            f"the sounds of '{root}' have several sample rates: {counts}; resample them to one, with "
            f"scipy.signal.resample_poly for instance (--dataset)"
        )
    rows = _divide([split for split, _ in places], labels)
    for split in SPLITS:
        if not len(rows[split]):
            raise BadData(f"the {split} split of '{root}' has no sound; it holds {len(names)} in all (--dataset)")
    absent = set(range(len(class_names))) - set(labels[rows["train"]].tolist())
    if absent:
        raise BadData(f"class '{class_names[min(absent)]}' of '{root}' has no training sound (--dataset)")
    content = hashlib.blake2b(repr((class_names, names, length)).encode(), digest_size=16)
    content.update(sounds.data)
    notes = {
        f"sounds of {next(iter(rates))} Hz": len(names),
        f"cut to {length:,} samples": int((lengths > length).sum()),
        f"padded to {length:,} samples": int((lengths < length).sum()),
    }
    return Arrays(
        task="classification",
        class_names=class_names,
        splits={split: (sounds[rows[split]], labels[rows[split]]) for split in SPLITS},
        value_range=(0.0, 1.0),  # silence stays 0, which is what augmentation pads with
        fingerprint=content.hexdigest(),
        sample_rate=next(iter(rates)),
        notes={note: count for note, count in notes.items() if count},
    )


def _place(root: Path, name: str) -> tuple[str, str]:
    """The split, "" if there are none, and the class of a sound."""
    parts = Path(name).parts[:-1]
    splits = [tree.meaning(folder).split for folder in tree.folders(root)]
    if splits and None not in splits:
        if len(parts) < 2:
            raise BadData(f"'{root / name}' lies in no class folder: expected {LAYOUTS} (--dataset)")
        return str(tree.meaning(parts[0]).split), parts[1]
    if not parts:
        raise BadData(f"'{root / name}' lies in no class folder: expected {LAYOUTS} (--dataset)")
    return "train", parts[0]


def _divide(splits: list[str], labels: np.ndarray) -> dict[str, np.ndarray]:
    """The rows of each split, the missing ones cut from the training rows."""
    rows = {split: np.flatnonzero([name == split for name in splits]) for split in SPLITS}
    train = rows["train"]
    missing = [split for split in SPLITS if not len(rows[split])]
    return rows | {split: train[part] for split, part in cut_by_position(labels[train], missing).items()}


def _read_all(root: Path, names: list[str], length: int) -> tuple[np.ndarray, np.ndarray, collections.Counter[int]]:
    """The sounds, float32 (n, length, 1), their lengths in the files, and how many have which sample rate."""
    sounds = np.zeros((len(names), length, 1), np.float32)
    lengths = np.zeros(len(names), np.int64)
    rates: collections.Counter[int] = collections.Counter()
    for row, name in enumerate(names):
        samples, rate = read_wav(root / name)
        sounds[row, :, 0] = cut_or_pad(samples, length)
        lengths[row] = len(samples)
        rates[rate] += 1
    return sounds, lengths, rates


def cut_or_pad(samples: np.ndarray, length: int) -> np.ndarray:
    """The first `length` of the samples (n,), or all of them and silence.

    >>> cut_or_pad(np.array([0.5, -0.5]), 3).tolist(), cut_or_pad(np.array([0.5, -0.5]), 1).tolist()
    ([0.5, -0.5, 0.0], [0.5])
    """
    return np.pad(samples[:length], (0, max(length - len(samples), 0)))


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    """The samples of a file, float32 (n,) in -1 ... 1, the mean of its channels, and the sample rate in Hz.

    Raises:
        BadData: it is no PCM of 8, 16, 24 or 32 bits, or has no sample.
    """
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        reason = str(error) or type(error).__name__
        raise BadData(f"'{path}' cannot be read: {reason}; PCM of 8, 16, 24 or 32 bits is read (--dataset)") from None
    frames = len(data) // (width * channels)
    if not frames or width not in (1, 2, 3, 4):
        raise BadData(f"'{path}' holds {frames} samples of {8 * width} bits; PCM of 8 ... 32 bits is read (--dataset)")
    values = np.frombuffer(data, np.uint8, count=frames * width * channels).reshape(-1, width)
    if width == 1:  # unsigned, as the format has it
        signed = values[:, 0].astype(np.int32) - 128
    else:
        padded = np.zeros((len(values), 4), np.uint8)
        padded[:, 4 - width :] = values
        signed = padded.view("<i4")[:, 0] >> (32 - 8 * width)
    samples = signed.reshape(frames, channels).mean(axis=1) / 2 ** (8 * width - 1)
    return samples.astype(np.float32), rate
