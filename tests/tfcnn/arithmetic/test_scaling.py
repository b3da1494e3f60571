import dataclasses
import itertools
from fractions import Fraction

import keras
import numpy as np
import pytest

import pipelines
from tfcnn import describe
from tfcnn.arithmetic.scaling import (
    EFFICIENTNET,
    Constants,
    compound,
    compound_grid,
    constants_of,
    scale_depth,
    scale_width,
)
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.models import registry
from tfcnn.training.data import load_data
from tfcnn.training.fit import build_model
from tuning.scaling.runs import cost_of


@pytest.mark.parametrize("channels", [*range(1, 40), 84, 120, 728, 1280])
def test_scaled_widths_grow_with_the_multiplier(channels):
    """Never less for more, 90 % of the product, and for multiples of 8 the rule of MobileNet's authors."""
    widths = [percent / 100 for percent in range(1, 401)]
    scaled = [scale_width(channels, width) for width in widths]
    assert scaled == sorted(scaled)
    assert scaled[99] == channels
    assert all(filters >= 0.9 * channels * width for filters, width in zip(scaled, widths, strict=True))
    if channels % 8 == 0:
        assert scaled == [make_divisible(channels * width) for width in widths]


def make_divisible(v, divisor=8):
    """As in slim's MobileNet: the nearest multiple, and the next one where that is below 0.9 v."""
    nearest = max(divisor, int(v + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * v else nearest


def test_a_depth_that_rounding_takes_past_a_whole_number():
    """50 times 1.1 is 55.00000000000001 in float64."""
    assert 50 * 1.1 > 55
    assert scale_depth(50, 1.1) == 55


def test_compound_scaling():
    """Section 3.3: alpha beta^2 gamma^2 is about 2; b0 is phi = 0."""
    assert EFFICIENTNET.work == pytest.approx(1.92027)
    assert compound(0) == (1, 1, 224)
    width, depth, resolution = compound(3)
    assert depth * width**2 * (resolution / 224) ** 2 == pytest.approx(1.92027**3)
    assert (width, depth, resolution) == pytest.approx((1.331, 1.728, 224 * 1.520875))


@pytest.mark.parametrize(("step", "tolerance"), [("0.05", "0.1"), ("0.1", "0.1"), ("0.25", "0.3"), ("0.05", "0.08")])
def test_the_grid_is_every_point_within_the_tolerance(step, tolerance):
    """Counted in fractions. The paper's own constants have 1.92027: in by a tolerance of 0.08, not of 0.07."""
    ticks = [1 + Fraction(step) * i for i in range(60)]
    expected = [
        (float(a), float(b), float(c))
        for a, b, c in itertools.product(ticks[:45], ticks[:15], ticks[:15])
        if abs(a * b**2 * c**2 - 2) <= Fraction(tolerance)
    ]
    grid = compound_grid(float(step), float(tolerance))
    assert len(grid) >= 3
    assert grid == expected
    assert (EFFICIENTNET in grid) == (step == "0.05")


@pytest.mark.parametrize(("step", "tolerance"), [(0, 0.1), (-0.1, 0.1), (0.1, 0)])
def test_a_grid_that_cannot_be(step, tolerance):
    with pytest.raises(ValueError, match="must be above 0"):
        compound_grid(step, tolerance)


def test_constants_in_a_text():
    assert constants_of("1.2,1.1,1.15") == EFFICIENTNET
    assert constants_of(str(Constants(1.05, 2.0, 1.0))) == (1.05, 2, 1)
    for text in ("1.2,1.1", "1,1,1,1", "0.9,1,1", "5,1,1", "nan,1,1", "a,b,c", ""):
        assert constants_of(text) is None, text


@pytest.mark.slow
def test_phi_scales_what_a_run_builds():
    """Width 0.5 times 1.1, 3 blocks times 1.5 rounded up, and 32 pixels times 1.25."""
    config = Config(arch="resnet20", width=0.5, phi=1, compound="1.5,1.1,1.25")
    data = load_data(config)
    assert data.image_shape == (40, 40, 1)
    model, facts = build_model(config, data)
    assert model.input_shape == (None, 40, 40, 1)
    assert facts["arguments"]["width"] == pytest.approx(0.55)
    assert sum(isinstance(layer, keras.layers.Add) for layer in model.layers) == 3 * 5
    assert Config(**config.to_dict()).overrides == config.overrides


@pytest.mark.slow
def test_a_family_has_one_stem():
    """Images of 32 pixels keep their resolution in the stem, also as 66 of phi 4; those of 66 without phi do not."""
    config = Config(arch="mobilenet", width=0.25, phi=4, compound="1,1.2,1.2")
    _, facts = build_model(config, load_data(config))
    assert facts["arguments"]["input_shape"][:2] == (66, 66)
    assert facts["arguments"]["stem"] == "cifar"
    assert registry.arguments("mobilenet", (66, 66, 1))["stem"] == "imagenet"
    assert registry.arguments("mobilenet", (230, 230, 3), image_scale=1.2**8)["stem"] == "cifar"  # 53 pixels
    assert registry.arguments("mobilenet", (70, 70, 3), image_scale=1.1)["stem"] == "imagenet"  # 64 pixels
    costs = [cost_of(dataclasses.replace(config, phi=phi), 32, 1, 10).macs for phi in range(8)]
    assert costs == sorted(costs)


def test_without_phi_a_network_keeps_its_width_and_depth():
    assert Config().overrides == {"width": 1, "depth": 1}
    assert Config(width=0.35, compound="2,1,1").overrides == {"width": 0.35, "depth": 1}


@pytest.mark.slow
def test_without_phi_images_keep_their_size():
    assert pipelines.load("digits").image_shape == (32, 32, 1)


@pytest.mark.slow
def test_describe_shows_the_scaled_network(monkeypatch, capsys):
    def totals(*flags):
        monkeypatch.setattr("sys.argv", ["describe", "--arch", "resnet20", *flags])
        describe.main()
        lines = capsys.readouterr().out.splitlines()[-4:]  # the totals; the names of the layers are counted on,
        return [line.split() for line in lines]  # and one of a digit more makes its column wider

    scaled = totals("--phi", "1", "--compound", "1.5,2,1.25")
    assert scaled == totals("--depth", "1.5", "--width", "2", "--image-size", "40")
    assert scaled != totals()


def test_constants_that_are_not_three():
    with pytest.raises(BadInput, match=r"--compound must be three numbers .* from 1 to 4, got '1.2,1.1'"):
        Config(compound="1.2,1.1")


def test_a_phi_out_of_range():
    with pytest.raises(BadInput, match=r"--phi must be a number at least 0 and at most 10, got '11'"):
        Config(phi=11)


def test_sounds_are_not_scaled(tmp_path):
    np.savez(tmp_path / "sounds.npz", x=np.zeros((100, 1024, 1), "float32"), y=np.arange(100) % 2)
    with pytest.raises(pipelines.BadData, match="keep their shape: leave phi out"):
        load_data(Config(arch="m3", dataset=str(tmp_path / "sounds.npz"), phi=1))
