"""Scores of masks against NumPy loops; masks of files at their own size; what the SavedModel returns."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pipelines
from tfcnn.errors import BadInput
from tfcnn.results import Classes, Evaluation, Options, results_of
from tfcnn.results.masks import predict_mask
from tfcnn.results.resampling import places_of
from tfcnn.results.segmentation import class_ious, count_pixels
from tfcnn.trained import Trained

CLASSES = 3
FACTS = {
    "task": "segmentation",
    "image_shape": (8, 8, 3),
    "value_range": (0, 255),
    "fit": "pad",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "class_names": ["red", "green", "blue"],
}


class Masks:
    """The part of pipelines.dataset.Data that an evaluation uses: random images, masks with ignored pixels."""

    image_shape = (8, 8, 3)
    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)

    def __init__(self, classes=CLASSES):
        rng = np.random.default_rng(0)
        self.images = rng.normal(size=(7, 8, 8, 3)).astype("float32")
        self.masks = rng.integers(0, classes, (7, 8, 8)).astype("int32")
        self.masks[rng.random((7, 8, 8)) < 0.2] = 255
        self.masks[3][self.masks[3] == 1] = 0

    def evaluation(self, split):
        return tf.data.Dataset.from_tensor_slices((self.images, self.masks)).batch(3)


def largest_channel(side=8, stride=1, border=0):
    """A network whose class is the largest channel of each pixel, of one in `stride`, or of the middle."""
    inputs = keras.Input((side, side, 3))
    x = keras.layers.Rescaling(8.0)(keras.layers.Cropping2D(border)(inputs))
    kernel = np.zeros((stride, stride, 3, 3), "float32")
    kernel[stride // 2, stride // 2] = np.eye(3)
    convolution = keras.layers.Conv2D(3, stride, strides=stride, use_bias=False, name="logits")
    model = keras.Model(inputs, convolution(x))
    convolution.set_weights([kernel])
    return model


def loop_iou(truths, predictions, classes):
    """Mean IoU by a loop over pixels."""
    intersection = [0] * classes
    union = [0] * classes
    for truth, predicted in zip(truths.ravel(), predictions.ravel(), strict=True):
        if truth == 255:
            continue
        for c in range(classes):
            intersection[c] += truth == c and predicted == c
            union[c] += truth == c or predicted == c
    shares = [i / u for i, u in zip(intersection, union, strict=True) if u]
    return sum(shares) / len(shares)


@pytest.fixture(scope="module")
def evaluation():
    data = Masks()
    model = largest_channel()
    classes = Classes(FACTS["class_names"], [0, 1, 2])
    return Evaluation(model, data, "test", classes, results_of("segmentation").evaluate(model, data, "test", classes))


def test_scores_are_those_of_a_loop_over_pixels(evaluation):
    data = evaluation.data
    predicted = data.images.argmax(-1)
    assert evaluation.scores["mean_iou"] == pytest.approx(loop_iou(data.masks, predicted, CLASSES))
    valid = data.masks != 255
    assert evaluation.scores["pixel_accuracy"] == pytest.approx((predicted == data.masks)[valid].mean())
    assert sum(map(sum, evaluation.scores["confusion"])) == valid.sum()
    assert evaluation.scores["pixels"] == {
        name: (data.masks == number).sum() for number, name in enumerate(FACTS["class_names"])
    }


def test_the_sheet_has_the_worst_and_the_best_by_their_own_mean_iou(evaluation):
    data = evaluation.data
    own = [loop_iou(mask, image.argmax(-1), CLASSES) for mask, image in zip(data.masks, data.images, strict=True)]
    rows = evaluation.scores["ranked"]
    groups = {group: [number for name, number, _ in rows if name == group] for group, _, _ in rows}
    order = np.argsort(own).tolist()
    assert groups["worst"] == order[:2]
    assert groups["best"] == order[-2:]
    assert set(groups["median"]) < set(order[2:-2])
    assert [score for _, _, score in rows] == pytest.approx([own[number] for _, number, _ in rows])


def test_classes_of_other_data_have_the_numbers_of_the_run():
    """Of the data's classes, the first is the run's third and the second its first."""
    data = Masks(classes=2)
    scores = results_of("segmentation").evaluate(largest_channel(), data, "test", Classes(FACTS["class_names"], [2, 0]))
    renumbered = np.array([2, 0] + [255] * 254)[data.masks]
    assert scores["mean_iou"] == pytest.approx(loop_iou(renumbered, data.images.argmax(-1), CLASSES))


def test_a_class_that_neither_mask_nor_prediction_has_does_not_count():
    counts = count_pixels(np.array([[[0, 0, 1, 255]]]), np.array([[[0, 1, 1, 2]]]), 3)
    np.testing.assert_array_equal(counts, [[[1, 1, 0], [0, 1, 0], [0, 0, 0]]])
    np.testing.assert_array_equal(class_ious(counts[0]), [0.5, 0.5, np.nan])


def test_the_text_names_every_class(evaluation):
    result = {"split": "test", "examples": 7} | evaluation.scores
    text = results_of("segmentation").describe(result)
    assert f"mean IoU        {result['mean_iou']:.2%} of 7 test images" in text
    assert all(name in text for name in FACTS["class_names"])


@pytest.mark.parametrize("picture", ["confusion", "sheet"])
def test_pictures_are_drawn(evaluation, picture, tmp_path):
    results_of("segmentation").pictures[picture](evaluation, tmp_path / "x.png", "title")
    with Image.open(tmp_path / "x.png") as drawn:
        assert min(drawn.size) > 300


def write_image(path, height=24, width=40):
    """Quarters of red, green, blue and red."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2, 0] = 250
    pixels[: height // 2, width // 2 :, 1] = 250
    pixels[height // 2 :, : width // 2, 2] = 250
    pixels[height // 2 :, width // 2 :, 0] = 250
    Image.fromarray(pixels).save(path)
    return pixels.argmax(-1)


def predict(paths, folder, model=None, **options):
    trained = Trained(model or largest_channel(), FACTS)
    examples = trained.inputs.open(list(map(str, paths)))
    return list(results_of("segmentation").predict(trained, examples, Options(out=folder, **options)))


@pytest.mark.parametrize("inference", ["resize", "tile"])
def test_masks_have_the_images_own_size_and_voc_colours(tmp_path, inference):
    expected = write_image(tmp_path / "photo.png")
    lines = predict([tmp_path / "photo.png"], tmp_path / "out", inference=inference)
    with Image.open(tmp_path / "out" / "photo.png") as picture:
        assert (picture.mode, picture.size) == ("P", (40, 24))
        mask = np.asarray(picture)
        assert picture.getpalette()[3:6] == [128, 0, 0]
    inner = np.ones((24, 40), bool)
    inner[10:14] = inner[:, 16:24] = False  # of eight pixels each is five of the image's
    assert (mask == expected)[inner].all()
    with Image.open(tmp_path / "out" / "photo-overlay.png") as picture:
        assert picture.size == (40, 24)
    rows = list(csv.DictReader((tmp_path / "out" / "predictions.csv").read_text().splitlines()))
    assert list(rows[0]) == ["image", "class", "pixels", "share", "mask"]
    assert sum(int(row["pixels"]) for row in rows) == 24 * 40
    assert {row["mask"] for row in rows} == {"photo.png"}
    assert "red 5" in lines[0]


def test_tiles_of_a_pointwise_network_give_the_network_on_the_whole_image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (13, 30, 3)).astype(np.uint8)
    trained = Trained(largest_channel(), FACTS)
    mask = predict_mask(trained, pixels, places_of(trained.model, FACTS), "tile")
    np.testing.assert_array_equal(mask, pixels.argmax(-1))


def uneven(stride=1):
    """A network whose answer for the mirror image is not the mirror of its answer for the image."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(3, 5, strides=stride, padding="same", activation="tanh")]
    return keras.Sequential([*layers, keras.layers.Conv2D(3, 1, kernel_initializer="orthogonal", name="logits")])


@pytest.mark.parametrize("inference", ["resize", "tile"])
def test_mirror_images_are_averaged_in_the_images_own_places(inference):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    trained = Trained(uneven(), FACTS)
    mirrored = trained.predict_pixels(pixels[None, :, ::-1])[0, :, ::-1]
    own = trained.predict_pixels(pixels[None])[0]
    mask = predict_mask(trained, pixels, places_of(trained.model, FACTS), inference, "flip")
    assert (own.argmax(-1) != mirrored.argmax(-1)).any()
    np.testing.assert_array_equal(mask, (own + mirrored).argmax(-1))


def test_the_mask_of_the_mirror_image_is_the_mirrored_mask():
    """Also where the map has every fourth pixel, the first of them nearer to its border than the last."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 3)).astype(np.uint8)
    trained = Trained(uneven(stride=4), FACTS)
    places = places_of(trained.model, FACTS)
    mask = predict_mask(trained, pixels, places, "resize", "flip")
    turned = predict_mask(trained, np.flip(pixels, 1), places, "resize", "flip")
    assert len(np.unique(mask)) > 1
    assert (turned[:, ::-1] == mask).mean() > 0.99  # sums of the same numbers, rounded in another order


@pytest.mark.parametrize(("tta", "says"), [("ten-crop", "take --tta flip"), ("five-crop", "is for classification")])
def test_crops_of_a_segmentation_are_refused(tmp_path, tta, says):
    write_image(tmp_path / "photo.png")
    with pytest.raises(BadInput, match=says):
        predict([tmp_path / "photo.png"], tmp_path / "out", tta=tta)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", [(8, 8), (5, 30), (20, 7)])
def test_tiles_cover_images_of_any_size_for_the_middle_of_windows(size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    trained = Trained(largest_channel(border=2), FACTS)
    mask = predict_mask(trained, pixels, places_of(trained.model, FACTS), "tile")
    np.testing.assert_array_equal(mask, pixels.argmax(-1))


def test_what_a_network_of_the_middle_cannot_see_is_ignored():
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[..., 1] = 200
    trained = Trained(largest_channel(border=2), FACTS)
    mask = predict_mask(trained, pixels, places_of(trained.model, FACTS), "resize")
    expected = np.full((16, 16), 255)
    expected[4:12, 4:12] = 1
    np.testing.assert_array_equal(mask, expected)


def test_a_map_of_stride_4_lies_on_its_pixels():
    """The step of the image, between pixels 3 and 4, lies between those that the map shows: 2 and 6."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[..., :4, 0] = 200
    pixels[..., 4:, 2] = 200
    trained = Trained(largest_channel(stride=4), FACTS)
    mask = predict_mask(trained, pixels, places_of(trained.model, FACTS), "resize")
    np.testing.assert_array_equal(mask[:, [0, 1, 2, 3, 5, 6, 7]], [[0] * 4 + [2] * 3] * 8)  # 4 is as near to both


def test_the_saved_functions_return_maps_at_the_images_size(tmp_path):
    expected = write_image(tmp_path / "photo.png", 16, 32)
    model = largest_channel()
    trained = Trained(model, FACTS)
    with Image.open(tmp_path / "photo.png") as picture:
        pixels = np.asarray(picture)
    outputs = tf.constant(model(trained.inputs.from_pixels(pixels[None])))
    served = results_of("segmentation").serve(model, FACTS)
    answer = served.images(outputs, tf.constant([16, 32]))
    assert answer["probabilities"].shape == (1, 16, 32, 3)
    mask = predict_mask(trained, pixels, places_of(model, FACTS), "resize")
    np.testing.assert_array_equal(answer["class"][0], mask)
    assert (mask == expected).mean() > 0.8
    (file,) = served.files(outputs, tf.constant([[16, 32]]))["mask"].numpy()
    np.testing.assert_array_equal(tf.io.decode_png(file)[..., 0], mask)


def test_files_of_one_name_have_numbers_and_an_earlier_folder_is_replaced(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_image(tmp_path / folder / "x.png")
    paths = [tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"]
    predict(paths, tmp_path / "out")
    assert {"x.png", "x-2.png", "x-overlay.png", "x-2-overlay.png"} < {p.name for p in (tmp_path / "out").iterdir()}
    predict(paths[:1], tmp_path / "out")
    assert "x-2.png" not in {path.name for path in (tmp_path / "out").iterdir()}


def test_a_mask_that_the_user_has_edited_is_not_replaced(tmp_path):
    write_image(tmp_path / "x.png")
    predict([tmp_path / "x.png"], tmp_path / "out")
    write_image(tmp_path / "out" / "x.png")
    before = (tmp_path / "out" / "x.png").read_bytes()
    with pytest.raises(BadInput, match="is a folder of other things, which is not replaced"):
        predict([tmp_path / "x.png"], tmp_path / "out")
    assert (tmp_path / "out" / "x.png").read_bytes() == before


def test_nothing_is_written_for_a_file_that_is_no_image(tmp_path):
    write_image(tmp_path / "x.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(pipelines.BadData, match=r"bad image .* \(IMAGE\)"):
        predict([tmp_path / "x.png", tmp_path / "text.png"], tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.png", "x.png"]
