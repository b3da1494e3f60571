"""FCN: sizes and cuts of the authors' files, bilinear up-sampling, transfer from stage to stage."""

import itertools

import keras
import numpy as np
import pytest

import tfcnn
from tfcnn import cost
from tfcnn.arithmetic.sizes import receptive_field
from tfcnn.errors import BadInput
from tfcnn.models.segmentation.fcn import OFFSET, transfer

SMALL = {"width": 0.02, "depth": 0.3, "dropout": 0.0}


def weightless(arch, *args, **overrides):
    with cost.weightless():
        return tfcnn.build(arch, *args, **overrides)


def side(model, layer):
    return model.get_layer(layer).output.shape[1]


def test_sizes_of_the_authors_files():
    """500 pixels: caffe prints 16 cells of score_fr, and 544, 560 and 568 pixels before the cut."""
    sides = {}
    for stride in (32, 16, 8):
        model = weightless(f"fcn{stride}s")
        sides[stride] = (side(model, "score_fr"), side(model, f"upscore{stride}"))
        assert model.output_shape == (None, 500, 500, 21)
    assert sides == {32: (16, 544), 16: (16, 560), 8: (16, 568)}
    assert [side(model, name) for name in ("upscore2", "score_pool4", "upscore_pool4", "score_pool3")] == [
        34,
        44,
        70,
        88,
    ]


@pytest.mark.parametrize("stride", [32, 16, 8])
def test_the_cut_costs_nothing(stride):
    cut, whole = (cost.cost_table(weightless(f"fcn{stride}s", crop=crop)) for crop in (True, False))
    assert (cut.params, cut.macs) == (whole.params, whole.macs)


def centre_of_first_cell(rows):
    """Place in the image, in pixels, of the middle of what cell 0 sees."""
    size, _, padding = receptive_field(rows)
    return (size - 1) / 2 - padding


def test_cuts_put_scores_over_the_pixels_that_they_see():
    """The authors' offsets, from the arithmetic of VGG-16's convolutions with a border of 100."""
    blocks = [[(3, 1, 1)] * n + [(2, 2)] for n in (2, 2, 3, 3, 3)]
    blocks[0][0] = (3, 1, 100)
    rows = [list(itertools.chain(*blocks[:n])) for n in (3, 4, 5)]
    pool3, pool4, score_fr = (centre_of_first_cell(r) for r in (*rows[:2], [*rows[2], (7,)]))
    # Up-sampling by f has the middle of cell 0 between its pixels f - 1 and f.
    upscore2 = score_fr - 1.5 * 16
    upscore_pool4 = upscore2 - 1.5 * 8
    assert {
        "score_pool4": (upscore2 - pool4) / 16,
        "score_pool3": (upscore_pool4 - pool3) / 8,
        32: 31.5 - score_fr,
        16: 15.5 - upscore2,
        8: 7.5 - upscore_pool4,
    } == OFFSET


@pytest.mark.parametrize("form", ["paper", "same"])
@pytest.mark.parametrize("factor", [2, 8, 16, 32])
def test_up_sampling_starts_as_bilinear_interpolation(factor, form):
    stride = {2: 16}.get(factor, factor)
    model = tfcnn.build(f"fcn{stride}s", (64, 64, 3), 3, form=form, **SMALL)
    layer = model.get_layer(f"upscore{factor}")
    maps = np.random.default_rng(0).normal(size=(5, 6, 3)).astype("float32")
    actual = np.array(layer(maps[None]))[0]
    before = 0 if form == "same" else factor // 2  # without padding the map is larger, half a cell each side
    expected = maps
    for axis in (0, 1):
        places = (np.arange(actual.shape[axis]) - before + 0.5) / factor - 0.5
        cells = np.arange(maps.shape[axis])
        expected = np.apply_along_axis(lambda line, p=places, c=cells: np.interp(p, c, line), axis, expected)
    inside = slice(before + factor // 2, -(before + factor // 2))  # zeros are mixed in at the border
    np.testing.assert_allclose(actual[inside, inside], expected[inside, inside], atol=1e-5)


def randomise(model):
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.weights and not layer.name.startswith("upscore"):
            layer.set_weights([w + 0.1 * rng.normal(size=w.shape) for w in layer.get_weights()])
    return model


@pytest.mark.slow
@pytest.mark.parametrize("form", ["paper", "same"])
@pytest.mark.parametrize(("coarse", "fine"), [(32, 16), (16, 8)])
def test_a_stage_starts_with_the_predictions_of_the_one_before(coarse, fine, form):
    """Interpolating twice cuts the corners at the coarse cells' centres; farther than a quarter of a cell from them the
    two predictions are the same."""
    shape = (192, 224, 3)
    source = randomise(tfcnn.build(f"fcn{coarse}s", shape, 4, form=form, **SMALL))
    target = tfcnn.build(f"fcn{fine}s", shape, 4, form=form, **SMALL)
    transfer(source, target)
    image = np.random.default_rng(1).normal(size=(1, *shape)).astype("float32")
    expected, actual = (model.predict_on_batch(image)[0] for model in (source, target))
    assert expected.std() > 0
    first = {"paper": {32: 12.5, 16: -11.5}, "same": {32: 15.5, 16: 7.5}}[form][coarse]
    keep = [abs((np.arange(n) - first) % coarse - coarse / 2) <= coarse / 4 for n in shape[:2]]
    edge = coarse if form == "same" else 0  # zeros beyond the last cell, which the border of the paper's form holds
    keep = [k & (np.arange(len(k)) >= edge) & (np.arange(len(k)) < len(k) - edge) for k in keep]
    assert min(map(sum, keep)) > 40
    window = np.ix_(*keep)
    np.testing.assert_allclose(actual[window], expected[window], rtol=1e-4, atol=1e-4 * abs(expected).max())


def test_what_a_stage_has_learned_goes_on():
    source = randomise(tfcnn.build("fcn16s", (64, 64, 3), 4, form="same", **SMALL))
    target = tfcnn.build("fcn8s", (64, 64, 3), 4, form="same", **SMALL)
    transfer(source, target)
    assert np.ptp(source.get_layer("score_pool4").get_weights()[0]) > 0
    for name in ("score_pool4", "upscore2", "score_fr", "fc7"):
        for a, b in zip(source.get_layer(name).get_weights(), target.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    assert np.ptp(target.get_layer("score_pool3").get_weights()[0]) == 0


@pytest.mark.slow
def test_the_file_of_a_stage_gives_its_weights_to_the_next(tmp_path, caplog):
    source = randomise(tfcnn.build("fcn32s", (64, 64, 3), 4, form="same", **SMALL))
    source.save(tmp_path / "coarse.keras")
    target = tfcnn.build("fcn8s", (64, 64, 3), 4, form="same", weights=str(tmp_path / "coarse.keras"), **SMALL)
    for name in ("score_fr", "fc7"):
        for a, b in zip(source.get_layer(name).get_weights(), target.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    assert "left fresh: upscore2, score_pool4, upscore_pool4, score_pool3, upscore8 (fcn32s has none)" in caplog.text


def test_the_file_of_a_stage_of_another_width_is_refused(tmp_path):
    tfcnn.build("fcn32s", (64, 64, 3), 4, form="same", width=0.05, depth=0.3).save(tmp_path / "coarse.keras")
    with pytest.raises(BadInput, match=r"fcn32s do not fit those of fcn16s.*\(--weights\)"):
        tfcnn.build("fcn16s", (64, 64, 3), 4, form="same", weights=str(tmp_path / "coarse.keras"), **SMALL)


@pytest.mark.parametrize("arch", ["fcn32s", "dilated_vgg16"])
def test_a_classifier_becomes_a_convolution(arch):
    """The middle cell of fc7 sees the whole image at 224 pixels, and is VGG's second hidden layer."""
    small = {"width": 0.02, "depth": 0.3}
    classifier = randomise(tfcnn.build("vgg16", (224, 224, 3), 7, **small))
    target = tfcnn.build(arch, (224, 224, 3), 4, form="same", **small)
    score = next(layer for layer in target.layers if layer.name in ("score_fr", "logits")).get_weights()[0]
    transfer(classifier, target)
    np.testing.assert_array_equal(
        next(layer for layer in target.layers if layer.name in ("score_fr", "logits")).get_weights()[0], score
    )
    if arch == "fcn32s":
        hidden = keras.Model(classifier.input, classifier.get_layer("logits").input)
        fc7 = keras.Model(target.input, target.get_layer("fc7").output)
        image = np.random.default_rng(1).normal(size=(1, 224, 224, 3)).astype("float32")
        expected = hidden.predict_on_batch(image)[0]
        assert expected.std() > 0
        np.testing.assert_allclose(fc7.predict_on_batch(image)[0, 3, 3], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "build_source",
    [
        lambda: tfcnn.build("vgg16", (64, 64, 3), 7, width=0.02),  # fc6 of 2x2
        lambda: tfcnn.build("vgg11", (224, 224, 3), 7, width=0.02),
        lambda: tfcnn.build("vgg16_bn", (224, 224, 3), 7, width=0.02),
        lambda: tfcnn.build("fcn32s", (64, 64, 3), 4, width=0.005),
        lambda: tfcnn.build("fcn32s", (64, 64, 3), 5, width=0.02),
    ],
)
def test_a_source_that_does_not_fit_is_named_and_changes_nothing(build_source):
    source = build_source()
    target = tfcnn.build("fcn16s", (64, 64, 3), 4, width=0.02)
    before = target.get_weights()
    with pytest.raises(ValueError, match=f"{source.name} do not fit those of fcn16s"):
        transfer(source, target)
    for a, b in zip(before, target.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_bad_arguments():
    with pytest.raises(BadInput, match=r"unknown form 'valid'.*paper, same"):
        weightless("fcn32s", form="valid")
    with pytest.raises(BadInput, match="stride must be 32, 16 or 8"):
        weightless("fcn32s", stride=4)


def test_batch_norm_has_the_convolutions_of_vgg16_bn():
    """Twice the filters of a convolution, and as many moving statistics, for each of the 13."""
    plain, normalised = (weightless("fcn8s", form="same", batch_norm=batch_norm) for batch_norm in (False, True))
    filters = 2 * 64 + 2 * 128 + 3 * 256 + 6 * 512
    assert normalised.count_params() - plain.count_params() == 4 * filters
