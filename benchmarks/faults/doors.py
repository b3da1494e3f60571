"""The same file through every door of a run: `python -m benchmarks.faults.image_files --doors`.

The doors are a folder of images, as training, evaluation and `pipelines.show` read it; `tfcnn.predict`, which is
`tfcnn.load(RUN).predict`; and the exported `serve_files`; the last two also of a run whose images have one channel. A
network that returns its input shows what each door reads. "equal" means the pixels that the file was made of, and the
same in every door.
"""

from __future__ import annotations

import json
import re
import struct
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import pipelines
import tfcnn.trained
from benchmarks.faults.image_files import (
    COLOURS,
    KINDS,
    LOSSY,
    NOISE,
    ORIENTED,
    PHOTO,
    PILLOW,
    Kind,
    encode,
    exif,
    frames,
    over_white,
    palette,
    png,
    scanlines,
    usable,
)
from pipelines.readers.scan import MAX_BYTES
from tfcnn.errors import first_line
from tfcnn.export import export_savedmodel

SIDE = 32
DOORS = ("folder", "predict", "serve_files", "predict, one channel", "serve_files, one channel")
FORMATS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95},
    "PNG": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
    "MPO": {"quality": 95},
}

Reading = np.ndarray | str  # the pixels float32 (SIDE, SIDE, channels), or why the door takes no such file


def xmp(orientation: int) -> bytes:
    """XMP that states an orientation, as Photoshop writes it."""
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()


def exif_of(order: str, kind: int, orientation: int) -> bytes:
    """EXIF by hand: byte order "<" or ">", the TIFF type of the value, another tag before it."""
    magic = b"II*\0" if order == "<" else b"MM\0*"
    value = struct.pack(order + {3: "Hxx", 4: "I"}[kind], orientation)
    entries = struct.pack(order + "HHI4s", 0x0100, 3, 1, struct.pack(order + "Hxx", 7))
    entries += struct.pack(order + "HHI4s", 0x0112, kind, 1, value)
    return b"Exif\0\0" + magic + struct.pack(order + "IH", 8, 2) + entries + struct.pack(order + "I", 0)


def _orientations() -> Iterator[Kind]:
    """Orientation by format, and the ways in which files state it."""
    for form, options in FORMATS.items():
        lossy = LOSSY if form in ("JPEG", "MPO") else 0
        name = "a.jpg" if lossy else f"a.{form.lower()}"
        for orientation, upright in ORIENTED.items():
            content = encode(PHOTO, form, exif=exif(orientation), **options)
            yield usable(f"{form}, orientation {orientation}", name, content, PILLOW, "", upright, lossy)
    for orientation in (1, 6, 9):
        for order, kind in (("<", 3), (">", 4), ("<", 4)):
            content = encode(PHOTO, "JPEG", quality=95, exif=exif_of(order, kind, orientation))
            name = f"JPEG, orientation {orientation}, EXIF {order}{kind}"
            yield usable(name, "a.jpg", content, PILLOW, "", ORIENTED.get(orientation, PHOTO), LOSSY)
    content = encode(PHOTO, "JPEG", quality=95, xmp=xmp(6))
    yield usable("JPEG, orientation 6 in XMP", "a.jpg", content, PILLOW, "", ORIENTED[6], LOSSY)
    content = encode(PHOTO, "JPEG", quality=95, xmp=xmp(6), exif=exif(1))
    yield usable("JPEG, orientation 6 in XMP, 1 in EXIF", "a.jpg", content, PILLOW, "", PHOTO, LOSSY)
    yield usable("two JPEGs in one, orientation 1", "a.jpg", frames("MPO"), PILLOW, "", PHOTO, 30)


SEE_THROUGH = [
    usable("PNG of 16 bits with alpha", "a.png", png(scanlines(NOISE.astype(np.uint16) * 257, 16), 16, 6), PILLOW,
           "alpha over white, 16 bits", over_white(NOISE[..., :3], NOISE[..., 3])),
    usable("grey PNG of 16 bits with alpha", "a.png", png(scanlines(NOISE[..., :2].astype(np.uint16) * 257, 16), 16, 4),
           PILLOW, "alpha over white, 16 bits", over_white(np.repeat(NOISE[..., :1], 3, 2), NOISE[..., 1])),
    usable("still GIF with a transparent colour", "a.gif", encode(palette(NOISE[..., 0]), "GIF", transparency=7),
           PILLOW, "GIF, palette, alpha over white",
           np.where(NOISE[..., :1] == 7, 255, COLOURS[NOISE[..., 0]]).astype(np.uint8)),
    usable("WebP with alpha", "a.webp", encode(NOISE, "WEBP", lossless=True, exact=True), PILLOW,
           "WEBP, alpha over white", over_white(NOISE[..., :3], NOISE[..., 3])),
    usable("TIFF with alpha", "a.tif", encode(NOISE, "TIFF"), PILLOW, "TIFF, alpha over white",
           over_white(NOISE[..., :3], NOISE[..., 3])),
]  # fmt: skip
FILES = [*(kind for kind in KINDS if not kind.mask), *SEE_THROUGH, *_orientations()]


class Run:
    """A run directory whose network returns its input.

    Args:
        folder: to write it in.
        channels: of its images.
        white_level: of its training images.
    """

    def __init__(self, folder: Path, channels: int, white_level: int) -> None:
        shape = (SIDE, SIDE, channels)
        image = keras.Input(shape)
        model = keras.Model(image, keras.layers.Activation("linear")(image))
        facts = {
            "task": "reconstruction",
            "image_shape": shape,
            "value_range": (0, 255),
            "white_level": white_level,
            "dtype": "uint8",
            "fit": "crop",
            "mean": [0.0] * channels,
            "std": [1.0] * channels,
            "class_names": [],
        }
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"data": facts}))
        (folder / "metrics.json").write_text("{}")
        model.save(folder / "model.keras")
        export_savedmodel(model, folder / "saved_model", facts)
        self.trained = tfcnn.trained.load(folder)
        self.served = tf.saved_model.load(folder / "saved_model")

    def predict(self, paths: list[Path]) -> list[Reading]:
        try:
            return list(self.trained.predict(paths))
        except pipelines.BadData as error:
            if len(paths) > 1:
                return [reading for path in paths for reading in self.predict([path])]
            return [str(error).partition("': ")[2].removesuffix(" (IMAGE)")]

    def serve_file(self, path: Path) -> Reading:
        if path.is_fifo() or (path.is_file() and path.stat().st_size > MAX_BYTES):
            return "the client does not send it"
        try:
            return self.served.serve_files([path.read_bytes()])["image"].numpy()[0]
        except tf.errors.InvalidArgumentError as error:
            return _reason(error)
        except OSError as error:
            return f"the client cannot read it: {error.strerror}"


def _reason(error: tf.errors.InvalidArgumentError) -> str:
    """The assertion's line, or that of TensorFlow's decoder, from a long report."""
    message = re.search(r"serve_files (.*?)[\]']", str(error))
    if message:
        return message[1]
    decoder = re.search(r"(Invalid [A-Z]+[ .].*|jpeg::.*)", str(error))
    return decoder[1] if decoder else first_line(error)


def read_folder(paths: list[Path], root: Path, channels: int) -> tuple[list[Reading], int]:
    """What the pipelines read of the test images `root`/test/a/*/*, and the white level that they find.

    Args:
        paths: of these images, in order.
        root: folder to add training images of so many channels to.
        channels: 1 or 3.
    """
    other = encode(PHOTO if channels == 3 else PHOTO[..., 0], "PNG")
    for part in ("train/a", "train/b", "validation/a"):
        (root / part).mkdir(parents=True)
        (root / part / "other.png").write_bytes(other)
    data = pipelines.load(
        str(root),
        image_size=SIDE,
        batch_size=2,
        augmentation="none",
        mean=[0.0],
        std=[1.0],
        data_dir=str(root / "data"),
        on_bad_image="skip",
        max_bad=1.0,
    )
    reasons = {file.path: file.reason for file in data.bad}
    images = iter(data.evaluation("test").unbatch().as_numpy_iterator())
    readings = [reasons[str(path)] if str(path) in reasons else next(images)[0] * 255 for path in paths]
    assert next(images, None) is None
    return readings, data.white_level


def read_kinds(kinds: Sequence[Kind], folder: Path, channels: int = 3) -> list[dict[str, Reading]]:
    """What each door reads of a file of each kind.

    Args:
        kinds: to make; where one is of 16 bits, the largest sample of all decides which becomes white.
        folder: an empty one.
        channels: of the first run; the second has one.
    """
    root = folder / "data"
    paths = [root / "test" / "a" / f"{number:03}" / kind.file for number, kind in enumerate(kinds)]
    for kind, path in zip(kinds, paths, strict=True):
        path.parent.mkdir(parents=True)
        kind.make(path)
    in_folder, white_level = read_folder(paths, root, channels)
    columns = [in_folder]
    for channels_of_run in (channels, 1):
        run = Run(folder / f"run-{len(columns)}", channels_of_run, white_level)
        usable_paths = [path for path, reading in zip(paths, in_folder, strict=True) if not isinstance(reading, str)]
        predicted = dict(zip(usable_paths, run.predict(usable_paths), strict=True))
        columns.append([predicted[path] if path in predicted else run.predict([path])[0] for path in paths])
        columns.append([run.serve_file(path) for path in paths])
    return [dict(zip(DOORS, readings, strict=True)) for readings in zip(*columns, strict=True)]


def judge(kind: Kind, readings: dict[str, Reading]) -> dict[str, str]:
    """For each door "equal", "differs by ..." or "refused: ..."."""
    verdicts = {}
    for door, reading in readings.items():
        if isinstance(reading, str):
            verdicts[door] = f"refused: {reading}"
            continue
        difference = 0.0
        if kind.pixels is not None:
            difference = max(
                0.0, float(np.abs(reading - _expected(kind.pixels, reading.shape[-1])).max()) - kind.tolerance
            )
            difference -= 1 if reading.shape[-1] == 1 and kind.pixels.ndim == 3 else 0  # luma in floating point
        first = next(each for each in readings.values() if np.shape(each) == reading.shape)
        difference = max(difference, float(np.abs(reading - first).max()))
        verdicts[door] = "equal" if difference < 0.01 else f"differs by {difference:.0f}"
    return verdicts


def _expected(pixels: np.ndarray, channels: int) -> np.ndarray:
    """The oracle's pixels (h, w) or (h, w, 3) in a run of so many channels, resized as the documentation says."""
    pixels = np.atleast_3d(pixels).astype(np.float32)
    if channels == 1 and pixels.shape[-1] == 3:
        pixels = pixels @ np.float32([[0.299], [0.587], [0.114]])
    resize = keras.layers.Resizing(SIDE, SIDE, crop_to_aspect_ratio=True, antialias=True, dtype="float32")
    return np.asarray(resize(np.repeat(pixels, channels // pixels.shape[-1], -1)))


def judge_all(folder: Path) -> dict[str, dict[str, str]]:
    """The verdict on each of `FILES` by door; 12 bits in 16 are read in a folder without 16."""
    verdicts = {}
    twelve = [kind for kind in FILES if "12 in 16" in kind.name]
    for name, kinds in {"others": [kind for kind in FILES if kind not in twelve], "twelve": twelve}.items():
        (folder / name).mkdir()
        for kind, readings in zip(kinds, read_kinds(kinds, folder / name), strict=True):
            verdicts[kind.name] = judge(kind, readings)
    return verdicts


def main() -> None:
    print("| kind | " + " | ".join(DOORS) + " |\n|---" + "|---" * len(DOORS) + "|")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of broken EXIF
        verdicts = judge_all(Path(folder))
    for kind in FILES:
        cells = list(verdicts[kind.name].values())
        cells = [cell if cell == "equal" or cell not in cells[:i] else "as before" for i, cell in enumerate(cells)]
        print(f"| {kind.name} | " + " | ".join(cells) + " |", flush=True)
