import keras
import numpy as np
import pytest
from keras import layers

from tfcnn.arithmetic import costs
from tfcnn.arithmetic.costs import LayerCost

HEIGHT = 6
WIDTH = 7
IN = 4
OUT = 6


def count(filters, map_shape, *, shared=True):
    """Cost of `filters`, (terms, has a bias) each, walked over every place, one product after the other."""
    multiplications = accumulations = bias_sums = parameters = 0
    for place in np.ndindex(map_shape):
        for terms, bias in filters:
            multiplications += terms
            accumulations += terms - 1
            bias_sums += 1 if bias else 0
            if not shared or not any(place):
                parameters += terms + (1 if bias else 0)
    return LayerCost(parameters, multiplications, accumulations, bias_sums)


PLACES = HEIGHT * WIDTH
SHAPE = (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("cost", "filters"),
    [
        (costs.standard((3, 2), IN, OUT, PLACES), [(6 * IN, True)] * OUT),
        (costs.standard((3, 2), IN, OUT, PLACES, bias=False), [(6 * IN, False)] * OUT),
        (costs.standard((3, 2), IN, OUT, PLACES, groups=2), [(6 * IN // 2, True)] * OUT),
        (costs.depthwise((3, 3), IN, PLACES, multiplier=2), [(9, True)] * IN * 2),
    ],
    ids=["standard", "standard without bias", "grouped", "depthwise"],
)
def test_one_layer_against_a_walk_over_its_products(cost, filters):
    assert cost == count(filters, SHAPE)


def test_a_separable_layer_against_a_walk_over_its_products():
    steps = count([(9, False)] * IN, SHAPE), count([(IN, True)] * OUT, SHAPE)
    assert costs.separable((3, 3), IN, OUT, PLACES) == costs.total(*steps)


def test_a_spatially_separable_layer_against_a_walk_over_its_products():
    steps = count([(3 * IN, False)] * 5, (4, 9)), count([(2 * 5, True)] * OUT, (4, 8))
    assert costs.spatially_separable((3, 2), IN, OUT, (36, 32), between=5) == costs.total(*steps)


def test_a_locally_connected_layer_against_a_walk_over_its_products():
    assert costs.locally_connected((3, 3), IN, OUT, PLACES) == count([(9 * IN, True)] * OUT, SHAPE, shared=False)


def test_a_dense_layer_against_a_walk_over_its_products():
    assert costs.dense(IN, OUT) == count([(IN, True)] * OUT, (1,))


@pytest.mark.parametrize(
    ("layer", "cost"),
    [
        (layers.Conv2D(OUT, 3), costs.standard((3, 3), IN, OUT, 1)),
        (layers.Conv2D(OUT, 3, groups=2), costs.standard((3, 3), IN, OUT, 1, groups=2)),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), costs.depthwise((3, 3), IN, 1, multiplier=2)),
        (layers.SeparableConv2D(OUT, 3), costs.separable((3, 3), IN, OUT, 1)),
        (layers.Dense(OUT), costs.dense(IN, OUT)),
    ],
)
def test_parameters_are_those_keras_allocates(layer, cost):
    layer.build((None, HEIGHT, WIDTH, IN))
    assert layer.count_params() == cost.parameters


def test_operations_are_all_sums_and_products():
    cost = costs.standard((3, 3), 3, 8, 25)
    assert cost.operations == cost.multiplications + cost.accumulations + cost.bias_sums == 25 * 8 * 2 * 27


def test_parameters_of_column_and_row_kernels_are_those_keras_allocates():
    column = keras.layers.Conv2D(5, (3, 1), use_bias=False)
    row = keras.layers.Conv2D(OUT, (1, 2))
    outputs = row(column(keras.Input((HEIGHT, WIDTH, IN))))
    cost = costs.spatially_separable((3, 2), IN, OUT, (4 * 7, 4 * 6), between=5)
    assert outputs.shape == (None, 4, 6, OUT)
    assert column.count_params() + row.count_params() == cost.parameters


def test_groups_that_do_not_divide():
    with pytest.raises(ValueError, match="3 groups"):
        costs.standard((3, 3), 4, 6, 1, groups=3)
