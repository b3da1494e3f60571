import dataclasses
import subprocess
import sys

import pytest

from pipelines.augmentation.policy import NAMES, Augmentation, Policy, choose_augmentation
from pipelines.errors import BadData


def test_none_is_nothing():
    assert (
        choose_augmentation("none", side=32, characters=False)
        == Augmentation()
        == choose_augmentation("none", side=500, characters=True)
    )


def test_an_augmentation_is_left_as_it_is():
    augmentation = Augmentation(hflip=1.0, scale=(0.5, 1.0))
    assert choose_augmentation(augmentation, side=32, characters=True) is augmentation


def test_an_unknown_name_is_refused():
    with pytest.raises(BadData, match="augmentation must be one of none, shift, light, rand, got 'heavy'"):
        choose_augmentation("heavy", side=32, characters=False)


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_changes_the_named_augmentation(name):
    augmentation = choose_augmentation(name, side=500, characters=False)
    policy = Policy(name, color_jitter=0.3, erase=0.2, mixup=0.4, cutmix=1.0)
    expected = dataclasses.replace(augmentation, color_jitter=0.3, erase=0.2, mixup=0.4, cutmix=1.0)
    assert choose_augmentation(policy, side=500, characters=False) == expected


@pytest.mark.parametrize("margin", [0.0, 0.25])
def test_a_margin_replaces_the_random_crop(margin):
    augmentation = choose_augmentation(Policy(margin=margin), side=500, characters=False)
    assert (augmentation.margin, augmentation.scale) == (margin, (1.0, 1.0))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("characters", [False, True])
def test_a_share_of_mirrored_examples_belongs_to_every_policy(name, axes, characters):
    augmentation = choose_augmentation(Policy(name, hflip=0.3), side=32, characters=characters, axes=axes)
    before = choose_augmentation(name, side=32, characters=characters, axes=axes)
    assert augmentation == dataclasses.replace(before, hflip=0.3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", [32, 500])
def test_a_crop_and_a_vertical_flip_belong_to_every_policy(name, side):
    changes = {"scale": (0.08, 1.0), "ratio": (0.5, 2.0), "vflip": 0.5}
    augmentation = choose_augmentation(Policy(name, **changes), side=side, characters=False)
    before = choose_augmentation(name, side=side, characters=False)
    assert augmentation == dataclasses.replace(before, **changes)


def test_randaugment_of_another_strength():
    rand = choose_augmentation(Policy("rand", randaugment=(3, 5.0, 0.5)), side=32, characters=False)
    before = choose_augmentation("rand", side=32, characters=False)
    assert rand == dataclasses.replace(before, randaugment=(3, 5.0, 0.5))


@pytest.mark.parametrize(
    ("policy", "axes", "message"),
    [
        (Policy(ratio=(0.5, 2.0)), 2, "ratio is of random crops"),
        (Policy(ratio=(0.5, 2.0), scale=(1.0, 1.0)), 2, "ratio is of random crops"),
        (Policy(scale=(0.5, 1.0)), 1, "sounds are augmented without scale"),
        (Policy(ratio=(0.5, 1.0)), 3, "volumes are augmented without ratio"),
        *((Policy(margin=0.2), axes, "without margin") for axes in (1, 3)),
        *((Policy(erase=0.2), axes, "without erase") for axes in (1, 3)),
        *((Policy("rand", randaugment=(2, 9.0, 0.5)), axes, "without augmentation rand-...") for axes in (1, 3)),
        (Policy(hflip=0.5), 1, "without hflip"),
        (Policy(color_jitter=0.5), 3, "without color_jitter"),
    ],
)
def test_a_change_that_would_have_no_effect_is_refused(policy, axes, message):
    with pytest.raises(BadData, match=message):
        choose_augmentation(policy, side=32, characters=False, axes=axes)


@pytest.mark.parametrize("side", [28, 500])
@pytest.mark.parametrize(
    ("characters", "axes", "hflip"), [(False, 2, 0.5), (True, 2, 0), (False, 1, 0), (False, 3, 0.5)]
)
def test_shifts_are_those_of_cifar(side, characters, axes, hflip):
    """Four of 32 pixels, in training as published for it (He et al. 2015, section 4.2)."""
    augmentation = choose_augmentation("shift", side=side, characters=characters, axes=axes)
    assert augmentation == Augmentation(hflip=hflip, translate=4 / 32)


@pytest.mark.parametrize("name", ["light", "rand"])
def test_policies_by_what_is_seen(name):
    small, large = (choose_augmentation(name, side=side, characters=False) for side in (128, 129))
    digits = choose_augmentation(name, side=224, characters=True)
    assert (small.hflip, large.hflip, digits.hflip) == (0.5, 0.5, 0)
    assert small.scale == digits.scale == (1.0, 1.0)
    assert large.scale[0] < 1
    assert (large.degrees, small.degrees, digits.degrees) == (0, 12, 12)
    assert choose_augmentation(Policy(name, hflip=0.25), side=32, characters=True).hflip == 0.25
    assert choose_augmentation(Policy(name, hflip=0.0), side=32, characters=False).hflip == 0
    rand = name == "rand"
    assert all((a.randaugment == (2, 9) and a.erase > 0) == rand for a in (small, large, digits))


@pytest.mark.parametrize("name", ["light", "rand"])
def test_sounds_keep_their_direction_in_time(name):
    """A rising tone is not a falling one: sounds change pitch and sign."""
    sounds = choose_augmentation(name, side=32, characters=False, axes=1)
    assert sounds == Augmentation(vflip=0.5, translate=0.09, zoom=0.25)


def test_volumes_are_turned_by_rand_alone():
    light, rand = (choose_augmentation(name, side=32, characters=False, axes=3) for name in ("light", "rand"))
    assert light == Augmentation(hflip=0.5, translate=0.09)
    assert (rand.vflip, rand.quarter_turns, rand.degrees) == (0.5, True, 45.0)
    assert choose_augmentation(Policy(hflip=0.0), side=32, characters=False, axes=3).hflip == 0


@pytest.mark.slow
def test_policies_are_read_without_tensorflow():
    code = "import sys, pipelines.augmentation.policy; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
