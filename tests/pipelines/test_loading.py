"""What `pipelines.load` decides from the files: the size of the images."""

import numpy as np
import pytest

import pipelines
from benchmarks.faults.image_files import encode
from tests.pipelines.files import two_classes

pytestmark = pytest.mark.usefixtures("own_data_dir")


@pytest.mark.parametrize(
    ("sizes", "side"),
    [([(96, 96)], 96), ([(28, 28)], 32), ([(40, 60)], 60), ([(40, 60), (60, 40)], 224), ([(300, 40)], 224)],
)
def test_files_of_one_small_size_keep_it(tmp_path, sizes, side):
    two_classes(tmp_path, lambda label, number: np.full((*sizes[number % len(sizes)], 3), number, np.uint8))
    assert pipelines.load(str(tmp_path), batch_size=2).image_shape == (side, side, 3)


def test_masks_of_0_and_255_are_classes_in_the_batches(tmp_path):
    for number in range(20):
        for kind in ("images", "masks"):
            (tmp_path / kind).mkdir(exist_ok=True)
        mask = np.zeros((32, 32), np.uint8)
        mask[number:] = 255
        (tmp_path / "images" / f"{number}.png").write_bytes(encode(mask[..., None].repeat(3, 2), "PNG"))
        (tmp_path / "masks" / f"{number}.png").write_bytes(encode(mask, "PNG"))
    data = pipelines.load(str(tmp_path), batch_size=2, augmentation="none")
    images, masks = next(iter(data.evaluation("test")))
    np.testing.assert_array_equal(masks, images.numpy()[..., 0] > 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_values": (0, 255)}, "mask_values 0,255 is for masks, and 'digits' is read for classification"),
        ({"sound_length": 8000}, "sound_length 8000 is for a folder of .wav files, and 'digits' is none"),
        ({"channels": "first"}, "channels first is for an .npz file, and 'digits' is none"),
    ],
)
def test_an_option_without_effect_is_refused(options, message):
    with pytest.raises(pipelines.BadData, match=message):
        pipelines.load("digits", batch_size=2, **options)
