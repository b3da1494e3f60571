"""The same file in a folder and in a record of TensorFlow Datasets gives the same pixels."""

import io

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image, ImageOps

import pipelines
from benchmarks.faults.image_files import KINDS, encode, exif
from pipelines.errors import BadFile
from pipelines.readers import image_files, records
from pipelines.readers.image_files import ImageFile

SIDE = 32
y, x = np.mgrid[:SIDE, :SIDE]
COLOURS = np.stack([7 * x, 255 - 6 * y, 3 * x + 4 * y], -1).astype(np.uint8)  # no two corners are alike
ALPHA = (8 * y).astype(np.uint8)
GREY = (60 * x + 66 * y).astype(np.uint16)  # 12 bits: up to 3906

FILES = [
    encode(np.dstack([COLOURS, ALPHA]), "PNG"),
    encode(GREY, "PNG"),
    encode(COLOURS, "JPEG", exif=exif(6)),
    encode(COLOURS, "JPEG"),
    encode(COLOURS[..., 0], "JPEG"),
    encode(COLOURS, "PNG"),
    encode(COLOURS, "PNG", exif=exif(3)),
    encode(COLOURS, "WEBP", lossless=True),
]
OPACITY = ALPHA[..., None] / 255
EXPECTED = [
    np.round(COLOURS * OPACITY + 255 * (1 - OPACITY)),
    np.repeat(np.round(GREY * (255 / 4095))[..., None], 3, axis=2),
    np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(FILES[2])))),
    np.asarray(Image.open(io.BytesIO(FILES[3]))),
    np.asarray(Image.open(io.BytesIO(FILES[4])).convert("RGB")),
    COLOURS,
    COLOURS[::-1, ::-1],
    COLOURS,
]
EVALUATION = {"image_size": SIDE, "batch_size": 4, "mean": (0, 0, 0), "std": (1, 1, 1), "augmentation": "none"}


def pixels_by_label(data):
    """The test images in 0 ... 255, in the order of their classes; each has one."""
    inputs, targets = next(iter(data.evaluation("test").unbatch().batch(len(FILES))))
    return np.round(inputs.numpy() * 255)[np.argsort(targets.numpy().argmax(-1))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "memory", "storage"),
    [
        ("oxford_flowers102", 2048, "encoded in memory"),
        ("oxford_flowers102", 0, "streamed"),
        ("cifar10", 2048, "decoded in memory"),
    ],
)
def test_a_record_has_the_pixels_of_its_file(name, memory, storage, prepare_data, tmp_path):
    def some(count):
        for number in range(count):
            file = io.BytesIO(FILES[number % len(FILES)])
            rest = {"id": str(number)} if name == "cifar10" else {"file_name": str(number)}
            yield {"image": file, "label": number % len(FILES)} | rest

    splits = {"train": some(80), "test": some(len(FILES))}
    if name != "cifar10":
        splits["validation"] = some(len(FILES))
    data = pipelines.load(name, data_dir=prepare_data(name, **splits), data_memory=memory, **EVALUATION)
    assert storage in data.storage
    assert data.white_level == 4095
    if memory:
        assert data.notes["alpha over white"] >= 10

    for split in ("train", "validation", "test"):
        for number, content in enumerate(FILES):
            file = tmp_path / split / str(number) / "image.png"
            file.parent.mkdir(parents=True)
            file.write_bytes(content)
    folder = pipelines.load(str(tmp_path), data_dir=str(tmp_path / "cache"), **EVALUATION)
    np.testing.assert_array_equal(pixels_by_label(data), pixels_by_label(folder))
    assert np.abs(pixels_by_label(data) - np.stack(EXPECTED)).max() <= 1  # alpha is rounded


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.mask], ids=lambda kind: kind.name)
def test_the_header_of_a_record_says_what_a_whole_file_does(kind, tmp_path):
    path = tmp_path / kind.file
    kind.make(path)
    if not path.is_file():
        return  # a folder, a pipe, a name alone
    content = path.read_bytes()
    record = records.examine_record(content)
    file, _ = image_files.examine("", content, mask=False)
    if isinstance(file, BadFile):
        header_is_intact = isinstance(record, ImageFile)
        assert header_is_intact or record.reason == file.reason
        return
    assert isinstance(record, ImageFile), record
    for name in ("height", "width", "channels", "decoder", "samples", "notes"):
        assert getattr(record, name) == getattr(file, name)


def test_colours_become_grey_as_in_a_folder():
    colours = records.examine_record(FILES[3])
    grey = records.examine_record(FILES[4])
    assert records.choose_decoder(colours, 3) == records.choose_decoder(grey, 1) == image_files.TF_JPEG
    assert records.choose_decoder(grey, 3) == image_files.TF_JPEG
    assert records.choose_decoder(colours, 1) == image_files.PILLOW


@pytest.mark.slow
@pytest.mark.parametrize("memory", [2048, 0])
def test_masks_are_their_class_numbers_and_their_images_stay_as_they_are(memory, prepare_data):
    """A palette's index, not its colour; boxes and masks of TFDS lie in the image as it is stored."""
    classes = (1 + x // 12).astype(np.uint8)
    palette = Image.fromarray(classes, "L").convert("P")
    palette.putdata(classes.ravel().tolist())
    palette.putpalette([200, 10, 10, 0, 90, 0, 7, 7, 7, 255, 255, 0])
    mask = io.BytesIO()
    palette.save(mask, "PNG")

    def some(count):
        box = tfds.features.BBox(0.0, 0.0, 1.0, 1.0)
        for number in range(count):
            image = io.BytesIO(encode(COLOURS, "JPEG", exif=exif(3)))
            rest = {"species": 0, "file_name": str(number), "head_bbox": box}
            yield {"image": image, "label": 0, "segmentation_mask": io.BytesIO(mask.getvalue())} | rest

    folder = prepare_data("oxford_iiit_pet", train=some(20), test=some(4))
    data = pipelines.load("oxford_iiit_pet", task="segmentation", data_dir=folder, data_memory=memory, **EVALUATION)
    inputs, masks = next(iter(data.evaluation("test")))
    np.testing.assert_array_equal(masks[0], classes - 1)
    stored = np.asarray(Image.open(io.BytesIO(encode(COLOURS, "JPEG"))))
    np.testing.assert_array_equal(np.round(inputs[0].numpy() * 255), stored)
    if memory:
        assert data.notes == {records.IGNORED: 24}


@pytest.mark.slow
def test_a_record_that_cannot_be_used_is_named(prepare_data):
    def some(count):
        for number in range(count):
            image = io.BytesIO(b"GIF89a no image" if number == 3 else FILES[3])
            yield {"image": image, "label": number % 3}

    folder = prepare_data("beans", train=some(20), validation=some(3), test=some(3))
    with pytest.raises(
        pipelines.BadData, match=r"image \d+ of the train split of data set 'beans' cannot be used: .*GIF"
    ):
        pipelines.load("beans", data_dir=folder, batch_size=4)
