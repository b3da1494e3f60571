"""The names of the package itself."""

import subprocess
import sys

import pytest

import tfcnn

PUBLIC = ["build", "cost", "feature_info", "layers", "list_archs", "load", "load_model", "receptive_field", "weights"]


def test_the_public_names_are_shown_and_nothing_else():
    assert [name for name in dir(tfcnn) if not name.startswith("__")] == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there(name):
    assert getattr(tfcnn, name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tfcnn' has no attribute 'biuld'"):
        tfcnn.biuld  # noqa: B018


@pytest.mark.slow
def test_the_import_needs_no_keras():
    code = (
        "import sys, tfcnn, tfcnn.train; from tfcnn.config import Config; Config(); tfcnn.list_archs();"
        "assert not {'tensorflow', 'keras', 'numpy', 'tensorflow_datasets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
