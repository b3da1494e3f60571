"""Arrays become tensors of the same values, and exist once."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipelines.shared_memory import as_tensor, empty_aligned, take_rows

RNG = np.random.default_rng(0)
STATUS = Path("/proc/self/status")
SIZE = 128  # MiB
MEASURED = """
import re, sys
from pathlib import Path

import pipelines


def mebibytes(field):
    return int(re.search(rf"{field}:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def load(name):
    return pipelines.load(f"{sys.argv[1]}/{name}.npz", batch_size=32)


kept = load("small")  # what TensorFlow needs once
before = mebibytes("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
data = load("large")
print(mebibytes("VmHWM") - before)
"""


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int64", "float32", "float64", "bool", "S3"])
def test_values_are_the_arrays(dtype):
    values = RNG.integers(0, 100, (5, 3, 2)).astype(dtype)
    for array in (values, values[::2], np.asfortranarray(values), values[:0]):
        tensor = as_tensor(array)
        np.testing.assert_array_equal(tensor.numpy().astype(dtype), array)
        assert tensor.shape == array.shape


def test_a_read_only_array():
    values = np.arange(6, dtype="float32")
    values.flags.writeable = False
    np.testing.assert_array_equal(as_tensor(values), values)


def test_an_aligned_array_shares_its_memory_and_outlives_its_name():
    values = empty_aligned((1000, 3), "float32")
    values[...] = 1
    tensor = as_tensor(values)
    values[7] = 2
    del values
    assert float(tf.reduce_sum(tensor)) == 3003


@pytest.mark.parametrize("dtype", ["uint8", "float64", object])
def test_rows(dtype):
    values = RNG.integers(0, 100, (20, 3)).astype(dtype)
    rows = np.array([3, 0, 19])
    taken = take_rows(values, rows)
    np.testing.assert_array_equal(taken, values[rows])
    assert taken.dtype == dtype


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="counts memory as Linux does")
def test_examples_of_an_npz_file_exist_twice_while_they_are_cut(tmp_path):
    """In a process whose memory nothing else has used: freed memory that is used again would not count."""
    for name, mebibytes in (("small", 1), ("large", SIZE)):
        images = RNG.integers(0, 256, (mebibytes * 2**20 // (64 * 64 * 3), 64, 64, 3), np.uint8)
        np.savez(tmp_path / f"{name}.npz", x=images, y=np.arange(len(images)) % 10)
    process = subprocess.run([sys.executable, "-c", MEASURED, tmp_path], capture_output=True, text=True, check=True)
    assert float(process.stdout) < 2.6 * SIZE
