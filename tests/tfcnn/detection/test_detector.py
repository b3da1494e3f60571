"""Detections from outputs, against the definitions in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcnn.detection import boxes, detector
from tfcnn.detection.examples import Example
from tfcnn.detection.suppression import suppress_by_class
from tfcnn.detection.targets import STD
from tfcnn.layers import WarpRegions2D

SIDE = 40
CLASSES = 3
RNG = np.random.default_rng(0)


def draw_regions(count):
    corners = RNG.uniform(0, 25, (count, 2))
    return np.concatenate([corners, corners + RNG.uniform(6, 15, (count, 2))], axis=1).astype("float32")


class Table(keras.layers.Layer):
    """Gives each region of an image the output that the image's first pixels hold."""

    def call(self, inputs):
        images, regions = inputs
        rows = keras.ops.reshape(images, (-1, SIDE * SIDE))[:, : 12 * (5 * CLASSES + 1)]
        return keras.ops.reshape(rows, (-1, 12, 5 * CLASSES + 1))[:, : keras.ops.shape(regions)[1]]

    def compute_output_shape(self, input_shape):
        return (None, None, 5 * CLASSES + 1)


def model_of_table():
    inputs = [keras.Input((SIDE, SIDE, 1)), keras.Input((None, 4))]
    return keras.Model(inputs, Table()(inputs))


def image_with(outputs):
    image = np.zeros((SIDE, SIDE, 1), "float32")
    image.reshape(-1)[: outputs.size] = outputs.ravel()
    return image


OUTPUTS = RNG.normal(scale=1.5, size=(12, 5 * CLASSES + 1)).astype("float32")
REGIONS = draw_regions(12)


def detect_slowly(outputs, regions, regression=True):
    """Softmax, displacement, clipping and suppression, one detection at a time."""
    rows = []
    for row, region in zip(outputs, regions, strict=True):
        scores = np.exp(row[: CLASSES + 1]) / np.exp(row[: CLASSES + 1]).sum()
        for label in range(CLASSES):
            deltas = row[CLASSES + 1 + 4 * label :][:4] * STD if regression else np.zeros(4)
            if scores[label] > detector.LEAST_SCORE:
                rows.append((*boxes.decode(deltas, region), scores[label], label))
    rows = np.array(rows)
    clipped = boxes.clip(rows[:, :4], SIDE, SIDE)
    kept = suppress_by_class(clipped, rows[:, 4], rows[:, 5], detector.SUPPRESSION)
    return clipped[kept], rows[kept, 4], rows[kept, 5]


@pytest.mark.parametrize("regression", [True, False])
def test_detections_are_those_of_the_definitions(regression):
    found = detector.detect(model_of_table(), image_with(OUTPUTS)[None], REGIONS[None], regression)
    expected_boxes, scores, labels = detect_slowly(OUTPUTS, REGIONS, regression)
    count = len(labels)
    np.testing.assert_allclose(found.boxes[0, :count], expected_boxes, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.scores[0, :count], scores, rtol=1e-5)
    np.testing.assert_array_equal(found.classes[0, :count], labels)
    assert set(found.classes[0, count:].numpy()) == {-1}


def test_padded_regions_are_no_detections():
    padded = np.concatenate([REGIONS[:5], np.full((7, 4), -1, "float32")])
    (alone,) = detector.detect_all(model_of_table(), [Example(image_with(OUTPUTS), REGIONS[:5], {})])
    found = detector.detect(model_of_table(), image_with(OUTPUTS)[None], padded[None])
    assert int((found.classes >= 0).numpy().sum()) == len(alone["labels"])


def test_each_image_has_its_own_detections():
    """Of batches and numbers of regions that differ."""
    others = RNG.normal(scale=1.5, size=OUTPUTS.shape).astype("float32")
    examples = [Example(image_with(OUTPUTS), REGIONS[:4], {}), Example(image_with(others), REGIONS[2:9], {})]
    together = detector.detect_all(model_of_table(), examples * detector.BATCH)
    for number, example in enumerate(examples):
        (alone,) = detector.detect_all(model_of_table(), [example])
        for name, values in alone.items():
            np.testing.assert_allclose(together[number + 2 * detector.BATCH - 2][name], values, rtol=1e-6)


def test_displacement_is_that_of_numpy():
    deltas = RNG.normal(size=(5, 4)).astype("float32")
    deltas[0, 2] = 50  # beyond the largest scaling
    np.testing.assert_allclose(
        detector.move(tf.constant(deltas), tf.constant(REGIONS[:5])), boxes.decode(deltas, REGIONS[:5]), rtol=1e-4
    )


def test_scores_of_a_network_that_warps_are_margins():
    inputs = [keras.Input((SIDE, SIDE, 1)), keras.Input((None, 4))]
    warped = keras.layers.Reshape((-1, 1))(WarpRegions2D(1)(inputs))
    outputs = keras.layers.Concatenate()([warped] * (5 * CLASSES + 1))
    model = keras.Model(inputs, outputs)
    (found,) = detector.detect_all(model, [Example(np.full((SIDE, SIDE, 1), 0.7, "float32"), REGIONS[:1], {})])
    np.testing.assert_allclose(found["scores"], [1 / (1 + np.exp(-0.7))] * CLASSES, rtol=1e-5)


def test_scores_of_a_network_that_warps_are_logits_before_its_svms():
    inputs = [keras.Input((SIDE, SIDE, 1)), keras.Input((None, 4))]
    warped = keras.layers.Reshape((-1, 1))(WarpRegions2D(1)(inputs))
    model = keras.Model(inputs, keras.layers.Concatenate()([warped] * (5 * CLASSES + 1)))
    examples = [Example(np.full((SIDE, SIDE, 1), 0.7, "float32"), REGIONS[:1], {})]
    (detections,) = detector.detector_of(model, margins=False)(examples)
    np.testing.assert_allclose(detections["scores"], [1 / (CLASSES + 1)] * CLASSES, rtol=1e-5)
