"""Hard constraints hold on every filter after every step of an optimiser, in mixed precision as well."""

import json

import keras
import numpy as np
import pytest

from tfcnn import layers
from tfcnn.layers import constraints
from tfcnn.layers.constraints import LowRank, MaxNorm, Orthogonal, UnitNorm

POLICIES = ["float32", "mixed_float16", "mixed_bfloat16"]
LAYOUTS = {
    "convolution": lambda how: keras.layers.Conv2D(6, 3, kernel_constraint=how, padding="same"),
    "convolution 1D": lambda how: keras.layers.Conv1D(6, 3, kernel_constraint=how),
    "convolution 3D": lambda how: keras.layers.Conv3D(6, 2, kernel_constraint=how),
    "convolution of ours": lambda how: layers.PaddedConv2D(
        6, 3, kernel_constraint=how, dilation_rate=2, padding="half"
    ),
    "convolution Dense": lambda how: keras.layers.Dense(6, kernel_constraint=how),
    "transposed": lambda how: keras.layers.Conv2DTranspose(6, 3, kernel_constraint=how),
    "depthwise": lambda how: keras.layers.DepthwiseConv2D(3, depth_multiplier=2, depthwise_constraint=how),
    "locally_connected": lambda how: layers.LocallyConnected2D(6, 3, kernel_constraint=how),
}


def filters_of(layout, w):
    """The filters as the rows of a matrix, written out for each layout."""
    w = np.asarray(w, "float64")
    kind = layout.split()[0]
    if kind == "convolution":
        return np.stack([w[..., f].ravel() for f in range(w.shape[-1])])
    if kind == "transposed":
        return np.stack([w[..., f, :].ravel() for f in range(w.shape[-2])])
    if kind == "depthwise":
        return np.stack([w[..., c, m].ravel() for c in range(w.shape[-2]) for m in range(w.shape[-1])])
    return np.stack([w[p, :, f] for p in range(len(w)) for f in range(w.shape[-1])])


def after_every_step(make, how, policy, check, steps=4, jit_compile=False):
    """Trains one layer away from its start with large steps; `check` sees the kernel after each."""
    keras.utils.set_random_seed(0)
    try:
        keras.config.set_dtype_policy(policy)
        layer = make(how)
        dimensions = 1 if isinstance(layer, keras.layers.Conv1D) else 3 if isinstance(layer, keras.layers.Conv3D) else 2
        inputs = keras.Input((*(6, 5, 4)[:dimensions], 3))
        model = keras.Model(inputs, keras.layers.Activation("linear", dtype="float32")(layer(inputs)))
        model.compile(keras.optimizers.SGD(3.0), "mse", jit_compile=jit_compile)
    finally:
        keras.config.set_dtype_policy("float32")
    kernel = layer.trainable_weights[0]
    rng = np.random.default_rng(0)
    for _ in range(steps):
        before = np.asarray(kernel)
        x = rng.normal(size=(4, *inputs.shape[1:]))
        model.train_on_batch(x, rng.normal(size=(4, *model.output.shape[1:])))
        assert kernel.dtype == "float32"
        assert not np.array_equal(before, kernel), "the step was left out"
        check(np.asarray(kernel))


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("how", [MaxNorm, UnitNorm], ids=lambda how: how.__name__)
def test_norms_hold_after_every_step(layout, how, policy):
    constraint = how(0.1, layout.split()[0]) if how is MaxNorm else how(layout.split()[0])

    def check(kernel):
        norms = np.linalg.norm(filters_of(layout, kernel), axis=1)
        if how is MaxNorm:
            assert norms.max() <= 0.1 * (1 + 1e-6)
            assert norms.max() > 0.098, "the constraint has nothing to do"
        else:
            np.testing.assert_allclose(norms, 1, rtol=1e-6)

    after_every_step(LAYOUTS[layout], constraint, policy, check)


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("layout", ["convolution", "convolution of ours", "transposed", "depthwise"])
@pytest.mark.parametrize("rank", [1, 2])
def test_rank_holds_after_every_step(layout, rank, policy):
    def check(kernel):
        sizes = np.linalg.svd(kernel.transpose(2, 3, 0, 1), compute_uv=False)
        assert (sizes[..., rank:] <= 1e-5 * sizes[..., :1]).all()
        assert (sizes[..., rank - 1] > 1e-5 * sizes[..., 0]).all(), "more was taken than had to be"

    after_every_step(LAYOUTS[layout], LowRank(rank), policy, check)


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("layout", ["convolution", "convolution of ours", "transposed", "depthwise"])
def test_orthogonality_holds_after_every_step(layout, policy):
    def check(kernel):
        filters = filters_of(layout, kernel)
        np.testing.assert_allclose(filters @ filters.T, np.eye(len(filters)), atol=1e-5)

    after_every_step(LAYOUTS[layout], Orthogonal(layout.split()[0]), policy, check)


@pytest.mark.slow
def test_constraints_hold_under_xla():
    def check(kernel):
        sizes = np.linalg.svd(kernel.transpose(2, 3, 0, 1), compute_uv=False)
        assert (sizes[..., 1:] <= 1e-4 * sizes[..., :1]).all()

    after_every_step(LAYOUTS["convolution"], LowRank(1), "float32", check, steps=2, jit_compile=True)


def test_orthogonal_filters_of_each_position():
    w = np.random.default_rng(0).normal(size=(4, 9, 5)).astype("float32")
    matrices = np.asarray(Orthogonal("locally_connected")(w))
    for matrix in matrices:
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(5), atol=1e-5)


def test_more_filters_than_weights_have_orthonormal_rows():
    w = np.random.default_rng(0).normal(size=(1, 2, 2, 7)).astype("float32")
    matrix = np.asarray(Orthogonal()(w)).reshape(4, 7)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(4), atol=1e-5)


@pytest.mark.parametrize(
    "constraint", [MaxNorm(1.0), UnitNorm(), LowRank(2), Orthogonal()], ids=lambda c: type(c).__name__
)
def test_a_projection_changes_nothing_the_second_time(constraint):
    w = np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype("float32")
    once = constraint(w)
    np.testing.assert_allclose(constraint(once), once, atol=1e-5)
    assert not np.allclose(once, w)


def test_short_and_zero_filters_stay_as_they_are():
    w = np.zeros((3, 3, 2, 2), "float32")
    w[..., 1] = 0.01
    np.testing.assert_array_equal(MaxNorm(1.0)(w), w)
    np.testing.assert_array_equal(UnitNorm()(w)[..., 0], w[..., 0])


def test_low_rank_is_the_nearest_matrix():
    """Eckart and Young: the squared distance is what the other singular values hold."""
    w = np.random.default_rng(0).normal(size=(5, 4, 1, 1)).astype("float32")
    sizes = np.linalg.svd(w[:, :, 0, 0], compute_uv=False)
    assert np.sum((LowRank(2)(w) - w) ** 2) == pytest.approx(np.sum(sizes[2:] ** 2), rel=1e-4)


def test_no_constraint_before_the_first_step_unless_enforced():
    layer = keras.layers.Conv2D(4, 3, kernel_constraint=UnitNorm())
    model = keras.Sequential([keras.Input((6, 6, 3)), layer])
    assert not np.allclose(np.linalg.norm(filters_of("convolution", layer.kernel), axis=1), 1)
    constraints.enforce(model)
    np.testing.assert_allclose(np.linalg.norm(filters_of("convolution", layer.kernel), axis=1), 1, rtol=1e-6)


def test_keras_default_axis_is_wrong_for_a_convolution():
    """Why there are norms of our own; when Keras changes this, they can go."""
    w = np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype("float32")
    theirs = np.linalg.norm(filters_of("convolution", keras.constraints.MaxNorm(1.0)(w)), axis=1)
    assert theirs.max() > 1.1
    np.testing.assert_allclose(keras.constraints.MaxNorm(1.0, axis=[0, 1, 2])(w), MaxNorm(1.0)(w), rtol=1e-5)


@pytest.mark.parametrize(
    "constraint", [MaxNorm(3.0, "depthwise"), UnitNorm("transposed"), LowRank(2), Orthogonal("transposed")]
)
def test_saved_and_loaded_with_a_model(constraint, tmp_path):
    again = keras.constraints.get(keras.constraints.serialize(constraint))
    assert type(again) is type(constraint)
    assert again.get_config() == constraint.get_config()
    model = keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Conv2D(4, 3, kernel_constraint=constraint)])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").layers[0].kernel_constraint
    assert loaded.get_config() == constraint.get_config()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MaxNorm(0.0), "max_value"),
        (lambda: UnitNorm("dense"), "convolution, transposed, depthwise, locally_connected"),
        (lambda: LowRank(0), "rank"),
        (lambda: LowRank(1)(np.ones((3, 2, 2))), "height, width"),
        (lambda: UnitNorm("depthwise")(np.ones((3, 2))), "more than 2 axes"),
    ],
)
def test_impossible_arguments_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("policy", POLICIES)
def test_soft_l2_is_keras_own(policy):
    """The lectures' soft constraint: the squared L2 norm, on the float32 weights in every precision."""
    layer = keras.layers.Conv2D(4, 3, kernel_regularizer=keras.regularizers.L2(0.1), dtype=policy)
    layer(np.ones((1, 5, 5, 2), "float32"))
    (penalty,) = layer.losses
    assert float(penalty) == pytest.approx(0.1 * np.sum(np.square(layer.get_weights()[0])), rel=1e-6)


@pytest.mark.parametrize("constraint", [LowRank(np.int64(2)), MaxNorm(np.int64(2))], ids=["rank", "max_value"])
def test_numpy_integers_are_saved_as_pythons(constraint):
    config = json.loads(json.dumps(constraint.get_config()))  # refuses NumPy's integers
    assert type(constraint).from_config(config).get_config() == constraint.get_config()
    assert 2 in config.values()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("value", [6.0, 600.0])
@pytest.mark.parametrize(("constraint", "norm"), [(MaxNorm(2.0), 2.0), (UnitNorm(), 1.0)])
def test_norms_beyond_the_range_of_squares(constraint, norm, value, dtype):
    """The square of a float16 above 256 is infinite, and so is the sum of the squares of 2,000 sixes."""
    kernel = keras.ops.full((2000, 1), value, dtype)
    projected = constraint(kernel)
    assert keras.backend.standardize_dtype(projected.dtype) == dtype
    largest = np.linalg.norm(keras.ops.convert_to_numpy(keras.ops.cast(projected, "float64")))
    assert largest == pytest.approx(norm, rel=0.01)


def test_frozen_layers_are_enforced():
    layer = keras.layers.Dense(2, kernel_constraint=MaxNorm(1.0), kernel_initializer=keras.initializers.Constant(3.0))
    model = keras.Sequential([keras.Input((4,)), layer])
    layer.trainable = False
    constraints.enforce(model)
    np.testing.assert_allclose(np.linalg.norm(np.asarray(layer.kernel), axis=0), 1.0, rtol=1e-6)
