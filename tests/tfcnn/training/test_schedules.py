"""Schedules of the learning rate against their formulas."""

import math

import keras
import pytest

from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.training import schedules

SHARES = [("step", (1, 0.1, 0.01)), ("constant", (1, 1, 1)), ("plateau", (1, 1, 1))]


def test_schedule_is_a_linear_warm_up_and_a_cosine():
    config = Config(epochs=10, warmup_epochs=2)
    rates = schedules.build_schedule(config, 0.4, steps_per_epoch=5)
    for step in range(51):
        if step <= 10:
            expected = 0.004 + (0.4 - 0.004) * step / 10
        else:
            expected = 0.4 * 0.5 * (1 + math.cos(math.pi * (step - 10) / 40))
        assert float(rates(step)) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_schedule_without_warm_up():
    rates = schedules.build_schedule(Config(epochs=4, warmup_epochs=0), 0.1, steps_per_epoch=5)
    assert [float(rates(step)) for step in (0, 10, 20)] == pytest.approx([0.1, 0.05, 0.0], abs=1e-6)


def test_schedule_that_is_warm_up_only():
    rates = schedules.build_schedule(Config(epochs=1, warmup_epochs=1), 0.1, steps_per_epoch=5)
    assert float(rates(4)) == pytest.approx(0.001 + 0.099 * 4 / 5)


@pytest.mark.parametrize("warmup", [0, 2])
@pytest.mark.parametrize(("sched", "share"), SHARES)
def test_step_and_constant_schedules(sched, share, warmup):
    """Twenty batches of warm-up or none, of 200; a tenth from batch 100, a hundredth from 150 on."""
    rates = schedules.build_schedule(Config(epochs=20, warmup_epochs=warmup, sched=sched), 0.4, steps_per_epoch=10)
    for step in range(200):
        if step < 10 * warmup:
            expected = 0.004 + 0.396 * step / (10 * warmup)
        else:
            expected = 0.4 * share[(step >= 100) + (step >= 150)]
        assert float(rates(step)) == pytest.approx(expected, rel=1e-5), step


def test_a_cosine_ends_at_the_lowest_rate():
    """The formula of timm's CosineLRScheduler: lr_min + (lr - lr_min) / 2 (1 + cos(pi t / T))."""
    rates = schedules.build_schedule(Config(epochs=4, warmup_epochs=0, min_lr=0.1), 0.4, steps_per_epoch=5)
    expected = [0.1 + 0.3 / 2 * (1 + math.cos(math.pi * step / 20)) for step in range(21)]
    assert [float(rates(step)) for step in range(21)] == pytest.approx(expected, rel=1e-5)


def test_a_plateau_does_not_go_below_the_lowest_rate():
    config = Config(epochs=4, warmup_epochs=0, sched="plateau", min_lr=0.02)
    rates = schedules.build_schedule(config, 0.4, steps_per_epoch=5)
    seen = []
    for share in (1.0, 0.1, 0.01):
        rates.share.assign(share)
        seen.append(float(rates(3)))
    assert seen == pytest.approx([0.4, 0.04, 0.02])


def test_the_warm_up_begins_where_it_should():
    rates = schedules.build_schedule(Config(epochs=4, warmup_epochs=2, warmup_lr=0.2), 0.4, steps_per_epoch=5)
    assert [float(rates(step)) for step in (0, 5, 10)] == pytest.approx([0.2, 0.3, 0.4])


@pytest.mark.parametrize("flag", ["min_lr", "warmup_lr"])
def test_a_rate_above_the_peak_is_refused(flag):
    with pytest.raises(BadInput, match=rf"--{flag.replace('_', '-')} 0.5 is above the peak learning rate of 0.4"):
        schedules.build_schedule(Config(**{flag: 0.5}), 0.4, steps_per_epoch=5)


def test_schedule_round_trip():
    rates = schedules.build_schedule(Config(grad_accum_steps=3, min_lr=0.1, warmup_lr=0.2), 0.4, 7)
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(rates))
    assert again.get_config() == rates.get_config()
    assert [float(again(step)) for step in range(84)] == [float(rates(step)) for step in range(84)]
