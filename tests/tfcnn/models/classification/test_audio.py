"""M3 ... M18: the sizes of Table 1."""

import keras
import numpy as np
import pytest

import tfcnn
from tfcnn import cost

# Dai 2016, Table 1 for 32,000 samples: length after the first convolution and after each pooling, and the layers with
# weights that give each network its name (the last convolutions and the dense layer included).
TABLE_1 = {
    "m3": ([8000, 2000, 500], 3),
    "m5": ([8000, 2000, 500, 125, 32], 5),
    "m11": ([8000, 2000, 500, 125, 32], 11),
    "m18": ([8000, 2000, 500, 125, 32], 18),
}


@pytest.mark.parametrize("arch", TABLE_1)
def test_table_1(arch):
    lengths, weighted = TABLE_1[arch]
    with cost.weightless():
        model = tfcnn.build(arch)
    rows = cost.cost_table(model).rows
    actual = [row.output_shape[0] for row in rows if row.kind == "MaxPooling1D" or row.name == "stage1"]
    assert actual == lengths
    assert sum(row.kind in ("Conv1D", "Dense") for row in rows) == weighted
    last = next(row for row in reversed(rows) if row.kind in ("MaxPooling1D", "ReLU"))
    assert last.output_shape[0] == lengths[-1]


def test_pooled_features_and_dropout():
    with cost.weightless():
        assert tfcnn.build("m11", num_classes=0).output_shape == (None, 512)
        kinds = [row.kind for row in cost.cost_table(tfcnn.build("m3", dropout=0.5)).rows]
    assert kinds[-2:] == ["Dropout", "Dense"]


def test_loudness_says_nothing_to_a_network_that_standardizes():
    keras.utils.set_random_seed(0)
    model = tfcnn.build("m3", (None, 1), 3, width=0.05, standardize=True)
    sounds = np.random.default_rng(0).normal(size=(2, 1200, 1)).astype("float32")
    np.testing.assert_allclose(model(100 * sounds + 7), model(sounds), atol=1e-4)
    assert model.count_params() == tfcnn.build("m3", (None, 1), 3, width=0.05).count_params()
