"""Detectors from data to result: a few images, one epoch."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfcnn
from tfcnn import train
from tfcnn.cli.signals import Interrupted
from tfcnn.config import Config
from tfcnn.detection.proposals import search_all, selective_search
from tfcnn.errors import BadInput
from tfcnn.evaluate import evaluate
from tfcnn.results import Options, detection, results_of
from tfcnn.run_directory import RunDirectory
from tfcnn.training import rcnn, recipes

FLAGS = {
    "dataset": "few_boxes",
    "dataset_module": "tests.few_boxes",
    "epochs": 1,
    "batch_size": 4,
    "warmup_epochs": 0.0,
}


def config_of(arch, out, **arguments):
    arguments = {"backbone": "lecture_cnn"} | arguments
    return recipes.resolve({"arch": arch, "width": 0.25, "out": str(out), "arch_args": arguments} | FLAGS)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("fast_rcnn") / "run"
    return train.run(config_of("fast_rcnn", out, stride=4, pool_size=2, units=16))


@pytest.fixture(scope="module")
def trained(run):
    return tfcnn.load(run)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A picture twice as wide as high, and its file."""
    pixels = np.full((60, 120, 3), 90, "uint8")
    pixels[10:40, 20:50] = (220, 40, 60)
    pixels[20:50, 70:100] = (30, 200, 240)
    path = tmp_path_factory.mktemp("images") / "two.png"
    Image.fromarray(pixels).save(path)
    return pixels, str(path)


@pytest.mark.slow
def test_evaluation_finds_the_scores_of_the_training_again(run):
    scores = evaluate(run, "test")
    metrics = run.read_metrics()
    assert scores["map50"] == pytest.approx(metrics["test_map50"], abs=1e-6)
    assert scores["map"] == pytest.approx(metrics["test_map"], abs=1e-6)
    assert sum(scores["boxes"].values()) == sum(len(row) for row in _true_boxes(run))
    for name, precisions in scores["precision_recall"].items():
        assert np.mean(precisions) == pytest.approx(scores["ap50"][name], abs=1e-3)
    assert {"precision-recall-test.png", "sheet-test.png"} <= {file.name for file in run.path.iterdir()}
    assert f"mAP@.5    {scores['map50']:.2%} of 8 test images" in detection.describe(scores)


@pytest.mark.slow
def test_history_has_the_mean_average_precision_of_each_epoch(run):
    """Of all validation images here, so that the epoch that is kept has the score of the evaluation."""
    (row,) = run.read_history()
    assert row["val_map50"] == pytest.approx(evaluate(run, "validation")["map50"], abs=1e-6)


def _true_boxes(run):
    import pipelines

    data = pipelines.load("few_boxes", task="detection", dataset_module="tests.few_boxes", batch_size=8)
    for _, targets in data.evaluation("test"):
        for labels in targets["labels"].numpy():
            yield labels[labels >= 0]


@pytest.mark.slow
def test_predict_writes_pictures_and_cocos_results(trained, image, tmp_path):
    _, path = image
    out = tmp_path / "out"
    lines = list(detection.predict(trained, trained.inputs.open([path]), Options(out=out)))
    assert len(lines) == 1
    assert lines[0].startswith(path)
    results = json.loads((out / "detections.json").read_text())
    assert results
    for row in results:
        x, y, width, height = row["bbox"]
        assert min(x, y) >= 0
        assert x + width <= 120 + 1e-3
        assert y + height <= 60 + 1e-3
        assert 1 <= row["category_id"] <= 6
    with Image.open(out / "two.png") as picture:
        assert picture.size == (960, 480)  # enlarged by eight


@pytest.mark.slow
def test_images_of_several_batches_have_rows_of_one_length(trained, image):
    """An empty image and one of two squares, whose detections differ in number, 33 images in all."""
    pixels, _ = image
    images = [np.full_like(pixels, 90)] * 32 + [pixels]
    rows = trained.predict(images)
    assert rows.shape == (33, 100, 6)
    np.testing.assert_allclose(rows[32:], trained.predict([pixels]), atol=1e-4)


@pytest.mark.slow
def test_the_saved_model_detects_what_the_run_detects(run, trained, image):
    """For an image of another aspect, its regions in its own pixels."""
    pixels, _ = image
    expected = detection.detect_in(trained, pixels)
    inputs = trained.inputs.from_pixels(pixels[None])
    network_pixels = np.clip(np.round(255 * (inputs * trained.facts["std"] + trained.facts["mean"])), 0, 255)
    regions = selective_search(network_pixels[0].astype("uint8"))
    frame = detection_frame(trained)
    own = frame.leave(tf.constant(regions), np.ones(len(regions), bool))
    loaded = run.load_saved_model()
    outputs = loaded.serve(pixels[None], own[None])
    count = len(expected["labels"])
    assert count > 0
    ready = loaded.serve_ready(inputs.astype("float32"), regions[None])
    np.testing.assert_allclose(ready["scores"][0, :count], expected["scores"], rtol=1e-4)
    np.testing.assert_array_equal(ready["class"][0, :count], expected["labels"])
    assert ready["class_name"][0, 0].numpy().decode() == trained.class_names[expected["labels"][0]]
    boxes = frame.leave(ready["boxes"], ready["class"] >= 0)
    np.testing.assert_allclose(boxes[0, :count], expected["boxes"], atol=1e-2)
    assert outputs["boxes"].shape[-1] == 4
    inside = outputs["boxes"].numpy()[outputs["class"].numpy() >= 0]
    assert (inside <= [120, 60, 120, 60]).all()


def detection_frame(trained):
    from tfcnn.results.frames import Frame

    return Frame.of(tf.constant([60, 120]), trained.facts)


@pytest.mark.slow
@pytest.mark.usefixtures("no_export")
def test_rcnn_goes_on_at_the_stage_where_it_was_stopped(tmp_path, monkeypatch, capsys):
    config = config_of("rcnn", tmp_path / "run", crop=16)

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rcnn, "fit_heads", stop)
        with pytest.raises(Interrupted, match="--resume --out"):
            train.run(config)
    run = RunDirectory(tmp_path / "run")
    assert (run.path / "features.npz").exists()
    assert not run.finished
    monkeypatch.setattr(rcnn, "extract", stop)  # the features are there
    monkeypatch.setattr("tfcnn.training.proposals.search_all", search_of_test_images)
    train.run(train.restore_config({"out": str(run.path), "resume": True}))
    assert run.finished
    assert not (run.path / "features.npz").exists()
    heads = np.load(run.path / "heads.npz")
    kernel, bias = rcnn.regions_network(run.load_model()).get_layer("logits").get_weights()
    np.testing.assert_array_equal(kernel, heads["svm_kernel"])
    np.testing.assert_array_equal(bias, heads["svm_bias"])
    assert kernel[:, :-1].any()
    assert not kernel[:, -1].any()
    assert 0 <= run.read_metrics()["test_map50"] <= 1


def search_of_test_images(images):
    """The search that may be asked for the eight test images alone: the others' regions are in the file."""
    images = list(images)
    assert len(images) == 8
    return search_all(iter(images))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"aa": "light"}, "mirrors images and augments them no further.*--aa"),
        ({"color_jitter": 0.3}, "--color-jitter"),
        ({"tensorboard": True}, "--tensorboard"),
        ({"class_weights": "balanced"}, "leave --class-weights balanced out"),
    ],
)
def test_flags_that_detectors_lack(flags, message, tmp_path):
    config = Config(**{"arch": "fast_rcnn", "aa": "none", "out": str(tmp_path / "run")} | FLAGS | flags)
    with pytest.raises(BadInput, match=message):
        train.run(config)
    assert not (tmp_path / "run").exists()


def test_the_score_of_an_image_is_its_f1():
    truth = {"boxes": np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]]), "labels": np.array([0, 0, 1])}
    found = {
        "boxes": np.array([[0, 0, 10, 9], [20, 0, 30, 10], [40, 0, 50, 10]]),  # hit, wrong class, too low a score
        "scores": np.array([0.9, 0.8, 0.4]),
        "labels": np.array([0, 1, 1]),
    }
    assert detection.f1(found, truth) == pytest.approx(2 * 1 / (3 + 2))
    nothing = {"boxes": np.zeros((0, 4)), "scores": np.zeros(0), "labels": np.zeros(0, int)}
    assert detection.f1(nothing, nothing) == 1
    assert detection.f1(nothing, truth) == 0


@pytest.mark.slow
def test_the_server_answers_in_pixels_of_each_image(trained, image):
    pixels = [image[0], image[0][:, :60].copy()]
    respond = results_of("detection").respond(trained.model, trained.facts)
    inputs = np.concatenate([trained.inputs.from_pixels(each[None]) for each in pixels])
    answer = respond(inputs, np.array([each.shape[:2] for each in pixels], np.int32))
    for number, each in enumerate(pixels):
        alone = detection.detect_in(trained, each)
        count = len(alone["scores"])
        assert count > 0
        np.testing.assert_allclose(answer["boxes"][number, :count], alone["boxes"], atol=1e-3)
        np.testing.assert_array_equal(answer["class"][number, :count], alone["labels"])
        assert answer["class_name"][number].tolist()[:count] == [trained.class_names[n] for n in alone["labels"]]
        assert (answer["class"][number, count:] == -1).all()
