import subprocess
import sys

import pytest

from pipelines.augmentation.policy import NAMES, Augmentation, policy


def test_none_is_nothing():
    assert policy("none", side=32, characters=False) == Augmentation() == policy("none", side=500, characters=True)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "none"])
def test_policies_by_what_is_seen(name):
    small, large = (policy(name, side=side, characters=False) for side in (128, 129))
    digits = policy(name, side=224, characters=True)
    assert (small.hflip, large.hflip, digits.hflip) == (0.5, 0.5, 0)
    assert small.scale == digits.scale == (1.0, 1.0)
    assert large.scale[0] < 1
    assert (large.degrees, small.degrees, digits.degrees) == (0, 12, 12)
    assert policy(name, side=32, characters=True, hflip=0.25).hflip == 0.25
    assert policy(name, side=32, characters=False, hflip=0.0).hflip == 0
    rand = name == "rand"
    assert all((a.randaugment == (2, 9) and a.erase > 0) == rand for a in (small, large, digits))


def test_policies_are_read_without_tensorflow():
    code = "import sys, pipelines.augmentation.policy; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
