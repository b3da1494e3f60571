import errno
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pipelines
from pipelines import show


@pytest.fixture
def draw_batch(tmp_path):
    """Runs the command with a picture to draw; returns its pixels."""

    def draw(*arguments):
        path = tmp_path / "batch.png"
        assert show.main([*arguments, "--out", str(path)]) == 0
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB")).astype(int)

    return draw


def colours(pixels):
    """The share of the pixels that are far from grey."""
    return (pixels.max(-1) - pixels.min(-1) > 60).mean()


@pytest.fixture
def scenes(tmp_path):
    """Grey squares on black: images and masks in two folders."""
    for i in range(12):
        folder = tmp_path / "scenes" / {10: "validation", 11: "test"}.get(i, "train")
        for kind in ("images", "masks"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        mask = np.zeros((40, 40), np.uint8)
        mask[10:30, 10 + i : 25 + i] = 1
        Image.fromarray(mask * 90).save(folder / "images" / f"{i}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{i}.png")
    return str(tmp_path / "scenes")


@pytest.mark.slow
def test_a_batch_of_digits(draw_batch):
    first = draw_batch("--count", "8")
    augmented = draw_batch("--count", "8", "--epoch", "1")
    plain = draw_batch("--split", "test")
    assert colours(first) == 0
    assert first.shape == augmented.shape
    assert (first != augmented).any()
    assert plain.shape != first.shape  # 32 in four rows


@pytest.mark.slow
def test_masks_are_drawn_over_their_images(draw_batch, scenes):
    assert colours(draw_batch("--dataset", scenes, "--count", "4", "--image-size", "40")) > 0.1


class Shown:
    """Data of one batch, drawn as they are."""

    name = "shown"
    mean = (0.0,)
    std = (1.0,)

    def __init__(self, task, class_names, inputs, targets):
        self.task = task
        self.class_names = class_names
        self.num_classes = len(class_names)
        self.batch = (inputs, targets)

    def evaluation(self, split):
        return tf.data.Dataset.from_tensors(self.batch)


def test_boxes_are_drawn_and_named(tmp_path):
    """One box on a black image, for each of two examples."""
    boxes = [[[5.0, 10.0, 25.0, 20.0]], [[-1.0] * 4]]
    targets = {"boxes": boxes, "labels": [[1], [-1]]}
    path = tmp_path / "boxes.png"
    show.draw_batch(Shown("detection", ("cat", "dog"), np.zeros((2, 30, 30, 1)), targets), path, "test")
    with Image.open(path) as image:
        left, right = np.array_split(np.asarray(image.convert("RGB")).astype(int), 2, axis=1)
    assert colours(left) > 0.002
    assert colours(right) == 0


def test_the_background_stays_as_it_is(tmp_path, figures):
    half = Shown("segmentation", ("background", "thing"), np.zeros((1, 2, 2, 1)), [[[0, 1], [0, 1]]])
    show.draw_batch(half, tmp_path / "half.png", "test")
    overlay = figures[0].axes[0].images[-1].get_array()
    assert overlay[..., 3].tolist() == [[0, 0.5], [0, 0.5]]
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == ["thing", "ignored"]


def test_a_tone_is_drawn_as_a_line_at_its_frequency(tmp_path, figures):
    sound = np.sin(2 * np.pi * np.arange(8000.0) / 8)[None, :, None]
    show.draw_batch(Shown("classification", ("tone", "other"), sound, [[1.0, 0.0]]), tmp_path / "tone.png", "test")
    drawn = figures[0].axes[0].images[0].get_array()
    assert (drawn.argmax(0) == len(drawn) - 1 - 32).all()  # a quarter of the 128 frequencies


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(400, 1), (8, 8, 8, 1)])
def test_sounds_and_volumes(draw_batch, tmp_path, shape):
    rng = np.random.default_rng(0)
    values = rng.integers(-9999, 9999, (30, *shape)).astype(np.int16)
    inputs = values if len(shape) == 2 else (values > 0).astype(np.uint8) * 255
    np.savez(tmp_path / "few.npz", x=inputs, y=np.arange(30) % 3)
    assert draw_batch("--dataset", str(tmp_path / "few.npz"), "--count", "6").std() > 10


@pytest.mark.slow
def test_the_histogram(scenes, tmp_path):
    data = pipelines.load("digits")
    lines = show.histogram(data).splitlines()
    assert lines[0].split() == ["examples", "train", "validation", "test"]
    assert [int(line.split()[1].replace(",", "")) for line in lines[1:11]] == data.counts().tolist()
    assert lines[-1].split() == ["1,257", "180", "360"]
    masks = pipelines.load(scenes, batch_size=2, data_dir=str(tmp_path))
    assert masks.counts("train").tolist() == [10 * (1600 - 300), 10 * 300]
    assert show.histogram(masks).startswith("pixels")


def test_bad_input(capsys, tmp_path):
    assert show.main(["--dataset", "digitz", "--stats"]) == 2
    assert capsys.readouterr().err == "error: unknown data set 'digitz'; did you mean digits? (--dataset)\n"
    assert show.main(["--out", str(tmp_path / "nowhere" / "batch.png")]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert show.main([]) == 2
    assert "give --out FILE.png, --stats, or both" in capsys.readouterr().err


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved in this test."""
    from matplotlib.figure import Figure

    kept = []
    save = Figure.savefig

    def keep(figure, path, **options):
        kept.append(figure)
        save(figure, path, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def test_names_are_drawn_as_they_are(tmp_path, figures):
    class Two:
        task = "classification"
        name = "a$$b/c"
        class_names = ("$5_to_$9", "c" * 50)
        num_classes = 2
        mean = (0.0,)
        std = (1.0,)

        def evaluation(self, split):
            import tensorflow as tf

            targets = tf.one_hot([0, 1], 2)
            return tf.data.Dataset.from_tensor_slices((tf.zeros((2, 30, 30, 1)), targets)).batch(2)

    show.draw_batch(Two(), tmp_path / "a.png", "test")
    (figure,) = figures
    texts = [text.get_text() for axes in figure.axes for text in (axes.title, *axes.texts)]
    assert [text for text in texts if text] == [r"\$5_to_\$9", "c" * 11 + "…" + "c" * 10]
    assert figure.get_suptitle() == r"a\$\$b/c, test: not augmented"


@pytest.mark.slow
def test_a_picture_on_a_full_disk(capsys, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    def fill(figure, path, **options):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Figure, "savefig", fill)
    path = tmp_path / "batch.png"
    assert show.main(["--out", str(path)]) == 2
    assert capsys.readouterr().err == (
        f"error: '{path}': No space left on device; make room, then run the same command again\n"
    )
    assert list(tmp_path.iterdir()) == []
