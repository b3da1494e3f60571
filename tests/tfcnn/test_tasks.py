"""Segmentation and reconstruction train from end to end, on tiny arrays instead of a data set."""

import contextlib
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfcnn
from tfcnn import predict, train
from tfcnn.cli.signals import Interrupted
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.export import savedmodel
from tfcnn.training import fused_kernels, recipes
from tfcnn.training.checkpoint import Checkpoints
from tfcnn.training.fit import build_model
from tfcnn.training.progress import Progress
from tfcnn.training.weight_average import WeightAverage

pytestmark = pytest.mark.slow


class Arrays:
    """The part of pipelines.dataset.Data that training uses: 24 images of 16 x 16 with a bright square."""

    name = "squares"
    image_shape = (16, 16, 1)
    sizes = {"train": 16, "validation": 4, "test": 4}  # noqa: RUF012
    mean = (0.25,)
    std = (0.5,)
    value_range = (0, 255)
    fit = "crop"
    storage = "in memory"
    notes = ()
    bad = ()
    steps_per_epoch = 4
    fingerprint = "squares"

    def __init__(self, task):
        rng = np.random.default_rng(0)
        pixels = rng.uniform(0, 0.3, (24, 16, 16, 1))
        masks = np.zeros((24, 16, 16), "int32")
        corners = rng.integers(1, 8, (24, 2))
        for image, mask, (y, x) in zip(pixels, masks, corners, strict=True):
            image[y : y + 7, x : x + 7] += 0.6
            mask[y : y + 7, x : x + 7] = 1
            mask[0] = 255
        self.images = ((pixels - self.mean) / self.std).astype("float32")
        labels = np.eye(2, dtype="float32")[(corners[:, 1] > 4).astype(int)]
        self.targets = {"segmentation": masks, "reconstruction": self.images, "classification": labels}[task]
        self.task = task
        self.class_names = None if task == "reconstruction" else ("ground", "square")
        self.num_classes = self.class_names and 2

    def facts(self):
        fields = ("name", "task", "image_shape", "num_classes", "class_names", "sizes", "mean", "std")
        fields += ("value_range", "fit", "storage", "notes", "bad", "fingerprint")
        return {name: getattr(self, name) for name in fields}

    def _part(self, part):
        return tf.data.Dataset.from_tensor_slices((self.images[part], self.targets[part])).batch(4)

    def labels(self, split):
        return None

    def of_one_process(self):
        return self

    def train(self, epochs=1, first_epoch=0, first_step=0):
        return self._part(slice(0, 16)).repeat(epochs).skip(first_step)

    def evaluation(self, split="test"):
        return self._part({"validation": slice(16, 20), "test": slice(20, 24)}[split])


def run_on_arrays(config, task):
    """Trains as `config` says on `Arrays`; the run directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "load_data", lambda config: Arrays(task))
        return train.run(config)


def train_on_arrays(folder, task, **flags):
    """Trains on `Arrays` with these flags; the run directory."""
    defaults = {"out": str(folder), "warmup_epochs": 0, "batch_size": 4}
    return run_on_arrays(recipes.resolve(defaults | flags), task)


@pytest.fixture
def run(tmp_path):
    """Trains on `Arrays` into a folder of the test."""

    def start(task, name="run", **flags):
        return train_on_arrays(tmp_path / name, task, **flags)

    return start


UNET = {"arch": "unet", "width": 0.125, "arch_args": {"levels": 2}, "epochs": 12}
AUTOENCODER = {"arch": "conv_autoencoder", "width": 0.25, "lr": 0.01, "epochs": 4}


@pytest.fixture(scope="module")
def segmentation(tmp_path_factory):
    """A finished run, and what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        directory = train_on_arrays(tmp_path_factory.mktemp("unet") / "run", "segmentation", **UNET)
    return directory, output.getvalue()


@pytest.fixture(scope="module")
def reconstruction(tmp_path_factory):
    """A finished run, and what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        directory = train_on_arrays(tmp_path_factory.mktemp("autoencoder") / "run", "reconstruction", **AUTOENCODER)
    return directory, output.getvalue()


def test_segmentation_learns_by_the_default_recipe(segmentation):
    directory, _ = segmentation
    rows = directory.read_history()
    assert directory.read_metrics()["test_mean_iou"] > 0.6  # a mask of ground alone: 0.38
    assert rows[-1]["val_loss"] < rows[0]["val_loss"]


def test_segmentation_prints_its_headline_metric(segmentation):
    directory, output = segmentation
    metrics = directory.read_metrics()
    rows = directory.read_history()
    assert f"test mean IoU      {metrics['test_mean_iou']:.2%} of 4 images" in output
    assert f"validation mean IoU {metrics['val_mean_iou']:.2%}" in output
    assert f"val_mean_iou {rows[0]['val_mean_iou']:.4f}" in output
    assert ", 2 classes" in output


def test_metrics_of_segmentation_are_those_of_numpy(segmentation):
    directory, _ = segmentation
    metrics = directory.read_metrics()
    data = Arrays("segmentation")
    model = directory.load_model()
    labels = data.targets[20:]
    predicted = model.predict(data.images[20:], verbose=0).argmax(-1)
    valid = labels != 255
    correct = (labels == predicted) & valid
    ious = [(correct & (labels == c)).sum() / (((labels == c) | (predicted == c)) & valid).sum() for c in (0, 1)]
    assert metrics["test_mean_iou"] == pytest.approx(np.mean(ious), rel=1e-5)
    assert metrics["test_pixel_accuracy"] == pytest.approx(correct.sum() / valid.sum(), rel=1e-5)


def test_curves_of_segmentation_are_drawn(segmentation):
    directory, _ = segmentation
    with Image.open(directory.curves) as picture:
        assert picture.width > 800


def test_class_names_of_a_run_of_segmentation_are_refused(segmentation):
    directory, _ = segmentation
    with pytest.raises(BadInput, match=r"is for segmentation; this command takes runs for classification \(RUN\)"):
        predict.predict(directory, [])


@pytest.mark.parametrize(("flag", "takers"), [("top", "classification"), ("inference", "segmentation")])
def test_a_flag_of_another_task_is_refused(reconstruction, flag, takers):
    directory, _ = reconstruction
    with pytest.raises(BadInput, match=rf"^--{flag} is for runs of {takers}; the run in .* is for reconstruction"):
        predict.check_flag(directory, flag)


def test_the_sheet_is_drawn_at_the_end_of_training(segmentation, reconstruction):
    for directory, _ in (segmentation, reconstruction):
        with Image.open(directory.sheet) as picture:
            assert min(picture.size) > 300


def test_the_savedmodel_of_segmentation_returns_classes(segmentation):
    directory, _ = segmentation
    served = tf.saved_model.load(directory.saved_model)
    assert served.serve_ready(tf.constant(Arrays("segmentation").images[:2]))["class"].shape == (2, 16, 16)


def test_reconstruction_learns(reconstruction):
    directory, _ = reconstruction
    rows = directory.read_history()
    assert rows[-1]["val_psnr"] > rows[0]["val_psnr"]


def test_reconstruction_prints_its_headline_metric(reconstruction):
    directory, output = reconstruction
    assert f"test PSNR          {directory.read_metrics()['test_psnr']:.2f} dB of 4 images" in output
    assert "classes" not in output


def test_metrics_of_reconstruction_are_those_of_numpy(reconstruction):
    directory, _ = reconstruction
    metrics = directory.read_metrics()
    images = Arrays("reconstruction").images[20:]
    errors = ((images - directory.load_model().predict(images, verbose=0)) * 0.5).reshape(4, -1)
    assert metrics["test_psnr"] == pytest.approx(-10 * np.log10((errors**2).mean(1)).mean(), rel=1e-4)
    assert metrics["test_mae"] == pytest.approx(np.abs(errors).mean() * 2, rel=1e-4)


def test_the_savedmodel_of_reconstruction_returns_pixels(reconstruction):
    directory, _ = reconstruction
    images = Arrays("reconstruction").images[20:]
    outputs = directory.load_model().predict(images, verbose=0)
    served = tf.saved_model.load(directory.saved_model)
    pixels = served.serve_ready(tf.constant(images))["image"]
    np.testing.assert_allclose(pixels, np.clip((outputs * 0.5 + 0.25) * 255, 0, 255), atol=0.1)


def test_a_loss_of_another_task_is_refused(run):
    with pytest.raises(BadInput, match=r"unknown loss of segmentation 'hinge'"):
        run("segmentation", loss="hinge", **UNET)


def test_drop_path_is_refused_where_no_block_is_left_out(run):
    with pytest.raises(BadInput, match=r"unet leaves no blocks out"):
        run("segmentation", drop_path=0.1, **UNET)


LENET = {"arch": "lenet5", "epochs": 3, "model_ema": 0.9, "grad_accum_steps": 2, "l2": 1e-3, "max_norm": 2, "lr": 0.01}


def smoothed_cross_entropy(model, images, targets):
    log_p = tf.nn.log_softmax(model(images)).numpy()
    return -((0.9 * targets + 0.1 / 2) * log_p).sum(-1).mean()


@pytest.fixture(scope="module")
def averaged_run(tmp_path_factory):
    """A finished run with a moving average."""
    return train_on_arrays(tmp_path_factory.mktemp("average") / "run", "classification", **LENET | {"l2": 0})


def test_the_average_is_validated_and_kept(averaged_run):
    data = Arrays("classification")
    rows = averaged_run.read_history()
    model = averaged_run.load_model()
    validation = smoothed_cross_entropy(model, data.images[16:20], data.targets[16:20])
    assert validation == pytest.approx(min(row["val_loss"] for row in rows), rel=1e-5)
    test = smoothed_cross_entropy(model, data.images[20:], data.targets[20:])
    assert averaged_run.read_metrics()["test_loss"] == pytest.approx(test, rel=1e-5)


def test_the_average_is_exported(averaged_run):
    images = Arrays("classification").images
    model = averaged_run.load_model()
    served = tf.saved_model.load(averaged_run.saved_model)
    probabilities = served.serve_ready(tf.constant(images))["probabilities"]
    np.testing.assert_allclose(probabilities, tf.nn.softmax(model(images)), atol=1e-5)


def test_a_checkpoint_has_the_average_and_the_weights_of_training(averaged_run):
    data = Arrays("classification")
    rows = averaged_run.read_history()
    validation = data.images[16:20], data.targets[16:20]
    model, _ = build_model(Config(**averaged_run.read_config()["config"]), data)
    average = WeightAverage(model, 0.9)
    assert Checkpoints(model, averaged_run.checkpoints, average.averages).restore()[0] == 3
    assert abs(smoothed_cross_entropy(model, *validation) - rows[-1]["val_loss"]) > 1e-4
    with average.in_place():
        assert smoothed_cross_entropy(model, *validation) == pytest.approx(rows[-1]["val_loss"], rel=1e-5)


def test_resume_with_every_state_gives_the_uninterrupted_run(run, monkeypatch, tmp_path):
    """Average, accumulated gradients, penalty and largest norm: all are there again."""
    monkeypatch.setattr(savedmodel, "export_savedmodel", lambda *args: None)  # takes seconds and is not tested here
    whole = run("classification", "whole", **LENET)
    begin = Progress.on_epoch_begin

    def stop(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt
        begin(self, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_epoch_begin", stop)
        with pytest.raises(Interrupted, match="--resume --out") as caught:
            run("classification", "part", **LENET)
    assert caught.value.exit_code == 130
    part = run_on_arrays(train.restore_config({"resume": True, "out": str(tmp_path / "part")}), "classification")
    columns = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
    first, second = ([[row[c] for c in columns] for row in r.read_history()] for r in (whole, part))
    np.testing.assert_allclose(second, first, rtol=1e-5)
    assert part.read_metrics()["test_accuracy"] == whole.read_metrics()["test_accuracy"]
    assert part.read_config()["config"]["resume"] is False
    for a, b in zip(whole.load_model().get_weights(), part.load_model().get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_dense_convolutions_train_in_bfloat16_where_the_cpu_multiplies_in_it(run, capsys, monkeypatch):
    monkeypatch.setattr(savedmodel, "export_savedmodel", lambda *args: None)
    monkeypatch.setattr(fused_kernels, "multiplies_bfloat16", lambda: True)
    directory = run("segmentation", **UNET | {"epochs": 1, "width": 1})
    assert directory.read_config()["recipe"]["precision"] == "mixed_bfloat16"
    assert "mixed_bfloat16 (--precision float32 for full precision)" in capsys.readouterr().out
    assert directory.load_model().layers[1].compute_dtype == "bfloat16"


@pytest.fixture(scope="module")
def fast(tmp_path_factory):
    """A finished run of --recipe fast --epochs 2, and what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as output, pytest.MonkeyPatch.context() as patch:
        patch.setattr(savedmodel, "export_savedmodel", lambda *args: None)
        out = tmp_path_factory.mktemp("fast") / "run"
        directory = train_on_arrays(out, "classification", arch="lenet5", recipe="fast", epochs="2")
    return directory, output.getvalue()


def test_config_json_keeps_the_recipe_and_its_values(fast):
    directory, _ = fast
    config = directory.read_config()["config"]
    assert (config["recipe"], config["epochs"], config["width"]) == ("fast", 2, recipes.FAST["width"])
    network = tfcnn.build("lenet5", (16, 16, 1), 2, width=0.5)
    assert directory.read_metrics()["parameters"] == network.count_params()


def test_the_recipe_is_printed(fast):
    _, output = fast
    assert "recipe     fast: adamw" in output


def test_columns_of_the_history(fast):
    directory, _ = fast
    assert list(directory.read_history()[0])[:3] == ["epoch", "accuracy", "loss"]


def test_resume_refuses_another_recipe(fast):
    directory, _ = fast
    with pytest.raises(BadInput, match="was started with --recipe fast, not paper"):
        train.restore_config({"resume": True, "out": str(directory.path), "recipe": "paper", "arch": "lenet5"})
