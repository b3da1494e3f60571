"""Arrays become tensors of the same values, and exist once."""

import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import pipelines
from pipelines.shared_memory import as_tensor, empty_aligned, take_rows

RNG = np.random.default_rng(0)
STATUS = Path("/proc/self/status")


def mebibytes(field):
    return int(re.search(rf"{field}:\s+(\d+) kB", STATUS.read_text())[1]) / 1024


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


@pytest.mark.skipif(not STATUS.exists(), reason="counts memory as Linux does")
def test_examples_of_an_npz_file_exist_twice_while_they_are_cut_and_once_in_training(tmp_path):
    size = 64
    images = RNG.integers(0, 256, (size * 2**20 // (64 * 64 * 3), 64, 64, 3), np.uint8)
    np.savez(tmp_path / "data.npz", x=images, y=np.arange(len(images)) % 10)
    del images
    before = mebibytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    data = pipelines.load(str(tmp_path / "data.npz"), batch_size=32)
    assert mebibytes("VmHWM") - before < 2.6 * size
    for _ in data.train().take(2):
        pass
    assert mebibytes("VmRSS") - before < 1.6 * size
