"""Budgets against a count by brute force over every point of a space."""

import itertools
import json
import re

import keras_tuner
import pytest

from tfcnn import factory
from tfcnn.config import Config
from tfcnn.errors import BadInput
from tuning.budgets import Budgets, amount, latency
from tuning.oracle import OptunaOracle

WIDTHS, KERNELS, UNITS = [0.25, 0.5, 1.0, 2.0], [3, 5], [32, 256]


def space(hp):
    arguments = {"kernel_size": hp.Choice("kernel_size", KERNELS), "units": hp.Choice("units", UNITS)}
    return Config(arch="lecture_cnn", width=hp.Choice("width", WIDTHS), arch_args=arguments)


@pytest.fixture(scope="module")
def prices():
    """By values, the parameters of each of the sixteen networks by hand: kernels and biases of five layers."""
    found = {}
    for width, kernel, units in itertools.product(WIDTHS, KERNELS, UNITS):
        f, u = int(32 * width), int(units * width)
        layers = [(kernel**2, f), (kernel**2 * f, 2 * f), (kernel**2 * 2 * f, 4 * f), (2 * 2 * 4 * f, u), (u, 10)]
        found[width, kernel, units] = sum((inputs + 1) * outputs for inputs, outputs in layers)
    return found


@pytest.mark.parametrize("least", [3, 9])
def test_exactly_the_feasible_points_are_proposed(prices, least):
    """The limit is the price of a network, which is within it."""
    limit = sorted(prices.values())[least]
    feasible = {point for point, parameters in prices.items() if parameters <= limit}
    assert least < len(feasible) < 16
    budgets = Budgets({"parameters": limit}, (32, 32, 1), 10)
    oracle = OptunaOracle(keras_tuner.Objective("score", "max"), "random", space=space, accept=budgets.accept)
    seen = []
    while (trial := oracle.create_trial(f"tuner{len(seen)}")).status == "RUNNING":
        values = trial.hyperparameters.values
        seen.append((values["width"], values["kernel_size"], values["units"]))
    assert sorted(seen) == sorted(feasible)
    assert budgets.broken == {"parameters": oracle.infeasible}
    assert oracle.infeasible > 0
    assert len(budgets._prices) == 16  # each network is built once


def test_a_space_with_no_feasible_point_names_the_tightest_limit(prices):
    least = min(prices.values())
    budgets = Budgets({"parameters": least - 1, "macs": 1e12}, (32, 32, 1), 10)
    oracle = OptunaOracle(keras_tuner.Objective("score", "max"), "random", space=space, accept=budgets.accept)
    assert oracle.create_trial("tuner").status == "STOPPED"
    said = budgets.tightest()
    shown = f"{least / 1000:.3g}K"
    assert re.search(rf"--budget-parameters {re.escape(shown)} is the tightest, broken by 1,000; .* {shown}$", said)
    for limits, tightest in (({"parameters": 1, "macs": 1000}, "parameters"), ({"parameters": 100, "macs": 1}, "macs")):
        budgets = Budgets(limits, (32, 32, 1), 10)
        assert not budgets.accept(space(keras_tuner.HyperParameters()))
        assert f"--budget-{tightest} " in budgets.tightest()  # of those that were broken as often


def test_memory_and_macs_are_those_of_the_cost_table_by_hand():
    """A 3x3 convolution of 8 filters over 32x32: the map of 8 and its ReLU are held at one time, in float32."""
    config = Config(arch="lecture_cnn", width=0.25)
    price = Budgets({}, (32, 32, 1), 10).price(config)
    assert price.memory == 2 * 32 * 32 * 8 * 4
    convolutions = 32 * 32 * 9 * 8 * 1 + 16 * 16 * 9 * 16 * 8 + 8 * 8 * 9 * 32 * 16
    assert price.macs == convolutions + 2 * 2 * 32 * 32 + 32 * 10
    assert (
        Budgets({}, (32, 32, 1), 10).price(Config(arch="lecture_cnn", width=0.25, image_size=64)).macs > 3 * price.macs
    )


def test_a_network_that_cannot_be_built_is_refused_and_named():
    budgets = Budgets({"macs": 1e12}, (32, 32, 1), 10)
    assert not budgets.accept(Config(arch="lecture_cnn", image_size=8))
    assert budgets.tightest().startswith("no proposal can be built: ")
    assert Budgets({}, (32, 32, 1), 10).accept(Config(arch="lecture_cnn", image_size=8))  # not looked at


def test_latency_grows_with_the_work():
    small, large = (
        factory.build("lecture_cnn", (size, size, 3), 10, width=width) for size, width in ((16, 0.25), (96, 2))
    )
    assert 0 < latency(small) < latency(large) < 10


@pytest.mark.parametrize("text", ["", "M", "-3M", "0", "5Q", "1.2.3"])
def test_amounts_that_are_none(text):
    with pytest.raises(BadInput, match=r"--budget-macs must be a number above 0 with K, M or G"):
        amount("--budget-macs", text)
    assert json.dumps(amount("--budget-macs", "2g")) == "2000000000.0"


def test_compound_scaling_counts():
    """By --phi 1 an image of 32 pixels has 64, and nothing else grows."""
    scaled = Config(arch="lecture_cnn", image_size=32, phi=1, compound="1,1,2")
    plain = Config(arch="lecture_cnn", image_size=64)
    assert Budgets({}, (32, 32, 1), 10).price(scaled) == Budgets({}, (32, 32, 1), 10).price(plain)
