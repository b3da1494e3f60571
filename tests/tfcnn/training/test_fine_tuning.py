"""Loaded weights: the new layers learn first, then all at rates that fall with the depth."""

import contextlib
import io
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfcnn
from tfcnn import train
from tfcnn.cli.signals import Interrupted
from tfcnn.config import OPTIMISERS, Config
from tfcnn.export import savedmodel
from tfcnn.graph import in_order
from tfcnn.training import fine_tuning, optimizers, recipes, schedules
from tfcnn.training.compile import compile_model
from tfcnn.training.progress import Progress

RNG = np.random.default_rng(0)
DECAY = 0.5


def chain(policy="float32"):
    """Three layers with weights; the last is the new one."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(4, 3, bias_initializer="ones")(inputs)
    x = keras.layers.Dense(5, bias_initializer="ones")(keras.layers.Flatten()(x))
    model = keras.Model(inputs, keras.layers.Dense(4, bias_initializer="ones", dtype="float32")(x))
    keras.config.set_dtype_policy("float32")
    return model


def compiled(policy="float32", **flags):
    """That network, to be trained for an epoch of two steps by its last layer alone, then for one by all."""
    model = chain(policy)
    usual = {"arch": "lenet5", "epochs": 2, "warmup_epochs": 0, "lr": 0.1, "weight_decay": 0.5, "sched": "constant"}
    fine = {"weights": "file.keras", "layer_decay": DECAY, "head_epochs": 1}
    compile_model(model, Config(**usual | fine | flags), steps_per_epoch=2)
    model.optimizer.build(model.trainable_variables)
    return model


def gradients(model):
    return [RNG.normal(size=variable.shape).astype("float32") for variable in model.trainable_variables]


def apply(model, values):
    step = tf.function(lambda: model.optimizer.apply([tf.constant(value) for value in values]))
    step()


def moved(model, before):
    """By layer, whether any of its values is another one."""
    return [
        any((old != new.numpy()).any() for old, new in zip(arrays, layer.trainable_variables, strict=True))
        for arrays, layer in zip(before, in_order(model), strict=True)
    ]


def copies(model):
    return [[variable.numpy() for variable in layer.trainable_variables] for layer in in_order(model)]


def check_phases(model):
    """Two updates change the last layer alone; the third changes all."""
    before = copies(model)
    for _ in range(2):
        apply(model, gradients(model))
    assert moved(model, before) == [False, False, True]
    apply(model, gradients(model))
    assert moved(model, before) == [True, True, True]


@pytest.mark.parametrize(
    ("opt", "kernels"), [*((opt, "keras") for opt in OPTIMISERS), ("adamw", "fused"), ("sgd", "fused")]
)
def test_all_but_the_new_layers_keep_every_bit_at_first(opt, kernels):
    model = compiled(opt=opt, kernels=kernels)
    check_phases(model)


def test_frozen_in_mixed_precision():
    model = compiled("mixed_float16")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    check_phases(model)


def test_frozen_while_gradients_are_accumulated():
    """Two batches are an update: the first update is the head's, the second everybody's."""
    model = compiled(grad_accum_steps=2)
    before = copies(model)
    for _ in range(2):
        apply(model, gradients(model))
    assert moved(model, before) == [False, False, True]
    apply(model, gradients(model))
    assert moved(model, before) == [False, False, True]
    apply(model, gradients(model))
    assert moved(model, before) == [True, True, True]


@pytest.mark.parametrize("kernels", ["fused", "keras"])
def test_a_step_of_sgd_by_depth(kernels):
    """w (1 - r d) - r g of each layer, r its rate and d the decay of kernels alone: the first step of momentum SGD."""
    model = compiled(opt="momentum", head_epochs=0, kernels=kernels)
    before = copies(model)
    values = gradients(model)
    apply(model, values)
    by_layer = [values[0:2], values[2:4], values[4:6]]
    for share, layer, old, gradient in zip((0.25, 0.5, 1.0), in_order(model), before, by_layer, strict=True):
        rate = 0.1 * share
        kernel, bias = (variable.numpy() for variable in layer.trainable_variables)
        np.testing.assert_allclose(kernel, old[0] * (1 - rate * 0.5) - rate * gradient[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(bias, old[1] - rate * gradient[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("layer_decay", "equal"), [(1.0, True), (0.5, False)])
def test_a_decay_of_one_is_no_decay(layer_decay, equal):
    plain = compiled(weights=None, layer_decay=None, head_epochs=None)
    scaled = compiled(weights=None, layer_decay=layer_decay, head_epochs=None)
    values = gradients(plain)
    for model in (plain, scaled):
        apply(model, values)
    same = [(v.numpy() == w.numpy()).all() for v, w in zip(plain.variables, scaled.variables, strict=True)]
    assert all(same) is equal


def test_the_rate_of_the_head_then_warm_up_then_cosine():
    config = Config(epochs=6, warmup_epochs=1, head_epochs=2, weights="file.keras")
    rates = schedules.build_schedule(config, 0.04, steps_per_epoch=5)
    for step in range(31):
        if step < 10:
            expected = 0.04 * recipes.HEAD_RATE
        elif step <= 15:
            expected = 0.0004 + (0.04 - 0.0004) * (step - 10) / 5
        else:
            expected = 0.04 * 0.5 * (1 + math.cos(math.pi * (step - 15) / 15))
        assert float(rates(step)) == pytest.approx(expected, rel=1e-4, abs=1e-7), step


def names(groups):
    return [[layer.name for layer in group] for group in groups]


def test_depth_groups_are_stages_and_the_head():
    model = tfcnn.build("resnet18", (32, 32, 3), 10, width=0.125)
    groups = fine_tuning.depth_groups(model, "resnet18")
    assert [layer for group in groups for layer in group] == in_order(model)
    assert len(groups) == 6
    assert names(groups)[-1] == ["logits"]
    below = in_order(keras.Model(model.input, model.get_layer("stage2").output))
    assert [layer for group in groups[:2] for layer in group] == below


def test_the_layers_of_a_detector_after_its_backbone_are_the_last_group():
    model = tfcnn.build("rcnn", (64, 64, 3), 3, backbone="resnet18", crop=32, width=0.125)
    groups = fine_tuning.depth_groups(model, "resnet18")
    assert [layer for group in groups for layer in group] == in_order(model)
    assert len(groups) == 6
    assert names(groups)[-1] == ["logits", "boxes"]


def test_the_decoder_after_an_encoder_is_the_last_group():
    model = tfcnn.build("unet", (64, 64, 3), 3, encoder="resnet18", width=0.125)
    groups = fine_tuning.depth_groups(model, "resnet18")
    assert [layer for group in groups for layer in group] == in_order(model)
    assert len(groups) == 6
    assert len(names(groups)[-1]) == 5 * 4 + 1
    assert [name for name in names(groups)[-1] if not name.startswith("decoder")] == ["logits"]


def test_every_layer_is_a_group_where_there_are_no_stages():
    model = chain()
    assert fine_tuning.depth_groups(model, "lenet5") == [[layer] for layer in in_order(model)]


@pytest.mark.parametrize(
    ("arch", "shape"),
    [("vgg11", (32, 32, 3)), ("unet", (32, 32, 3)), ("squeezenet1_1", (32, 32, 3)), ("m3", (4096, 1))],
)
def test_shares_cover_all_variables_once(arch, shape):
    model = tfcnn.build(arch, shape, 3, width=0.125)
    parts = fine_tuning.divide_by_depth(model, arch, DECAY, new_layers=1)
    variables = [id(variable) for part in parts for variable in part.variables]
    assert sorted(variables) == sorted(id(variable) for variable in model.trainable_variables)
    last = in_order(model)[-1].trainable_variables
    first = [part for part in parts if part.learns_first]
    assert [(part.share, part.variables) for part in first] == [(1.0, last)]
    assert {part.share for part in parts} == {DECAY**n for n in range(len({part.share for part in parts}))}


@pytest.mark.parametrize(("steps_per_epoch", "momentum"), [(20, 0.9), (400, 0.975)])
def test_momentum_of_batch_norms(steps_per_epoch, momentum):
    """Kornblith et al. 2019: max(1 - 10 / s, 0.9)."""
    config = recipes.resolve({"arch": "resnet20", "weights": "file.keras"})
    model = tfcnn.build("resnet20", (16, 16, 3), 10, depth=0.34, width=0.25)
    compile_model(model, config, steps_per_epoch)
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert [layer.momentum for layer in layers] == pytest.approx([momentum] * len(layers))


@pytest.mark.parametrize("opt", OPTIMISERS)
@pytest.mark.parametrize(("arch", "share"), [("mobilenet", 0.2), ("vgg11", 0.5)])
def test_the_rate_for_loaded_weights_is_lower(arch, share, opt):
    fresh = optimizers.peak_learning_rate(recipes.resolve({"arch": arch, "opt": opt}))
    loaded = optimizers.peak_learning_rate(recipes.resolve({"arch": arch, "opt": opt, "weights": "file.keras"}))
    assert loaded == pytest.approx(share * fresh)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three epochs of LeNet-5 on digits: whole, and stopped after the first and resumed; and what the first says.

    The second is started from Python without `recipes.resolve`, and fine-tunes all the same.

    From weights for other sizes of images, which leave the three dense layers fresh.
    """
    folder = tmp_path_factory.mktemp("fine")
    start = folder / "start.keras"
    tfcnn.build("lenet5", (24, 24, 1), 10).save(start)
    flags = {"arch": "lenet5", "weights": str(start), "epochs": 3, "batch_size": 128, "head_epochs": 1.5}
    begin = Progress.on_epoch_begin

    def stop(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt
        begin(self, epoch, logs)

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as shown:
        patch.setattr(savedmodel, "export_savedmodel", lambda *args: None)
        whole = train.run(recipes.resolve(flags | {"out": str(folder / "whole")}))
        patch.setattr(Progress, "on_epoch_begin", stop)
        with pytest.raises(Interrupted):
            train.run(Config(**flags | {"out": str(folder / "part")}))
        patch.setattr(Progress, "on_epoch_begin", begin)
        start.unlink()
        part = train.run(train.restore_config({"resume": True, "out": str(folder / "part")}))
    return whole, part, shown.getvalue()


@pytest.mark.slow
def test_a_resumed_run_is_the_uninterrupted_one(runs):
    whole, part, _ = runs
    times = ("seconds", "images_per_second")
    histories = [
        [{k: v for k, v in row.items() if k not in times} for row in run.read_history()] for run in (whole, part)
    ]
    assert histories[0] == histories[1]
    assert len(histories[0]) == 3
    for a, b in zip(whole.load_model().weights, part.load_model().weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.slow
def test_facts_of_fine_tuning(runs):
    facts = runs[0].read_config()
    assert facts["weights"]["new_layers"] == 3
    assert facts["config"]["layer_decay"] == recipes.FINE_TUNING["layer_decay"]
    assert facts["recipe"]["head_epochs"] == 1.5
    first = runs[0].read_history()[0]["learning_rate"]
    assert first == pytest.approx(recipes.HEAD_RATE * facts["recipe"]["learning_rate"])


@pytest.mark.slow
def test_the_log_names_the_recipe_and_its_phases(runs):
    shown = runs[2]
    assert "recipe     fine-tuning: adamw, learning rate 0.0012, 3 epochs" in shown
    phases = (
        "the last 3 layers alone for 1.5 epochs at 0.0024 (--head-epochs), then all, each stage at 0.75 times the rate"
    )
    assert f"phases     {phases} of the next (--layer-decay)" in shown
