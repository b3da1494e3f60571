"""What the machine does at most: one large product of matrices, and the sum of two arrays from memory."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tfcnn.cli.startup import import_tensorflow

SIDE = 4096  # of the matrices
PRODUCT_FLOPS = 2 * SIDE**3
FLOPS_OF_A_STEP = 3 * 2  # a MAC: forward, and the gradients by input and by kernel, of two operations each
NUMBERS = 2**26  # of each array, 256 MiB
SUM_BYTES = 3 * 4 * NUMBERS  # two arrays are read, one is written


def prepare_product(precision: str) -> Callable[[int], None]:
    """A function that multiplies two matrices a number of times by TensorFlow, "float32" or "bfloat16"."""
    import_tensorflow()
    import tensorflow as tf

    first, second = (tf.cast(tf.random.stateless_normal((SIDE, SIDE), (0, seed)), precision) for seed in (0, 1))

    def repeat(count: int) -> None:
        for _ in range(count):
            tf.linalg.matmul(first, second)

    return repeat


def prepare_sum() -> Callable[[int], None]:
    """A function that adds two arrays a number of times on all cores, as the benchmark STREAM does ("add")."""
    import numpy as np

    first, second, result = (np.ones(NUMBERS, "float32") for _ in range(3))
    cores = len(os.sched_getaffinity(0))
    bounds = [NUMBERS * core // cores for core in range(cores + 1)]
    parts = [slice(*pair) for pair in itertools.pairwise(bounds)]
    pool = ThreadPoolExecutor(cores)

    def repeat(count: int) -> None:
        for _ in range(count):
            list(pool.map(lambda part: np.add(first[part], second[part], out=result[part]), parts))

    return repeat
