"""Sounds and volumes that are augmented, against NumPy and SciPy."""

import itertools

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from scipy.spatial.transform import Rotation

from pipelines.augmentation import draws as column
from pipelines.augmentation.augment import augment_volumes, augment_waveforms
from pipelines.augmentation.draws import draw_epoch
from pipelines.augmentation.policy import Augmentation


def test_waveforms_are_shifted_into_silence_and_scaled():
    count = 300
    length = 50
    waves = np.random.default_rng(0).uniform(1, 2, (count, length, 2)).astype(np.float32)
    draws = draw_epoch(0, 0, count)
    assert augment_waveforms(waves, draws, Augmentation()) is waves
    shifted = augment_waveforms(tf.constant(waves), draws, Augmentation(translate=0.2)).numpy()
    steps = []
    for wave, result in zip(waves, shifted, strict=True):
        silent = (result == 0).all(axis=1)
        by = int(silent.sum()) * (1 if silent[0] else -1)
        expected = np.zeros_like(wave)
        expected[max(by, 0) : length + min(by, 0)] = wave[max(-by, 0) : length - max(by, 0)]
        np.testing.assert_array_equal(result, expected)
        steps.append(by)
    assert set(steps) == set(range(-10, 11))
    louder = augment_waveforms(tf.constant(waves), draws, Augmentation(color_jitter=0.3)).numpy() / waves
    np.testing.assert_allclose(louder, np.broadcast_to(louder[:, :1, :1], louder.shape), rtol=1e-5)
    assert 0.7 <= louder.min() < 0.72
    assert 1.28 < louder.max() <= 1.301


def test_waveforms_are_played_at_another_speed():
    """A sine stays one, of another pitch, about the middle of the sound."""
    length = 400
    pitch = 0.3  # radians a sample
    draws = draw_epoch(0, 0, 50)
    time = np.arange(length) - (length - 1) / 2
    waves = np.tile(np.sin(pitch * time).astype(np.float32)[None, :, None], (50, 1, 1))
    result = augment_waveforms(tf.constant(waves), draws, Augmentation(zoom=0.4)).numpy()[..., 0]
    factors = np.exp(0.4 * (2 * draws.numpy()[:, column.ZOOM] - 1))
    for factor, sound in zip(factors, result, strict=True):
        inside = abs(time / factor) < length / 2 - 2  # near the ends it is blended with silence
        np.testing.assert_allclose(sound[inside], np.sin(pitch * time[inside] / factor), atol=0.01)
        assert (sound[abs(time / factor) > length / 2] == 0).all()
    assert factors.min() < 0.7 < 1.4 < factors.max()


def test_waveforms_change_sign():
    waves = tf.ones([1000, 4, 1])
    result = augment_waveforms(waves, draw_epoch(0, 0, 1000), Augmentation(vflip=0.25)).numpy()[..., 0]
    np.testing.assert_array_equal(abs(result), 1)
    assert (result[:, 0] < 0).mean() == pytest.approx(0.25, abs=0.04)


def test_waveforms_whose_silence_is_not_zero():
    waves = np.random.default_rng(0).normal(size=(20, 60, 1)).astype(np.float32)
    draws = draw_epoch(0, 0, 20)
    everything = Augmentation(zoom=0.2, translate=0.2, vflip=0.5, color_jitter=0.5)
    result = augment_waveforms(tf.constant(waves + 100), draws, everything, silence=100.0).numpy()
    np.testing.assert_allclose(result - 100, augment_waveforms(tf.constant(waves), draws, everything), atol=1e-4)


def test_volumes_are_turned_and_zoomed_to_the_nearest_voxel():
    """As SciPy turns them, which turns about the same middle."""
    volumes = np.random.default_rng(0).integers(1, 255, (6, 9, 10, 11, 2)).astype(np.float32)
    draws = draw_epoch(3, 0, 6)
    result = augment_volumes(tf.constant(volumes), draws, Augmentation(degrees=180.0, zoom=0.3)).numpy()
    centred = 2 * draws.numpy() - 1
    angles = 180 * centred[:, [column.ANGLE, column.ANGLE_Y, column.ANGLE_X]]
    middle = (np.array(volumes.shape[1:4]) - 1) / 2
    for volume, turned, (x_y, x_z, y_z), zoom in zip(volumes, result, angles, centred[:, column.ZOOM], strict=True):
        # A turn in the plane of the axes 1 and 2 is one about the axis 0, in that of 0 and 2 against the axis 1.
        turn = Rotation.from_euler("XYZ", [x_y, -x_z, y_z], degrees=True).as_matrix() / np.exp(0.3 * zoom)
        expected = np.stack(
            [
                scipy.ndimage.affine_transform(volume[..., i], turn, middle - turn @ middle, order=0, mode="constant")
                for i in range(2)
            ],
            axis=-1,
        )
        inside = expected > 0  # SciPy's volume ends at the centres of its outermost voxels
        assert (turned == expected)[inside].mean() > 0.995  # a place halfway between two voxels has two nearest ones
        assert inside.mean() > 0.3


def test_quarter_turns_and_flips_give_the_symmetries_of_a_cube():
    """Its 48, without a voxel changed."""
    cube = np.arange(27, dtype=np.float32).reshape(1, 3, 3, 3, 1)
    volumes = tf.constant(np.repeat(cube, 2000, axis=0))
    result = augment_volumes(volumes, draw_epoch(0, 0, 2000), Augmentation(hflip=0.5, vflip=0.5, quarter_turns=True))
    ways = {
        np.flip(cube[0, ..., 0].transpose(order), [axis for axis in range(3) if flips[axis]]).tobytes()
        for order in itertools.permutations(range(3))
        for flips in np.ndindex(2, 2, 2)
    }
    assert {each.tobytes() for each in result.numpy()} == ways


def test_masks_of_volumes_are_turned_with_them():
    volumes = np.random.default_rng(0).integers(1, 7, (5, 8, 8, 8, 1)).astype(np.int32)
    draws = draw_epoch(0, 0, 5)
    turned = Augmentation(hflip=0.5, vflip=0.5, degrees=30.0, translate=0.2, zoom=0.2)
    values = augment_volumes(tf.constant(volumes, tf.float32), draws, turned).numpy()
    masks = augment_volumes(tf.constant(volumes), draws, turned, 255).numpy()
    np.testing.assert_array_equal(masks, np.where(values == 0, 255, values))
    assert 0 < (masks == 255).mean() < 0.5


def test_volumes_are_mirrored_and_shifted_by_whole_voxels():
    count = 400
    shape = (6, 7, 8)
    volume = np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(*shape, 1)
    volumes = tf.constant(np.tile(volume[None], (count, 1, 1, 1, 1)))
    draws = draw_epoch(0, 0, count)
    assert augment_volumes(volumes, draws, Augmentation()) is volumes
    ways = {
        flips: np.flip(volume, [axis for axis, flip in enumerate(flips) if flip]).tobytes()
        for flips in np.ndindex(2, 2, 2)
    }
    result = augment_volumes(volumes, draws, Augmentation(hflip=0.5, vflip=0.25)).numpy()
    shares = np.array([[each.tobytes() == way for way in ways.values()] for each in result])
    assert (shares.sum(axis=1) == 1).all()
    per_axis = np.array(list(ways))[shares.argmax(axis=1)].mean(axis=0)
    np.testing.assert_allclose(per_axis, [0.5, 0.25, 0.5], atol=0.08)  # depth, height, width
    moved = augment_volumes(volumes, draws, Augmentation(translate=0.3)).numpy()
    shifts = set()
    for each in moved:
        z, y, x, _ = np.argwhere(each > 0).min(axis=0)
        origin = np.unravel_index(int(each[z, y, x, 0]) - 1, shape)
        shift = tuple(int(place - start) for place, start in zip((z, y, x), origin, strict=True))
        expected = np.zeros_like(volume)
        to, source = (
            tuple(slice(max(sign * b, 0), n + min(sign * b, 0)) for b, n in zip(shift, shape, strict=True))
            for sign in (1, -1)
        )
        expected[to] = volume[source]
        np.testing.assert_array_equal(each, expected)
        shifts.add(shift)
    for axis, most in enumerate((2, 2, 2)):
        assert {shift[axis] for shift in shifts} == set(range(-most, most + 1))
