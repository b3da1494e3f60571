import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pipelines
from pipelines.augmentation.policy import Augmentation, Policy
from tests.pipelines.files import two_classes


def batches(data, *args, **kwargs):
    return list(data.train(*args, **kwargs).as_numpy_iterator())


def rows(data, epoch):
    """The training images of an epoch, one by one."""
    return np.concatenate([images for images, _ in batches(data, 1, epoch)])


@pytest.fixture(scope="module")
def digits():
    return pipelines.load("digits", batch_size=32)


@pytest.fixture(scope="module")
def plain():
    return pipelines.load("digits", batch_size=32, augmentation="none")


def test_facts(digits):
    facts = digits.facts()
    assert facts["task"] == "classification"
    assert (facts["image_shape"], facts["num_classes"], facts["value_range"]) == ((32, 32, 1), 10, (0, 255))
    assert facts["class_names"] == tuple("0123456789")
    assert facts["sizes"] == {"train": 1257, "validation": 180, "test": 360}
    assert facts["augmentation"]["degrees"] == 12
    assert facts["augmentation"]["hflip"] == 0
    assert len(facts["fingerprint"]) == 32
    assert "1,797 examples decoded in memory, 7.0 MiB" in facts["storage"]  # 1797 x 32 x 32 float32
    json.dumps(facts)


def test_splits_hold_every_scan_once_and_are_stratified(plain):
    from sklearn.datasets import load_digits

    scans = load_digits()
    data = pipelines.load("digits", image_size=8, augmentation="none")
    examples = []
    for split, size in data.sizes.items():
        images, targets = (
            np.concatenate(part) for part in zip(*data.evaluation(split).as_numpy_iterator(), strict=True)
        )
        assert len(images) == size
        shares = targets.mean(0)
        np.testing.assert_allclose(shares, np.bincount(scans.target) / len(scans.target), atol=0.01)
        pixels = np.round((images * data.std[0] + data.mean[0]) * 16)
        examples += [
            (*image.ravel().astype(int), label) for image, label in zip(pixels, targets.argmax(1), strict=True)
        ]
    expected = [(*image.ravel().astype(int), label) for image, label in zip(scans.images, scans.target, strict=True)]
    assert sorted(examples) == sorted(expected)


def test_an_epoch_is_a_permutation_and_the_next_is_another(plain):
    first = rows(plain, 0)
    second = rows(plain, 1)
    assert len(first) == plain.steps_per_epoch * 32 == 1248
    flat = {image.tobytes() for image in first}
    everything = {image.tobytes() for images, _ in plain.evaluation("train").as_numpy_iterator() for image in images}
    assert flat <= everything
    assert len(everything) - len(flat) <= len(everything) - 1248 + 9  # some scans are equal
    assert (first != second).any()


@pytest.mark.slow
@pytest.mark.parametrize("policy", [Policy(), Policy(mixup=0.2, cutmix=1.0)], ids=["single", "mixed"])
def test_order_augmentation_and_mixing_do_not_depend_on_what_was_before(policy):
    data = pipelines.load("digits", batch_size=32, augmentation=policy)
    whole = batches(data, 2)
    steps = data.steps_per_epoch
    assert len(whole) == 2 * steps
    for resumed, expected in zip(batches(data, 1, first_epoch=1, first_step=3), whole[steps + 3 :], strict=True):
        np.testing.assert_array_equal(resumed[0], expected[0])
        np.testing.assert_array_equal(resumed[1], expected[1])


@pytest.mark.slow
def test_the_seed_decides():
    first, same, other = (pipelines.load("digits", seed=seed).train() for seed in (3, 3, 4))
    first, same, other = (next(iter(dataset))[0].numpy() for dataset in (first, same, other))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


@pytest.mark.slow
@pytest.mark.parametrize("source", ["digits", "a folder"])
def test_seed_and_epoch_decide_augmentation(source, tmp_path):
    """And not the order alone: another seed or epoch has none of the images, wherever they stand."""
    if source == "a folder":
        rng = np.random.default_rng(0)
        two_classes(tmp_path, lambda label, number: rng.integers(0, 256, (40, 50, 3), np.uint8))
    name = "digits" if source == "digits" else str(tmp_path)
    first, *others = (
        {image.tobytes() for image in rows(pipelines.load(name, seed=seed, batch_size=4, image_size=32), epoch)}
        for seed, epoch in ((3, 0), (4, 0), (3, 1))
    )
    for other in others:
        assert not first & other


@pytest.mark.slow
def test_draws_belong_to_the_example_and_not_to_its_place():
    """Augmentation is a function of (seed, epoch, example): another batch size moves no example's augmentation."""
    small, large = (rows(pipelines.load("digits", batch_size=size), 1) for size in (8, 64))
    common = {image.tobytes() for image in small} & {image.tobytes() for image in large}
    assert len(common) >= 1208


def test_training_images_are_augmented_and_evaluation_images_are_not(digits, plain):
    assert (rows(digits, 0) != rows(plain, 0)).any(axis=(1, 2, 3)).mean() > 0.99
    a, b = (next(iter(data.evaluation("test")))[0].numpy() for data in (digits, plain))
    np.testing.assert_array_equal(a, b)


def test_standardised_by_the_training_images():
    data = pipelines.load("digits", image_size=8)
    images = np.concatenate([images for images, _ in data.evaluation("train").as_numpy_iterator()])
    assert images.mean() == pytest.approx(0, abs=1e-3)
    assert images.std() == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_resizing_is_that_of_pillow():
    small, large = (pipelines.load("digits", image_size=size) for size in (8, 20))
    before, after = (next(iter(data.evaluation("test")))[0][0, ..., 0].numpy() for data in (small, large))
    oracle = Image.fromarray(before).resize((20, 20), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(after, np.asarray(oracle), atol=1e-4)


def test_batches_have_the_promised_types(digits):
    images, targets = next(iter(digits.train()))
    assert (images.shape, images.dtype) == ((32, 32, 32, 1), tf.float32)
    assert (targets.shape, targets.dtype) == ((32, 10), tf.float32)
    assert (targets.numpy().sum(1) == 1).all()


def test_too_few_images_for_a_batch():
    with pytest.raises(pipelines.BadData, match=r"1257 training examples, fewer than a batch of 2000 \(batch_size\)"):
        pipelines.load("digits", batch_size=2000)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Two classes by colour; large enough to be decoded at a quarter of the size; one file that only Pillow reads."""
    root = tmp_path_factory.mktemp("photographs")
    for label, colour in (("blue", (10, 20, 240)), ("red", (240, 20, 10))):
        for i in range(10):
            suffix = "webp" if i == 3 else "png" if i == 4 else "jpg"
            folder = root / {8: "validation", 9: "test"}.get(i, "train") / label
            folder.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (400 + i, 300), colour).save(folder / f"{i}.{suffix}")
    return root


@pytest.mark.parametrize("memory", [2048, 0])
def test_a_folder(photographs, memory, tmp_path):
    options = {"batch_size": 4, "image_size": 48, "data_memory": memory, "data_dir": str(tmp_path)}
    data = pipelines.load(str(photographs), **options)
    assert (data.task, data.class_names, data.image_shape) == ("classification", ("blue", "red"), (48, 48, 3))
    assert data.sizes == {"train": 16, "validation": 2, "test": 2}
    assert data.name == str(photographs)
    for split in ("validation", "test"):
        for inputs, targets in data.evaluation(split):
            assert ((inputs[:, 24, 24, 0] > 0).numpy() == (targets[:, 1] == 1).numpy()).all()
    for inputs, targets in batches(data, 2):
        assert ((inputs[:, 24, 24, 0] > 0) == (targets[:, 1] == 1)).all()
    assert data.counts().tolist() == [8, 8]


def digest_of_batches(folder, seed, data_dir):
    policy = Policy("rand", mixup=0.3, cutmix=1.0)
    data = pipelines.load(folder, batch_size=4, image_size=48, seed=seed, augmentation=policy, data_dir=data_dir)
    digest = hashlib.sha256()
    for images, targets in data.train(2).as_numpy_iterator():
        digest.update(images.tobytes() + targets.tobytes())
    return digest.hexdigest()


@pytest.mark.slow
def test_another_process_gets_the_same_batches(photographs, tmp_path):
    arguments = (str(photographs), 3, str(tmp_path))
    code = f"import runpy; print(runpy.run_path({__file__!r})['digest_of_batches'](*{arguments}))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    first = digest_of_batches(*arguments)
    assert process.stdout.strip() == first, process.stderr
    assert digest_of_batches(str(photographs), 4, str(tmp_path)) != first


def test_volumes_in_an_npz_file(tmp_path):
    volumes = np.zeros((40, 8, 8, 8, 1), np.uint8)
    volumes[20:, 2:6, 2:6, 2:6] = 255
    np.savez(tmp_path / "cubes.npz", x=volumes, y=np.repeat([0, 1], 20))
    data = pipelines.load(str(tmp_path / "cubes.npz"), batch_size=8)
    inputs, targets = next(iter(data.train()))
    assert (inputs.shape, targets.shape) == ((8, 8, 8, 8, 1), (8, 2))
    assert data.task == "classification"


@pytest.mark.parametrize("augmentation", ["none", "light"])
def test_masks_in_an_npz_file(augmentation, tmp_path):
    """Bright squares whose masks lie over them, resized from 20 to 32 pixels."""
    masks = np.zeros((40, 20, 20), np.uint8)
    masks[:, 5:15, 5:15] = 1
    np.savez(tmp_path / "squares.npz", x=200 * masks, y=masks)
    data = pipelines.load(str(tmp_path / "squares.npz"), batch_size=8, augmentation=augmentation)
    inputs, targets = batches(data)[0]
    assert (inputs.shape, targets.shape, targets.dtype) == ((8, 32, 32, 1), (8, 32, 32), np.int32)
    bright = inputs[..., 0] * data.std[0] + data.mean[0] > 100 / 255
    assert (bright == (targets == 1)).mean() > 0.95


def test_mixing_needs_images(tmp_path):
    np.savez(tmp_path / "sounds.npz", x=np.zeros((40, 100, 1), np.int16), y=np.repeat([0, 1], 20))
    with pytest.raises(pipelines.BadData, match="MixUp and CutMix are for the classification of images"):
        pipelines.load(str(tmp_path / "sounds.npz"), batch_size=8, augmentation=Policy(mixup=0.2))


def test_a_window_of_fixed_scale(photographs, tmp_path):
    """The image at a shorter side of 64, of which 48 x 48 pixels at a random place are seen; kept small."""
    ramp = np.tile((np.arange(400) // 2).astype(np.uint8)[None, :, None], (300, 1, 3))  # grey = x / 2
    root = tmp_path / "ramps"
    two_classes(root, lambda label, number: ramp)
    data = pipelines.load(
        str(root),
        image_size=48,
        batch_size=4,
        augmentation=Augmentation(margin=1 / 3),
        mean=(0,) * 3,
        std=(1,) * 3,
        data_dir=str(tmp_path),
    )
    first, later = (np.concatenate([inputs for inputs, _ in batches(data, 1, epoch)]) * 255 for epoch in (0, 1))
    for inputs in (first, later):
        assert inputs.shape == (16, 48, 48, 3)
        slope = np.diff(inputs[:, 24, :, 0], axis=1)[:, 4:-4]
        np.testing.assert_allclose(slope.mean(1), 300 / 64 / 2, rtol=0.05)
        assert 10 < inputs[:, 24, 0, 0].std() < 40  # 0 ... 86 of the image's 200 grey levels
    assert data.preparation.cache.table.size() == 16
    image = tf.io.parse_tensor(data.preparation.cache.table.lookup(tf.constant(0, tf.int64)), tf.uint8)
    assert image.shape == (64, 85, 3)


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Sixteen training images of 400 x 600, one of them 500 x 600, and two each of the other splits."""
    root = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)

    def pixels(label, number):
        return rng.integers(0, 256, (500 if (label, number) == ("one", 5) else 400, 600, 3), np.uint8)

    two_classes(root, pixels)
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    ("memory", "validation", "kept"),
    [
        (2, False, 2),  # of 2.0 MiB one validation batch would take 1.5
        (6, True, 6),  # 4.5 MiB are left, for the image of 0.9 and five of 0.7
        (16, True, 16),
    ],
)
def test_no_more_is_kept_than_the_memory_allows(noise, memory, validation, kept, tmp_path):
    options = {"image_size": 256, "batch_size": 16, "data_memory": memory, "data_dir": str(tmp_path)}
    data = pipelines.load(str(noise), **options)
    assert ("validation batches kept, 1.5 MiB" in data.storage) is validation
    assert f"; {kept} of 16 training images kept once decoded" in data.storage
    batches(data, 1)
    assert data.preparation.cache.table.size() == kept
    assert data.preparation.spare == 500 / 256


def test_a_window_is_at_every_place(tmp_path):
    """Of an image of 50 columns 48 are seen: from the first, the second or the third on."""
    ramp = np.tile(np.arange(50, dtype=np.uint8)[None, :, None], (50, 1, 3))
    two_classes(tmp_path, lambda label, number: ramp, count=20)
    data = pipelines.load(
        str(tmp_path),
        image_size=48,
        batch_size=16,
        augmentation=Augmentation(margin=1 / 24),
        mean=(0,) * 3,
        std=(1,) * 3,
    )
    assert set(np.round(rows(data, 0)[:, 0, 0, 0] * 255)) == {0, 1, 2}


@pytest.mark.slow
def test_kept_images_are_not_read_again(noise, tmp_path):
    root = shutil.copytree(noise, tmp_path / "copy")
    data = pipelines.load(str(root), image_size=64, batch_size=16, data_dir=str(tmp_path))
    test = data.evaluation("test")
    ((before, _),) = data.evaluation("validation").as_numpy_iterator()
    list(test)
    batches(data, 1)
    shutil.rmtree(root)
    ((again, _),) = data.evaluation("validation").as_numpy_iterator()
    np.testing.assert_array_equal(again, before)
    assert len(batches(data, 1, first_epoch=1)) == 1
    with pytest.raises(tf.errors.NotFoundError):  # test images are not kept
        list(test)


def test_mean_and_deviation_are_of_examples_from_all_over_the_training_split(tmp_path):
    """More than are measured, the first half black, the second white."""
    images = np.repeat([0, 255], 4500).astype(np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    np.savez(tmp_path / "halves.npz", x=images, y=np.arange(9000) % 2)
    data = pipelines.load(str(tmp_path / "halves.npz"))
    assert data.mean[0] == pytest.approx(0.5, abs=0.02)
    assert data.std[0] == pytest.approx(0.5, abs=0.02)
