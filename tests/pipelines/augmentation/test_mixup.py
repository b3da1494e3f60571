import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from pipelines.augmentation.mixup import mix
from pipelines.augmentation.policy import Augmentation

BATCH = 8
HEIGHT = 12
WIDTH = 20
# Image i is i everywhere, and its class is i: what was mixed can be read off.
IMAGES = np.tile(np.arange(BATCH, dtype=np.float32)[:, None, None, None], (1, HEIGHT, WIDTH, 3))
TARGETS = np.eye(BATCH, dtype=np.float32)


def mix_batch(a, seed=0, epoch=0, batch_number=0):
    images, targets = mix(tf.constant(IMAGES), tf.constant(TARGETS), seed, epoch, batch_number, a)
    return images.numpy(), targets.numpy()


def many(a, count):
    """The mixed batches 0 ... count - 1 of an epoch."""
    dataset = tf.data.Dataset.range(count).map(lambda number: mix(IMAGES, TARGETS, 0, 0, number, a))
    return dataset.as_numpy_iterator()


def partners(targets):
    """Weight of each example's own class, and the row of the other one (-1: none to be seen)."""
    own = targets.diagonal()
    others = targets * (1 - np.eye(BATCH))
    return own, np.where(others.max(axis=1) > 0, others.argmax(axis=1), -1)


def test_nothing_asked_for():
    images, targets = mix(IMAGES, TARGETS, 0, 0, 0, Augmentation())
    assert images is IMAGES
    assert targets is TARGETS


def test_mixup_is_the_weighted_mean_of_two():
    weights = []
    for images, targets in many(Augmentation(mixup=0.4), 60):
        own, partner = partners(targets)
        np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
        for i in range(BATCH):
            assert partner[i] != i
            expected = own[i] * i + (1 - own[i]) * max(partner[i], 0)
            np.testing.assert_allclose(images[i], expected, atol=1e-5)
        weights += own.tolist()
    assert scipy.stats.kstest(weights, "beta", (0.4, 0.4)).statistic < 0.08


def test_the_weight_of_cutmix_is_what_is_seen():
    shares = []
    boxes_at = np.zeros((HEIGHT, WIDTH))
    for images, targets in many(Augmentation(cutmix=1.0), 80):
        own, partner = partners(targets)
        for i in range(BATCH):
            pasted = images[i, :, :, 0] != i
            assert (images[i][pasted] == partner[i]).all()
            assert (images[i] == images[i, :, :, :1]).all()
            assert 1 - own[i] == pytest.approx(pasted.mean(), abs=1e-6)
            rows = pasted.any(axis=1)
            columns = pasted.any(axis=0)
            assert pasted.sum() == rows.sum() * columns.sum()  # one box
            assert abs(np.diff(np.flatnonzero(rows))).max(initial=1) == 1
            boxes_at += pasted
            shares.append(pasted.mean())
    # The share of the uncut box is uniform and its centre is anywhere: simulated in NumPy.
    rng = np.random.default_rng(0)
    side = np.sqrt(rng.uniform(size=20000))
    y, x = rng.uniform(size=(2, 20000))
    cut = [np.minimum(c + side / 2, 1) - np.maximum(c - side / 2, 0) for c in (y, x)]
    assert scipy.stats.ks_2samp(shares, cut[0] * cut[1]).statistic < 0.08
    everywhere = boxes_at / len(shares)
    np.testing.assert_allclose(everywhere, everywhere[::-1, ::-1], atol=0.09)
    assert everywhere.min() > 0.1


def test_both_are_drawn_evenly():
    kinds = []
    for images, _ in many(Augmentation(mixup=1.0, cutmix=1.0), 300):
        kinds.append((images == np.round(images)).all())  # pasted values are whole
    assert np.mean(kinds) == pytest.approx(0.5, abs=0.1)


@pytest.mark.slow
def test_a_function_of_seed_epoch_and_batch():
    a = Augmentation(mixup=1.0, cutmix=1.0)
    first = mix_batch(a, 1, 2, 3)
    again = tf.function(mix)(IMAGES, TARGETS, *(tf.constant(n, tf.int64) for n in (1, 2, 3)), a)
    for x, y in zip(first, again, strict=True):
        np.testing.assert_allclose(x, y, atol=1e-6)
    for other in ((0, 2, 3), (1, 0, 3), (1, 2, 4)):
        assert (mix_batch(a, *other)[1] != first[1]).any()
    result = {tuple(partners(targets)[1]) for _, targets in many(a, 40)}
    assert len(result) >= BATCH - 1


def test_a_batch_of_one_stays_and_shapes_are_known():
    images, targets = mix(IMAGES[:1] + 9, TARGETS[:1], 0, 0, 0, Augmentation(mixup=1.0, cutmix=1.0))
    np.testing.assert_allclose(images, IMAGES[:1] + 9, rtol=1e-6)
    np.testing.assert_array_equal(targets, TARGETS[:1])
    dataset = tf.data.Dataset.from_tensors((IMAGES, TARGETS))
    dataset = dataset.map(lambda x, y: mix(x, y, 0, 0, 0, Augmentation(mixup=1.0, cutmix=1.0)))
    assert [spec.shape for spec in dataset.element_spec] == [IMAGES.shape, TARGETS.shape]
