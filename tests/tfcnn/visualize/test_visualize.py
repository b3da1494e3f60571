"""`python -m tfcnn.visualize`: of a run, and of a network with real weights."""

from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from tfcnn.config import Config
from tfcnn.visualize import looks, points, randomisation, subject

CHELSEA = Path(skimage.__file__).parent / "data" / "chelsea.png"
DIGIT, OTHER_DIGIT = (Path(__file__).parents[2] / "scans" / f"digit-{digit}.png" for digit in (3, 5))


@pytest.mark.slow
def test_every_look_at_a_run_is_drawn(finished_run, tmp_path, call_command):
    out = tmp_path / "looks"
    what = [name for name in looks.LOOKS if name not in ("maximisation", "batch_norm")]  # LeNet-5 has none
    line = [finished_run.path, "--images", DIGIT, OTHER_DIGIT, "--out", out, "--what", *what]
    process = call_command("tfcnn.visualize.__main__", *line)
    assert (process.returncode, process.stderr) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == sorted(f"{name}.png" for name in what)
    for name in what:
        assert np.ptp(np.asarray(Image.open(out / f"{name}.png"))) > 100
        assert f"{out}/{name}.png" in process.stdout


@pytest.fixture(scope="module")
def squeezenet():
    return subject.of_weights(Config(arch="squeezenet1_1", weights="imagenet"))


@pytest.mark.slow
def test_grad_cam_of_the_cat_lies_on_the_cat(squeezenet):
    """The photograph is all cat: against it stands a grey image with the cat in one quarter."""
    cat = np.asarray(Image.open(CHELSEA).convert("RGB").crop((100, 0, 400, 300)).resize((113, 113)))
    canvas = np.full((1, 227, 227, 3), 124, np.uint8)
    canvas[0, 114:, 114:] = cat
    inputs = squeezenet.inputs.from_arrays(canvas)
    target = points.Target(channel=squeezenet.class_names.index("Egyptian cat"))
    heat = looks.attribution.grad_cam(squeezenet.model, inputs, target)[0]
    half = heat.shape[0] // 2
    assert heat[half:, half:].sum() > 0.7 * heat.sum()


@pytest.mark.slow
def test_pictures_that_do_not_show_what_was_learned(squeezenet):
    """Adebayo et al. 2018: with every weight random the deconvnet stays more alike than the gradient."""
    images = squeezenet.read([str(CHELSEA)])
    target = points.Target(channel=squeezenet.class_names.index("Egyptian cat"))
    methods = [looks.attribution.deconvnet, looks.attribution.gradient]
    learned = [method(squeezenet.model, images, target) for method in methods]
    rng = np.random.default_rng(0)
    with randomisation.weights_kept(squeezenet.model):
        weights = squeezenet.model.get_weights()
        squeezenet.model.set_weights([randomisation.redraw(w, rng) for w in weights])
        drawn = [method(squeezenet.model, images, target) for method in methods]
    deconvnet, gradient = (randomisation.similarity(*pair) for pair in zip(learned, drawn, strict=True))
    assert deconvnet > gradient + 0.1
