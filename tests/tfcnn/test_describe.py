import re

import pytest


@pytest.mark.parametrize(
    ("flags", "parameters", "macs"),
    [
        ("--arch mobilenet", 4_253_864, 568_740_352),
        ("--arch mobilenet --width 0.5", 1_342_536, 149_497_088),
        ("--arch vgg16", 138_357_544, 15_470_264_320),
        ("--arch lenet5 --arch-args form=paper", 60_850, 326_520),
        ("--arch resnet20 --channels 3 --classes 10 --image-size 32", 271_098, 40_551_040),
    ],
)
def test_totals(flags, parameters, macs, run_command):
    done = run_command("tfcnn.describe", *flags.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(rf"^total +{parameters:,} +{macs:,}$", done.stdout, re.MULTILINE)


def test_channels_and_classes(run_command):
    done = run_command("tfcnn.describe", "--arch", "lenet5", "--channels", "3", "--classes", "7", "--image-size", "40")
    assert "for an image of 40x40x3" in done.stdout
    assert re.search(r"logits +Dense +7 ", done.stdout)
