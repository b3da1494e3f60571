"""The batches of the training loop."""

import tensorflow as tf

import pipelines
from pipelines.sources import uncopied
from tfcnn.config import Config
from tfcnn.training import loop


def test_a_run_that_stops_does_not_wait_for_the_tuner():
    """The dataset that a run iterates over has none; its order and its other options stay."""
    dataset = uncopied(tf.data.Dataset.range(5).map(lambda number: number + 1, tf.data.AUTOTUNE))
    untuned = loop._untuned(dataset)
    assert not untuned.options().autotune.enabled
    assert untuned.options().experimental_optimization.apply_default_optimizations is False
    assert list(untuned.as_numpy_iterator()) == [1, 2, 3, 4, 5]


def test_the_loop_iterates_without_the_tuner(monkeypatch):
    data = pipelines.load("digits", batch_size=64)
    seen = []
    monkeypatch.setattr(loop, "_untuned", lambda dataset: seen.append(dataset) or dataset)
    batches = loop.Loop(None, data, Config(epochs=2), None)._batches(0, data.steps_per_epoch - 1)
    assert sum(1 for _ in batches) == data.steps_per_epoch + 1
    assert len(seen) == 1
