"""Pooling with switches and its inverse: against TensorFlow's own, in every form the layers choose."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcnn import layers
from tfcnn.cost import cost_table


def random_windows(seed, rank, paddings=("valid", "same"), side_by_side=False):
    """(input, pool size, strides, padding): small integers as values, so that there are ties in most windows."""
    rng = np.random.default_rng(seed)
    pool = rng.integers(1, 4, rank)
    strides = pool if side_by_side else rng.integers(1, 4, rank)
    sizes = rng.integers(3, 9, rank)
    x = rng.integers(-2, 3, (2, *sizes, 3)).astype("float32")
    return x, tuple(map(int, pool)), tuple(map(int, strides)), str(rng.choice(paddings))


def pair(x, scale, pool_size, strides, padding):
    """Pooled values, indices, `scale` times the values unpooled by indices, and by the input itself."""
    arguments = (pool_size, strides, padding)
    rank = len(x.shape) - 2
    pooling, unpooling, like = (
        getattr(layers, f"{name}{rank}D") for name in ("MaxPoolingWithArgmax", "MaxUnpooling", "MaxUnpoolingLike")
    )
    values, indices = pooling(*arguments, dtype=x.dtype)(x, training=True)
    placed = unpooling(*arguments, output_size=tuple(x.shape[1:-1]), dtype=x.dtype)(
        [values * scale, indices], training=True
    )
    return values, indices, placed, like(*arguments, dtype=x.dtype)([values * scale, x], training=True)


def step(x, scale, arguments, weight, run=lambda f: f):
    """`pair` with the gradients by x and scale of the weighted sum of what was placed."""

    def forward_and_backward(x, scale):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch((x, scale))
            values, indices, placed, like = pair(x, scale, *arguments)
            by_index, by_input = (tf.reduce_sum(y * weight) for y in (placed, like))
        return values, indices, placed, like, tape.gradient(by_index, (x, scale)), tape.gradient(by_input, (x, scale))

    return tf.nest.map_structure(lambda t: t.numpy(), run(forward_and_backward)(x, scale))


FORMS = {
    "eager": lambda f: f,
    "graph": lambda f: tf.function(f, autograph=False),
    "XLA": lambda f: tf.function(f, autograph=False, jit_compile=True),
}


COMPILED = [pytest.param(seed, form, marks=pytest.mark.slow) for form in ("graph", "XLA") for seed in range(4)]


@pytest.mark.parametrize(("seed", "form"), [*((seed, "eager") for seed in range(10)), *COMPILED])
def test_pair_is_tensorflows(seed, form):
    """Values, indices, what is unpooled and both gradients; every second case has windows side by side."""
    x, *arguments = random_windows(seed, 2, side_by_side=seed % 2 == 0)
    pool_size, strides, padding = arguments
    rng = np.random.default_rng(seed + 100)
    weight = tf.constant(rng.normal(size=x.shape).astype("float32"))
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        values, indices = tf.nn.max_pool_with_argmax(
            x, pool_size, strides, padding.upper(), include_batch_in_index=True
        )
        scale = tf.constant(rng.normal(size=values.shape).astype("float32"))
        tape.watch(scale)
        # of windows that overlap and name one cell the last one counts
        flat = indices.numpy().ravel()
        last = [n for n, cell in enumerate(flat) if cell not in flat[n + 1 :]]
        products = tf.gather(tf.reshape(values * scale, [-1]), last)
        placed = tf.reshape(tf.scatter_nd(flat[last][:, None], products, [tf.size(x)]), x.shape)
        total = tf.reduce_sum(placed * weight)
    gradients = tape.gradient(total, (x, scale))
    plain = tf.nn.max_pool_with_argmax(x, pool_size, strides, padding.upper())[1]

    results = step(x, scale, arguments, weight, FORMS[form])
    np.testing.assert_array_equal(results[0], values)
    np.testing.assert_array_equal(results[1], plain)
    assert results[1].dtype == "int32"
    np.testing.assert_array_equal(results[2], placed)
    np.testing.assert_array_equal(results[3], placed)
    for by_x, by_scale in results[4:]:
        np.testing.assert_allclose(by_x, gradients[0], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(by_scale, gradients[1], rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_forms_agree_in_every_precision(rank, dtype):
    x, *arguments = random_windows(rank, rank, side_by_side=True)
    rng = np.random.default_rng(0)
    x = tf.cast(x, dtype)
    scale = tf.cast(rng.normal(size=pair(x, 1, *arguments)[0].shape), dtype)
    weight = tf.cast(rng.normal(size=x.shape), dtype)
    expected = step(x, scale, arguments, weight)
    for form in ("graph", "XLA"):
        for a, b in zip(
            tf.nest.flatten(step(x, scale, arguments, weight, FORMS[form])), tf.nest.flatten(expected), strict=True
        ):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a.astype("float64"), b.astype("float64"))


@pytest.mark.slow
def test_the_form_follows_compilation_and_training():
    """One function for XLA alone in a training graph; nothing that LiteRT lacks in inference."""

    def functions(training, **options):
        def forward(x):
            values, indices = layers.MaxPoolingWithArgmax2D()(x, training=training)
            return layers.MaxUnpooling2D()([values, indices], training=training)

        traced = tf.function(forward, autograph=False, **options).get_concrete_function(tf.TensorSpec((None, 8, 8, 2)))
        return [op.type for op in traced.graph.get_operations() if "PartitionedCall" in op.type]

    assert len(functions(training=True)) == 2
    assert functions(training=False) == []
    assert functions(training=True, jit_compile=True) == []


def test_of_equal_maxima_the_first_wins():
    x = tf.zeros((1, 4, 4, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        values, indices = layers.MaxPoolingWithArgmax2D()(x)
        total = tf.reduce_sum(values)
    assert indices.numpy().ravel().tolist() == [0, 2, 8, 10]
    corner = np.tile([[1.0, 0.0], [0.0, 0.0]], (2, 2))
    np.testing.assert_array_equal(layers.MaxUnpooling2D()([values + 1, indices])[0, :, :, 0], corner)
    np.testing.assert_array_equal(tape.gradient(total, x)[0, :, :, 0], corner)


def test_a_window_of_minus_infinity_has_an_index_of_its_own():
    x = np.full((1, 5, 5, 2), -np.inf, "float32")
    _, indices = layers.MaxPoolingWithArgmax2D(3, 2, "same")(x)
    np.testing.assert_array_equal(indices, tf.nn.max_pool_with_argmax(x, 3, 2, "SAME")[1])


def test_of_windows_that_name_one_cell_the_last_is_kept():
    indices = tf.constant([1, 1, 2], tf.int32)[None, :, None]  # windows 0-1, 1-2, 2-3 of four cells
    values = tf.constant([5.0, 6.0, 7.0])[None, :, None]
    layer = layers.MaxUnpooling1D(2, 1)
    with tf.GradientTape() as tape:
        tape.watch(values)
        placed = layer([values, indices])
        total = tf.reduce_sum(placed)
    assert placed.numpy().ravel().tolist() == [0, 6, 7, 0]
    assert tape.gradient(total, values).numpy().ravel().tolist() == [0, 1, 1]


@pytest.mark.parametrize("dtype", ["int32", "int64", "float64"])
def test_indices_of_any_type(dtype):
    """tf.nn.max_pool_with_argmax returns int64."""
    indices = tf.constant([[[1], [2]]], dtype)
    assert layers.MaxUnpooling1D()([tf.ones((1, 2, 1)), indices]).numpy().ravel().tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("training", [False, True])
def test_an_index_outside_its_window_is_left_out(training):
    indices = tf.constant([3, 2], tf.int32)[None, :, None]
    run = tf.function(lambda v: layers.MaxUnpooling1D()([v, indices], training=training), autograph=False)
    assert run(tf.ones((1, 2, 1))).numpy().ravel().tolist() == [0, 0, 1, 0]


def segmenter(rank=2, like=False, size=None, filters=4):
    """A convolution, pooling, a convolution, unpooling, and one value a pixel."""
    conv = getattr(keras.layers, f"Conv{rank}D")
    image = keras.Input((*(size or (8,) * rank), 2))
    x = high = conv(filters, 3, padding="same", activation="relu")(image)
    x, indices = getattr(layers, f"MaxPoolingWithArgmax{rank}D")()(x)
    x = conv(filters, 3, padding="same")(x)
    unpool = getattr(layers, f"MaxUnpooling{'Like' if like else ''}{rank}D")()
    x = unpool([x, high if like else indices])
    return keras.Model(image, keras.layers.Dense(1, dtype="float32")(x))


@pytest.fixture
def policy(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "jit", "like"),
    [
        ("float32", False, True),
        ("mixed_float16", False, False),
        ("mixed_float16", True, True),
    ],
    ids=str,
    indirect=["policy"],
)
def test_trains(policy, jit, like):
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(20, 8, 8, 2)).astype("float32")
    model = segmenter(like=like)
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=jit)
    losses = model.fit(x, np.abs(x[..., :1]), batch_size=8, epochs=12, verbose=0).history["loss"]  # a last batch of 4
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.slow
def test_odd_sizes_not_known_when_the_model_is_built():
    x = np.random.default_rng(0).normal(size=(4, 7, 9, 2)).astype("float32")
    open_model = segmenter(like=True, size=(None, None))
    model = segmenter(like=True, size=(7, 9))
    model.set_weights(open_model.get_weights())
    for each in (open_model, model):
        each.compile("sgd", "mse", jit_compile=False)
        each.train_on_batch(x, x[..., :1])
    np.testing.assert_allclose(open_model.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
@pytest.mark.parametrize("rank", [2, 3])
def test_a_trained_network_exports_to_litert(rank, tmp_path):
    x = np.random.default_rng(0).normal(size=(1, *(8,) * rank, 2)).astype("float32")
    model = segmenter(rank)
    model.compile("sgd", "mse", jit_compile=False)
    model.train_on_batch(x, x[..., :1])
    model.export(tmp_path / "model.tflite", format="litert", verbose=False)
    content = (tmp_path / "model.tflite").read_bytes()
    interpreter = tf.lite.Interpreter(model_content=content)
    assert b"Flex" not in content
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    result = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(result, model.predict(x, verbose=0), rtol=1e-3, atol=1e-4)


def test_costs_nothing_but_activations():
    table = cost_table(segmenter())
    rows = {row.kind: row for row in table.rows}
    assert table.macs == 8 * 8 * 9 * 2 * 4 + 4 * 4 * 9 * 4 * 4 + 8 * 8 * 4
    assert rows["MaxPoolingWithArgmax2D"].macs == rows["MaxUnpooling2D"].macs == 0
    assert rows["MaxPoolingWithArgmax2D"].activation_bytes == 4 * 4 * 4 * (4 + 4)  # values and int32 indices


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: layers.MaxPoolingWithArgmax2D(0), "pool_size must be one integer or 2, each 1 or more, got 0"),
        (lambda: layers.MaxPoolingWithArgmax2D((2, 2, 2)), "pool_size must be"),
        (lambda: layers.MaxPoolingWithArgmax2D(2, strides=1.5), "strides must be"),
        (lambda: layers.MaxPoolingWithArgmax2D(padding="full"), "padding must be 'valid' or 'same', got 'full'"),
        (lambda: layers.MaxPoolingWithArgmax2D(3)(np.ones((1, 2, 5, 1))), "a window of 3 does not fit an input of 2"),
        (lambda: layers.MaxUnpooling2D(output_size=(4, 0)), "output_size must be"),
        (
            lambda: layers.MaxUnpooling2D(output_size=6)([np.ones((1, 2, 3, 1)), np.ones((1, 2, 3, 1), "int32")]),
            "an output of 6 along y has 3 windows",
        ),
        (
            lambda: layers.MaxUnpoolingLike2D()([np.ones((1, 2, 3, 1)), np.ones((1, 4, 8, 1))]),
            "an output of 8 along x has 4 windows",
        ),
        (lambda: layers.BedOfNails2D(2, position=(0, 2)), "position must lie within"),
        (lambda: layers.LpPooling2D(p=0.5), "p must be 1 or more"),
        (lambda: layers.LpPooling2D(p=np.inf), "p must be 1 or more and finite"),
    ],
)
def test_says_what_is_wrong(make, match):
    with pytest.raises(ValueError, match=match):
        make()
