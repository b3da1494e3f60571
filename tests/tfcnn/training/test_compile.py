"""Optimisers, penalties, losses, and the compiled model that they make."""

import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfcnn
from tfcnn.config import OPTIMISERS, SCHEDULES, Config
from tfcnn.errors import BadInput
from tfcnn.training import optimizers, penalties, schedules
from tfcnn.training.compile import check_drop_path, compile_model


def test_every_name_has_its_row():
    assert tuple(optimizers.OPTIMISERS) == OPTIMISERS
    assert tuple(schedules.SCHEDULES) == SCHEDULES


@pytest.mark.parametrize("opt", OPTIMISERS)
def test_default_learning_rates_are_in_range(opt):
    assert 1e-4 <= optimizers.peak_learning_rate(Config(arch="vgg11", opt=opt)) <= 0.1


def adam(w, g, n, state, like=lambda w, step: step):
    m = 0.9 * state.get("m", 0) + 0.1 * g
    v = 0.999 * state.get("v", 0) + 0.001 * g * g
    state.update(m=m, v=v)
    return w - 0.01 * like(w, (m / (1 - 0.9**n)) / (np.sqrt(v / (1 - 0.999**n)) + 1e-7))


def lamb(w, g, n, state):
    return adam(w, g, n, state, lambda w, step: step * np.linalg.norm(w) / np.linalg.norm(step))


def lion(w, g, n, state):
    m = state.get("m", 0)
    state["m"] = 0.99 * m + 0.01 * g
    return w - 0.01 * np.sign(0.9 * m + 0.1 * g)


def sgd(w, g, n, state):
    state["v"] = v = 0.9 * state.get("v", 0) - 0.01 * g
    return w + 0.9 * v - 0.01 * g


def momentum(w, g, n, state):
    state["v"] = v = 0.9 * state.get("v", 0) - 0.01 * g
    return w + v


def rmsprop(w, g, n, state):
    state["s"] = s = 0.9 * state.get("s", 0) + 0.1 * g * g
    state["v"] = v = 0.9 * state.get("v", 0) + 0.01 * g / np.sqrt(s + 1e-7)
    return w - v


UPDATES = {
    "adam": adam,
    "adamw": adam,
    "lamb": lamb,
    "lion": lion,
    "sgd": sgd,
    "momentum": momentum,
    "rmsprop": rmsprop,
}
CONSTANT = {"sched": "constant", "warmup_epochs": 0}


@pytest.mark.parametrize("opt", OPTIMISERS)
def test_optimisers_are_their_formulas(opt):
    rng = np.random.default_rng(0)
    start = rng.normal(size=(3, 4))
    gradients = rng.normal(size=(3, 3, 4))
    config = Config(opt=opt, lr=0.01, weight_decay=0.5, **CONSTANT)
    optimizer = optimizers.build_optimizer(config, schedules.build_schedule(config, 0.01, 10))
    weight = keras.Variable(start, name="kernel")
    expected = start
    state = {}
    for n, gradient in enumerate(gradients, start=1):
        optimizer.apply([tf.constant(gradient, "float32")], [weight])
        expected = UPDATES[opt](expected * (1 - 0.01 * 0.5), gradient, n, state)
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("opt", OPTIMISERS)
def test_weight_decay_shrinks_kernels_only(opt):
    model = tfcnn.build("resnet20", (32, 32, 3), 10, depth=0.34)
    compile_model(model, Config(opt=opt, weight_decay=0.5, lr=0.1, warmup_epochs=0), steps_per_epoch=100)
    for variable in model.trainable_variables:
        variable.assign(tf.ones(variable.shape))
    model.optimizer.apply([tf.zeros(v.shape) for v in model.trainable_variables], model.trainable_variables)
    for variable in model.trainable_variables:
        expected = 1 - 0.1 * 0.5 if variable.name == "kernel" else 1.0
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-4, err_msg=variable.path)


def small(dtype_policy="float32", every_kernel=False, **flags):
    """A tiny network, compiled with plain steps of 0.1 unless `flags` say otherwise."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(dtype_policy)
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(4, 3)(inputs)
    if every_kernel:
        x = keras.layers.DepthwiseConv2D(2, depth_multiplier=2)(x)
        x = keras.layers.SeparableConv2D(3, 2)(x)
        x = keras.layers.Conv2DTranspose(5, 2)(x)
    logits = keras.layers.Dense(4, dtype="float32")(keras.layers.Flatten()(x))
    model = keras.Model(inputs, logits)
    keras.config.set_dtype_policy("float32")
    usual = {"arch": "lenet5", "opt": "momentum", "lr": 0.1, "weight_decay": 0, "epochs": 1, "warmup_epochs": 0}
    compile_model(model, Config(**usual | flags), steps_per_epoch=8)
    return model


RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(16, 6, 6, 3)).astype("float32")
TARGETS = np.eye(4, dtype="float32")[np.arange(16) % 4]


def one_epoch(model, batch_size):
    model.fit(IMAGES, TARGETS, batch_size=batch_size, shuffle=False, verbose=0)
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        {"sched": "step", "weight_decay": 0},
        {"sched": "cosine", "clip_grad": 0.01, "l2": 0.1, "weight_decay": 0.1},
    ],
)
def test_accumulated_batches_are_one_large_batch(flags):
    """Eight batches of 2 as four updates of 4 images; the rate is that of the large batches, momentum and all."""
    parts = small(grad_accum_steps=2, **flags)
    before = [w.numpy() for w in parts.weights]
    one_epoch(parts, 2)
    keras.utils.set_random_seed(0)
    whole = small(**CONSTANT)
    config = Config(epochs=1, opt="momentum", warmup_epochs=0, **flags)
    whole.compile(optimizers.build_optimizer(config, schedules.build_schedule(config, 0.1, 4)), whole.loss)
    penalties.penalise(whole, config.l2, None)
    one_epoch(whole, 4)
    assert int(parts.optimizer.iterations) == int(whole.optimizer.iterations) == 4
    for w, v, start in zip(parts.weights, whole.weights, before, strict=True):
        np.testing.assert_allclose(w.numpy(), v.numpy(), rtol=1e-3, atol=1e-6)
        assert np.abs(w.numpy() - start).max() > 1e-6


def test_accumulation_needs_an_epoch_of_batches():
    with pytest.raises(BadInput, match=r"has 8 batches, fewer than the 9 .* \(--grad-accum-steps, --batch-size\)"):
        small(grad_accum_steps=9)


@pytest.mark.slow
@pytest.mark.parametrize("dtype_policy", ["float32", "mixed_float16"])
def test_clipping_is_by_the_global_norm(dtype_policy):
    moved = {}
    for clip in (None, 0.02):
        model = small(dtype_policy, clip_grad=clip)
        before = [w.numpy() for w in model.weights]
        model.train_on_batch(IMAGES, TARGETS)
        steps = [(start - w.numpy()) / 0.1 for start, w in zip(before, model.weights, strict=True)]
        moved[clip] = np.concatenate([step.ravel() for step in steps])
    norm = np.linalg.norm(moved[None])
    assert norm > 0.1
    np.testing.assert_allclose(moved[0.02], moved[None] * 0.02 / norm, atol=2e-6 if dtype_policy == "float32" else 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("dtype_policy", ["float32", "mixed_float16"])
def test_l2_is_in_the_loss_of_kernels_only(dtype_policy):
    plain = small(dtype_policy)
    penalised = small(dtype_policy, l2=0.02)
    squares = sum((w.numpy() ** 2).sum() for w in plain.weights if "kernel" in w.name)
    losses = [model.evaluate(IMAGES, TARGETS, return_dict=True, verbose=0)["loss"] for model in (plain, penalised)]
    assert losses[1] - losses[0] == pytest.approx(0.01 * squares, rel=1e-3)
    for model in (plain, penalised):
        model.train_on_batch(IMAGES, TARGETS)
    fresh = small(dtype_policy)
    for start, w, v in zip(fresh.weights, plain.weights, penalised.weights, strict=True):
        expected = w.numpy() - (0.1 * 0.02 * start.numpy() if "kernel" in w.name else 0)
        np.testing.assert_allclose(v.numpy(), expected, atol=2e-6 if dtype_policy == "float32" else 1e-4)


@pytest.mark.slow
def test_max_norm_holds_on_every_filter_from_the_start():
    model = small(max_norm=0.1, lr=1.0, every_kernel=True)
    for step in range(3):
        norms = []
        for layer in model.layers:
            kernels = {w.name: w.numpy() for w in layer.weights if w.name != "bias"}
            for name, kernel in kernels.items():
                axes = tuple(range(kernel.ndim - 1))
                if isinstance(layer, keras.layers.DepthwiseConv2D) or name == "depthwise_kernel":
                    axes = (0, 1)
                if isinstance(layer, keras.layers.Conv2DTranspose):
                    axes = (0, 1, 3)
                norms.append(np.sqrt((kernel**2).sum(axes)).ravel())
        assert len(norms) == 6
        assert max(n.max() for n in norms) == pytest.approx(0.1, rel=1e-5)
        if step == 0:  # every filter begins longer than that
            np.testing.assert_allclose(np.concatenate(norms), 0.1, rtol=1e-5)
        model.train_on_batch(IMAGES, TARGETS)


@pytest.mark.slow
def test_penalties_leave_the_saved_model_to_keras_alone(tmp_path):
    model = one_epoch(small(max_norm=0.3, l2=0.01), 4)
    keras.Model(model.input, model.output).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(IMAGES), model(IMAGES), rtol=1e-6)
    assert b"tfcnn" not in zipfile.ZipFile(tmp_path / "model.keras").read("config.json")
    assert loaded.losses == []


def test_every_kernel_is_found():
    """The other weights are biases, the scales of normalisations, and LeNet's coefficients of subsampling."""
    names = ("mobilenet_v3_small", "xception", "unet", "deconvnet", "conv_autoencoder", "nin", "m3")
    others = {"lenet5": {"form": "paper"}, "unet3d": {"convolution": "orthogonal"}}
    with tfcnn.cost.weightless():
        for name in (*names, *others):
            model = tfcnn.build(name, **others.get(name, {}))
            kernels = {id(kernel.variable) for kernel in penalties.kernels(model)}
            rest = {variable.name for variable in model.trainable_variables if id(variable) not in kernels}
            assert rest <= {"bias", "gamma", "beta", "coefficient"}, model.name
            assert len(kernels) > 2


def test_drop_path_reaches_the_network():
    config = Config(arch="efficientnet_b0", drop_path=0.5)
    check_drop_path(config)
    with tfcnn.cost.weightless():
        model = tfcnn.build("efficientnet_b0", (32, 32, 3), 4, **config.overrides)
    assert max(getattr(layer, "rate", 0) for layer in model.layers if "drop" in layer.name) > 0.4


def test_drop_path_is_refused_where_no_block_is_left_out():
    with pytest.raises(BadInput, match=r"resnet18 leaves no blocks out .*efficientnet_b0, .* \(--drop-path\)"):
        check_drop_path(Config(arch="resnet18", drop_path=0.1))


@pytest.mark.parametrize(
    ("flags", "holds"),
    [
        ({"loss": "bce"}, lambda model: model.loss.name == "sigmoid_cross_entropy"),
        ({"loss": "hinge"}, lambda model: model.loss.name == "multiclass_hinge"),
        ({"loss": "focal", "smoothing": 0.3}, lambda model: model.loss.smoothing == 0.3),
        ({"opt": "lion"}, lambda model: isinstance(model.optimizer, keras.optimizers.Lion)),
        ({"opt": "rmsprop"}, lambda model: model.optimizer.momentum == 0.9),
        ({"opt": "momentum"}, lambda model: not model.optimizer.nesterov),
        ({"opt": "sgd"}, lambda model: model.optimizer.nesterov),
        ({"clip_grad": 2}, lambda model: model.optimizer.global_clipnorm == 2),
        ({"grad_accum_steps": 4}, lambda model: model.optimizer.gradient_accumulation_steps == 4),
        ({"sched": "step"}, lambda model: float(schedules.schedule_of(model)(7)) == pytest.approx(1e-3)),
    ],
)
def test_flags_reach_the_compiled_model(flags, holds):
    assert holds(small(**flags))


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("classification", ["accuracy"]),
        ("segmentation", ["mean_iou", "pixel_accuracy"]),
        ("reconstruction", ["psnr", "mae"]),
    ],
)
def test_loss_and_metrics_follow_the_task(task, names):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(3, 1)(inputs))
    compile_model(model, Config(), 10, task, std=(0.5, 0.25, 0.25))
    y = {"segmentation": np.full((2, 8, 8), 255, "int32")}.get(task, np.zeros((2, 8, 8, 3), "float32"))
    assert sorted(model.evaluate(np.zeros((2, 8, 8, 3)), y, return_dict=True, verbose=0)) == sorted(["loss", *names])
    with pytest.raises(BadInput, match=f"unknown loss of {task}"):
        compile_model(model, Config(loss="hinge" if task == "segmentation" else "dice"), 10, task)


def test_loss_is_smoothed_cross_entropy_of_logits():
    model = tfcnn.build("lenet5", num_classes=3)
    compile_model(model, Config(arch="lenet5", smoothing=0.3), steps_per_epoch=1)
    logits = np.array([[2.0, -1.0, 0.5]])
    target = np.array([[0.0, 1.0, 0.0]])
    log_softmax = logits - np.log(np.exp(logits).sum())
    expected = -((0.7 * target + 0.1) * log_softmax).sum()
    assert float(model.loss(target, logits)) == pytest.approx(expected, rel=1e-5)


def test_default_learning_rate_knows_the_family():
    def peak(arch, **kwargs):
        return optimizers.peak_learning_rate(Config(arch=arch, **kwargs))

    assert peak("vgg11") == peak("vgg16_bn") < peak("lenet5") < peak("mobilenet") == peak("resnet50")
    assert peak("vgg11", lr=0.7) == 0.7
    assert peak("mobilenet", opt="sgd") > peak("mobilenet")
