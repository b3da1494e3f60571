"""A file's answers against its network's: how far they are, and which score they give."""

import numpy as np
import pytest
import tensorflow as tf

from tfcnn.export.comparison import MOST_BEYOND, Examples, Followed, Row, problem_of, raw_examples, score_of
from tfcnn.results import Classes

FACTS = {"task": "classification", "image_shape": (4, 4, 1), "value_range": (0, 255), "mean": [0.5], "std": [0.25]}
ROW = Row("onnx", "none", 5e-4, 0.0, 1.0, 0.9, 0.9, 100, 1.0, 1.0, "")


def answer(probabilities):
    def serve(examples):
        return {"probabilities": probabilities[: len(examples)], "class": probabilities[: len(examples)].argmax(-1)}

    return serve


NETWORK = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], "float32")
OTHER = np.array([[0.9, 0.1], [0.25, 0.75], [0.4, 0.6], [0.3, 0.7]], "float32")


def test_difference_agreement_and_score():
    inputs = np.zeros((4, 4, 4, 1), "float32")
    targets = np.eye(2, dtype="float32")[[0, 1, 0, 1]]
    batches = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(4)

    class Standardisation:
        mean = (0.5,)
        std = (0.25,)

    file = Followed(answer(OTHER), answer(NETWORK), FACTS)
    score = score_of(file, FACTS, Examples(batches, Classes(["a", "b"], [0, 1]), "", 4, Standardisation()))
    assert file.difference == pytest.approx(0.2)
    assert (file.equal, file.classes) == (3, 4)
    assert (file.beyond, file.values) == (4, 8)
    assert score == 0.75


def test_a_file_without_weights_differs_by_infinity():
    file = Followed(answer(np.full_like(NETWORK, np.nan)), answer(NETWORK), FACTS)
    file.predict_on_batch(np.zeros((4, 4, 4, 1)))
    assert file.difference == np.inf
    assert file.beyond == file.values == 8


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_raw_examples_are_those_that_were_standardised(dtype):
    high = np.iinfo(dtype).max
    raw = np.random.default_rng(0).integers(0, high, (3, 4, 4, 1), endpoint=True).astype(dtype)
    facts = FACTS | {"value_range": (0, high), "dtype": dtype}
    inputs = ((raw / high - 0.5) / 0.25).astype("float32")
    restored = raw_examples(inputs, facts)
    assert restored.dtype == dtype
    np.testing.assert_array_equal(restored, raw)


@pytest.mark.parametrize(
    ("row", "task", "good"),
    [
        (ROW, "classification", True),
        (ROW._replace(difference=2e-3, beyond=1e-6), "classification", False),
        (ROW._replace(difference=np.inf, beyond=1.0), "classification", False),
        (ROW._replace(quantize="int8", difference=0.3, score=0.896), "segmentation", True),
        (ROW._replace(quantize="int8", score=0.894), "segmentation", False),
        (ROW._replace(quantize="int8", score=0.95), "segmentation", True),
        (ROW._replace(quantize="int8", score=0.89), "classification", True),  # one of 100 examples
        (ROW._replace(quantize="int8", score=0.88), "classification", False),
        (ROW._replace(quantize="dynamic", score=29.6, reference=30.0), "reconstruction", True),
        (ROW._replace(quantize="dynamic", score=29.4, reference=30.0), "reconstruction", False),
        (ROW._replace(quantize="int8", score=None, reference=None, agreement=0.96), "classification", True),
        (ROW._replace(quantize="int8", score=None, reference=None, agreement=0.94), "classification", False),
    ],
)
def test_bounds(row, task, good):
    assert (problem_of(row, task, 100) == "") == good


@pytest.mark.parametrize(("beyond", "good"), [(0.0, True), (9e-4, True), (2e-3, False), (1.0, False)])
def test_unpooling_may_move_a_few_values(beyond, good):
    problem = problem_of(ROW._replace(difference=0.03, beyond=beyond), "segmentation", 100, MOST_BEYOND)
    assert (problem == "") == good
    assert good or "of its outputs differ by more than 0.001 of their scale, and 0.10% are allowed" in problem
