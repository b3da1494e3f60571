"""Budgets against a count by brute force over every point of a space."""

import dataclasses
import itertools
import re

import keras_tuner
import pytest

from tfcnn import factory
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tuning.budgets import Budgets, measure_latency, parse_amount
from tuning.oracle import OptunaOracle

WIDTHS = [0.25, 0.5, 1.0, 2.0]
KERNELS = [3, 5]
UNITS = [32, 256]


def space(hp):
    arguments = {"kernel_size": hp.Choice("kernel_size", KERNELS), "units": hp.Choice("units", UNITS)}
    return Config(arch="lecture_cnn", width=hp.Choice("width", WIDTHS), arch_args=arguments)


@pytest.fixture(scope="module")
def counts():
    """By values, the parameters of each of the sixteen networks by hand: kernels and biases of five layers."""
    counts = {}
    for width, kernel, units in itertools.product(WIDTHS, KERNELS, UNITS):
        f = int(32 * width)
        u = int(units * width)
        layers = [(kernel**2, f), (kernel**2 * f, 2 * f), (kernel**2 * 2 * f, 4 * f), (2 * 2 * 4 * f, u), (u, 10)]
        counts[width, kernel, units] = sum((inputs + 1) * outputs for inputs, outputs in layers)
    return counts


def propose_all(budgets):
    """(the points that an oracle proposes until the space is exhausted, the oracle)"""
    oracle = OptunaOracle(keras_tuner.Objective("score", "max"), "random", space=space, accept=budgets.accept)
    points = []
    while (trial := oracle.create_trial(f"tuner{len(points)}")).status == "RUNNING":
        values = trial.hyperparameters.values
        points.append((values["width"], values["kernel_size"], values["units"]))
    return points, oracle


@pytest.mark.parametrize("least", [3, 9])
def test_exactly_the_feasible_points_are_proposed(counts, least):
    """The limit is the count of a network, which is within it."""
    limit = sorted(counts.values())[least]
    feasible = {point for point, parameters in counts.items() if parameters <= limit}
    assert least < len(feasible) < 16
    budgets = Budgets({"parameters": limit}, (32, 32, 1), 10)
    points, oracle = propose_all(budgets)
    assert sorted(points) == sorted(feasible)
    assert budgets.broken == {"parameters": oracle.infeasible}
    assert oracle.infeasible > 0


def test_each_network_is_built_once(counts, monkeypatch):
    build = factory.build
    builds = []

    def count(arch, **arguments):
        builds.append(arguments)
        return build(arch, **arguments)

    monkeypatch.setattr(factory, "build", count)
    _, oracle = propose_all(Budgets({"parameters": sorted(counts.values())[3]}, (32, 32, 1), 10))
    assert oracle.infeasible > 16
    assert len(builds) == 16


def test_a_space_with_no_feasible_point_names_the_tightest_limit(counts):
    least = min(counts.values())
    budgets = Budgets({"parameters": least - 1, "macs": 1e12}, (32, 32, 1), 10)
    points, _ = propose_all(budgets)
    assert points == []
    pattern = re.escape(f"{least / 1000:.3g}K")
    message = rf"--budget-parameters {pattern} is the tightest, broken by 1,000; .* {pattern}$"
    assert re.search(message, budgets.explain_refusal())


@pytest.mark.parametrize(
    ("limits", "tightest"), [({"parameters": 1, "macs": 1000}, "parameters"), ({"parameters": 100, "macs": 1}, "macs")]
)
def test_of_limits_broken_as_often_the_farthest_is_the_tightest(limits, tightest):
    budgets = Budgets(limits, (32, 32, 1), 10)
    assert not budgets.accept(space(keras_tuner.HyperParameters()))
    assert f"--budget-{tightest} " in budgets.explain_refusal()


def test_memory_and_macs_are_those_of_the_cost_table_by_hand():
    """A 3x3 convolution of 8 filters over 32x32: the map of 8 and its ReLU are held at one time, in float32."""
    config = Config(arch="lecture_cnn", width=0.25)
    cost = Budgets({}, (32, 32, 1), 10).cost_of(config)
    assert cost.memory == 2 * 32 * 32 * 8 * 4
    convolutions = 32 * 32 * 9 * 8 * 1 + 16 * 16 * 9 * 16 * 8 + 8 * 8 * 9 * 32 * 16
    assert cost.macs == convolutions + 2 * 2 * 32 * 32 + 32 * 10


def test_the_image_size_of_a_configuration_goes_before_that_of_the_data():
    budgets = Budgets({}, (32, 32, 1), 10)
    small = Config(arch="lecture_cnn", width=0.25)
    assert budgets.cost_of(dataclasses.replace(small, image_size=64)).macs > 3 * budgets.cost_of(small).macs


def test_a_network_that_cannot_be_built_is_refused_and_named():
    budgets = Budgets({"macs": 1e12}, (32, 32, 1), 10)
    assert not budgets.accept(Config(arch="lecture_cnn", image_size=8))
    assert budgets.explain_refusal().startswith("no proposal can be built: ")


def test_without_limits_nothing_is_built():
    assert Budgets({}, (32, 32, 1), 10).accept(Config(arch="lecture_cnn", image_size=8))


@pytest.mark.slow
def test_latency_grows_with_the_work():
    small = factory.build("lecture_cnn", (16, 16, 3), 10, width=0.25)
    large = factory.build("lecture_cnn", (96, 96, 3), 10, width=2)
    assert 0 < measure_latency(small) < measure_latency(large) < 10


@pytest.mark.parametrize("text", ["", "M", "-3M", "0", "5Q", "1.2.3"])
def test_text_that_is_no_amount(text):
    with pytest.raises(BadInput, match=r"--budget-macs must be a number above 0 with K, M or G"):
        parse_amount("--budget-macs", text)


def test_units_in_lower_case():
    assert parse_amount("--budget-macs", "2g") == 2e9


def test_compound_scaling_counts():
    """By --phi 1 an image of 32 pixels has 64, and nothing else grows."""
    scaled = Config(arch="lecture_cnn", image_size=32, phi=1, compound="1,1,2")
    plain = Config(arch="lecture_cnn", image_size=64)
    assert Budgets({}, (32, 32, 1), 10).cost_of(scaled) == Budgets({}, (32, 32, 1), 10).cost_of(plain)


def test_a_size_of_two_sides_is_priced():
    """LeNet-5's dense layer has the positions of a map of (height / 4 - 3) x (width / 4 - 3)."""
    budgets = Budgets({}, (32, 32, 1), 10)
    params = [budgets.cost_of(Config(arch="lenet5", image_size=size)).parameters for size in (32, "32x44")]
    assert params[1] - params[0] == (5 * 8 - 5 * 5) * 16 * 120
