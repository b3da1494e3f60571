"""The flags of tuning.scale."""

import subprocess
import sys

import pytest

from tfcnn.config import Config
from tfcnn.errors import BadInput
from tuning import scale


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seeds", "0"], "--seeds must be a whole number at least 1, got '0'"),
        (["--step", "x"], "--step must be a number above 0 and at most 1, got 'x'"),
        (["--tolerance", "nan"], "--tolerance must be a number above 0"),
        (["--tradeoff", "--widths", "0.5", "-1"], "--widths must be a number above 0 and at most 16, got '-1'"),
        (["--tradeoff", "--sizes", "8"], "images of 8x8 are too small for mobilenet: it needs 16 pixels"),
        (["--tradeoff", "--width", "0.5"], "--tradeoff takes several: give --widths"),
        (["--tradeoff", "--image-size", "32"], "--tradeoff takes several: give --sizes"),
        (["--widths", "0.5"], "--widths and --sizes go with --tradeoff"),
        (["--arch", "unet"], "unet is for segmentation"),
        (["--arch", "mobilenit"], "did you mean mobilenet"),
    ],
)
def test_bad_flags(flags, message, monkeypatch):
    monkeypatch.setattr("sys.argv", ["scale", *flags])
    with pytest.raises(BadInput) as caught:
        scale.main()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), (4, 0.5)),
        (("--epochs", "7"), (7, Config().warmup_epochs)),
        (("--warmup-epochs", "0.5"), (4, 0.5)),
        (("--warmup-epochs", "1"), (4, 1)),
        (("--recipe", "default"), (Config().epochs, Config().warmup_epochs)),
    ],
)
def test_flags_that_are_not_given(monkeypatch, tmp_path, flags, expected):
    """As for tuning.search: runs are short unless flags say otherwise."""
    configs = []
    monkeypatch.setattr(scale, "compound", lambda config, *more: configs.append(config))
    monkeypatch.setattr("sys.argv", ["scale", "--arch", "lenet5", "--study", str(tmp_path / "study"), *flags])
    scale.main()
    assert [(config.epochs, config.warmup_epochs) for config in configs] == [expected]


@pytest.mark.slow
def test_help_needs_no_tensorflow():
    code = (
        "import sys; from tuning import scale; sys.argv = ['scale', '--help']\n"
        "try: scale.main()\nexcept SystemExit: assert not {'tensorflow', 'keras', 'numpy', 'optuna'} & set(sys.modules)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--tradeoff" in process.stdout
