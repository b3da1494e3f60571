import keras
import numpy as np
import pytest
from keras import layers

from tfcnn.arithmetic import costs
from tfcnn.arithmetic.costs import LayerCost

HEIGHT, WIDTH, IN, OUT = 6, 7, 4, 6


def counted(kernels, map_shape, *, shared=True):
    """Cost of `kernels` (filters of shape (terms,) and whether it has a bias) walked over every place, one by one."""
    multiplications = accumulations = bias_sums = 0
    for _ in np.ndindex(map_shape):
        for terms, bias in kernels:
            multiplications += terms
            accumulations += terms - 1
            bias_sums += bias
    parameters = sum(terms + bias for terms, bias in kernels) * (1 if shared else int(np.prod(map_shape)))
    return LayerCost(parameters, multiplications, accumulations, bias_sums)


def test_every_kind_against_a_walk_over_its_products():
    places = HEIGHT * WIDTH
    shape = (HEIGHT, WIDTH)
    assert costs.standard((3, 2), IN, OUT, places) == counted([(6 * IN, 1)] * OUT, shape)
    assert costs.standard((3, 2), IN, OUT, places, bias=False) == counted([(6 * IN, 0)] * OUT, shape)
    assert costs.standard((3, 2), IN, OUT, places, groups=2) == counted([(6 * IN // 2, 1)] * OUT, shape)
    assert costs.depthwise((3, 3), IN, places, multiplier=2) == counted([(9, 1)] * IN * 2, shape)
    separable = counted([(9, 0)] * IN, shape), counted([(IN, 1)] * OUT, shape)
    assert costs.separable((3, 3), IN, OUT, places) == costs.total(*separable)
    steps = counted([(3 * IN, 0)] * 5, (4, 9)), counted([(2 * 5, 1)] * OUT, (4, 8))
    found = costs.spatially_separable((3, 2), IN, OUT, (36, 32), between=5)
    assert found == costs.total(*steps)
    local = counted([(9 * IN, 1)] * OUT, shape, shared=False)
    assert costs.locally_connected((3, 3), IN, OUT, places) == local
    assert costs.dense(IN, OUT) == counted([(IN, 1)] * OUT, (1,))


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


def test_a_standard_layer_behind_its_column_and_row_kernels():
    column, row = keras.layers.Conv2D(5, (3, 1), use_bias=False), keras.layers.Conv2D(OUT, (1, 2))
    outputs = row(column(keras.Input((HEIGHT, WIDTH, IN))))
    cost = costs.spatially_separable((3, 2), IN, OUT, (4 * 7, 4 * 6), between=5)
    assert outputs.shape == (None, 4, 6, OUT)
    assert column.count_params() + row.count_params() == cost.parameters


def test_groups_that_do_not_divide():
    with pytest.raises(ValueError, match="3 groups"):
        costs.standard((3, 3), 4, 6, 1, groups=3)
