import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcnn import losses
from tfcnn.errors import BadInput
from tfcnn.losses import MulticlassHinge
from tfcnn.tasks import TASKS

RNG = np.random.default_rng(0)
SCORES = RNG.normal(scale=3, size=(6, 5))
LABELS = np.array([0, 4, 2, 2, 1, 3])
ONE_HOT = np.eye(5)[LABELS]


def loop(scores, labels, margin):
    return [
        sum(max(0.0, row[i] - row[label] + margin) for i in range(len(row)) if i != label)
        for row, label in zip(scores, labels, strict=True)
    ]


@pytest.mark.parametrize("margin", [1.0, 0.25])
def test_the_hinge_by_its_definition(margin):
    each = MulticlassHinge(margin, reduction=None, dtype="float64")(ONE_HOT, SCORES)
    np.testing.assert_allclose(each, loop(SCORES, LABELS, margin), rtol=1e-12)
    mean = MulticlassHinge(margin, dtype="float64")(ONE_HOT, SCORES)
    assert float(mean) == pytest.approx(np.mean(loop(SCORES, LABELS, margin)))


def test_the_gradient_of_the_hinge():
    scores = tf.Variable(SCORES)
    with tf.GradientTape() as tape:
        loss = MulticlassHinge(reduction="sum", dtype="float64")(ONE_HOT, scores)
    gradient = tape.gradient(loss, scores).numpy()
    for place in np.ndindex(SCORES.shape):
        moved = [SCORES.copy(), SCORES.copy()]
        moved[0][place] += 1e-6
        moved[1][place] -= 1e-6
        above, below = (sum(loop(m, LABELS, 1.0)) for m in moved)
        assert gradient[place] == pytest.approx((above - below) / 2e-6, abs=1e-6)


def test_the_hinge_differs_from_that_of_keras():
    """Which takes the worst class alone, and 0 for it where every wrong score is negative."""
    y_true = np.array([[1, 0, 0]])
    scores = np.array([[-1.0, -5.0, -6.0]])
    assert float(MulticlassHinge()(y_true, scores)) == 0
    assert float(keras.losses.CategoricalHinge()(y_true, scores)) == 2
    scores = np.array([[0.0, 2.0, 1.0]])
    assert float(MulticlassHinge()(y_true, scores)) == 3 + 2
    assert float(keras.losses.CategoricalHinge()(y_true, scores)) == 3


@pytest.mark.slow
def test_training():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(5)])
    model.compile("sgd", MulticlassHinge(margin=0.5), jit_compile=True)
    history = [model.train_on_batch(SCORES.astype("float32"), ONE_HOT) for _ in range(20)]
    assert history[-1] < history[0]


def test_half_precision_scores():
    loss = MulticlassHinge(dtype="float32")(ONE_HOT, tf.constant(SCORES, "bfloat16"))
    assert float(loss) == pytest.approx(np.mean(loop(SCORES, LABELS, 1.0)), rel=0.02)


def test_margin_must_be_above_zero():
    with pytest.raises(ValueError, match="above 0, got 0"):
        MulticlassHinge(margin=0)


# Softmax and sigmoid of single vectors in float64, and the losses as loops over positions.


def log_softmax(row):
    return row - np.log(np.exp(row - row.max()).sum()) - row.max()


def smooth(target, smoothing):
    return target * (1 - smoothing) + smoothing / len(target)


def cross_entropy(target, row):
    return -(target * log_softmax(row)).sum()


def bce(target, row):
    p = 1 / (1 + np.exp(-row))
    return -np.mean(target * np.log(p) + (1 - target) * np.log(1 - p))


def focal(target, row):
    p = np.exp(log_softmax(row))
    return -sum(t * (1 - q) ** 2 * np.log(q) for t, q in zip(target, p, strict=True))


def dice(labels, logits):
    """Of one image: mean over its classes."""
    pixels = [(labels[place], np.exp(log_softmax(logits[place]))) for place in np.ndindex(labels.shape)]
    pixels = [(label, p) for label, p in pixels if label != 255]
    each = []
    for c in {label for label, _ in pixels}:
        both = sum(p[c] for label, p in pixels if label == c)
        each.append(1 - 2 * both / (sum(p[c] ** 2 for _, p in pixels) + sum(label == c for label, _ in pixels)))
    return np.mean(each) if each else 0.0


def over_valid(of_pixel, masks, logits):
    classes = np.eye(logits.shape[-1])
    values = [of_pixel(classes[masks[i]], logits[i]) for i in np.ndindex(masks.shape) if masks[i] != 255]
    return np.mean(values) if values else 0.0


SOFT = 0.7 * ONE_HOT + 0.3 * ONE_HOT[::-1]
LOGITS = RNG.normal(scale=2, size=(3, 5, 4, 4))
MASKS = RNG.integers(0, 3, (3, 5, 4)).astype("int32")  # class 3 is in no mask
MASKS[0, :2] = 255
MASKS[1] = 255
EXPECTED = {
    "cross_entropy": over_valid(cross_entropy, MASKS, LOGITS),
    "focal": over_valid(focal, MASKS, LOGITS),
    "dice": np.mean([dice(m, x) for m, x in zip(MASKS, LOGITS, strict=True)]),
}
EXPECTED["dice_ce"] = EXPECTED["dice"] + EXPECTED["cross_entropy"]


@pytest.fixture(params=["float32", "mixed_float16"])
def policy(request):
    keras.config.set_dtype_policy(request.param)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("targets", [ONE_HOT, SOFT], ids=["one-hot", "soft"])
@pytest.mark.parametrize(("name", "of_row"), [("cross_entropy", cross_entropy), ("bce", bce), ("focal", focal)])
def test_losses_of_classification(name, of_row, targets, smoothing):
    expected = np.mean([of_row(smooth(t, smoothing), row) for t, row in zip(targets, SCORES, strict=True)])
    loss = losses.loss("classification", name, smoothing)(targets.astype("float32"), SCORES.astype("float32"))
    assert loss.dtype == "float32"
    assert float(loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize("name", EXPECTED)
def test_losses_of_masks(name):
    loss = losses.loss("segmentation", name)(MASKS, LOGITS.astype("float32"))
    assert loss.dtype == "float32"
    assert float(loss) == pytest.approx(EXPECTED[name], rel=1e-5)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_batch_that_is_ignored_costs_nothing(name):
    logits = tf.Variable(LOGITS, dtype="float32")
    with tf.GradientTape() as tape:
        loss = losses.loss("segmentation", name)(np.full_like(MASKS, 255), logits)
    assert float(loss) == 0
    assert not tape.gradient(loss, logits).numpy().any()


@pytest.mark.parametrize("name", EXPECTED)
def test_ignored_positions_have_no_gradient_and_the_others_have_the_right_one(name):
    logits = tf.Variable(LOGITS, dtype="float32")
    with tf.GradientTape() as tape:
        loss = losses.loss("segmentation", name)(MASKS, logits)
    gradient = tape.gradient(loss, logits).numpy()
    assert not gradient[MASKS == 255].any()
    call = losses.loss("segmentation", name)
    for place in [(0, 3, 1, 0), (2, 0, 0, 2), (2, 4, 3, 3)]:
        above = LOGITS.copy()
        below = LOGITS.copy()
        above[place] += 1e-2
        below[place] -= 1e-2
        slope = (float(call(MASKS, above)) - float(call(MASKS, below))) / 2e-2
        assert gradient[place] == pytest.approx(slope, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "of_pixel"),
    [("mse", np.square), ("mae", np.abs), ("huber", lambda d: np.where(d < 1, d**2 / 2, d - 0.5))],
)
def test_losses_of_images(name, of_pixel):
    images = RNG.normal(size=(2, 3, 3, 1))
    outputs = RNG.normal(scale=2, size=(2, 3, 3, 1))
    expected = of_pixel(np.abs(images - outputs)).mean()
    assert float(losses.loss("reconstruction", name)(images, outputs)) == pytest.approx(expected, rel=1e-5)


def test_an_example_that_is_very_wrong_still_teaches():
    """Keras' focal loss has no gradient below a probability of 1e-7."""
    target = np.array([[0.0, 1.0]], "float32")
    scores = tf.Variable([[20.0, 0.0]])
    with tf.GradientTape(persistent=True) as tape:
        ours = losses.Focal()(target, scores)
        theirs = keras.losses.CategoricalFocalCrossentropy(from_logits=True)(target, scores)
    np.testing.assert_allclose(tape.gradient(ours, scores), [[1, -1]], rtol=1e-5)
    assert not tape.gradient(theirs, scores).numpy().any()


def test_a_class_that_is_absent_does_not_count():
    """A perfect prediction costs 0; by Keras' Dice 1/4, for the one class of four that nothing has."""
    logits = 50 * np.eye(4)[np.where(MASKS == 255, 0, MASKS)]
    assert float(losses.Dice()(MASKS, logits)) == pytest.approx(0, abs=1e-6)
    theirs = keras.losses.Dice(axis=(0, 1, 2))(np.eye(4)[MASKS[2:]], keras.ops.softmax(logits[2:]))
    assert float(np.mean(theirs)) == pytest.approx(0.25, abs=1e-6)


def test_dice_of_the_paper():
    """Two pixels, one of each class, predicted with 0.8 and 0.6: by hand from the formula of V-Net's section 3."""
    p = np.array([[0.8, 0.2], [0.4, 0.6]])
    first = 2 * 0.8 / (0.64 + 0.16 + 1)
    second = 2 * 0.6 / (0.04 + 0.36 + 1)
    loss = losses.Dice()(np.array([[0, 1]]), np.log(p)[None])
    assert float(loss) == pytest.approx(1 - (first + second) / 2, rel=1e-5)


@pytest.mark.parametrize(
    "loss", [MulticlassHinge(0.5), losses.SigmoidCrossEntropy(0.2), losses.Focal(3.0, 0.1), losses.Dice()]
)
def test_losses_round_trip(loss):
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()


def test_every_name_has_a_loss():
    assert {task: tuple(rows) for task, rows in losses.LOSSES.items()} == {
        name: task.losses for name, task in TASKS.items()
    }


def test_the_default_is_the_first():
    assert losses.loss("segmentation").name == "sparse_categorical_crossentropy"


def test_an_unknown_loss_is_refused():
    with pytest.raises(
        BadInput, match=r"unknown loss of segmentation 'hinge'; choose from .*dice_ce, focal \(--loss\)"
    ):
        losses.loss("segmentation", "hinge")


REGION_CLASSES = 3
REGION_TRUTH = np.concatenate(  # two images of four regions: class, -1 for one that does not count; displacements
    [np.array([[[0], [2], [3], [-1]], [[3], [-1], [1], [1]]]), RNG.normal(scale=2, size=(2, 4, 4))], axis=-1
)
REGION_OUTPUTS = RNG.normal(scale=2, size=(2, 4, 5 * REGION_CLASSES + 1))


def multi_task_loop(truth, outputs, balance):
    """Equations 1 to 3 of "Fast R-CNN", region by region."""
    means = []
    for image_truth, image_outputs in zip(truth, outputs, strict=True):
        values = []
        for (label, *deltas), row in zip(image_truth, image_outputs, strict=True):
            label = int(label)
            if label < 0:
                continue
            scores = np.exp(row[: REGION_CLASSES + 1])
            value = -np.log(scores[label] / scores.sum())
            if label < REGION_CLASSES:
                first = REGION_CLASSES + 1 + 4 * label
                for target, predicted in zip(deltas, row[first : first + 4], strict=True):
                    distance = abs(target - predicted)
                    value += balance * (distance**2 / 2 if distance < 1 else distance - 0.5)
            values.append(value)
        means.append(np.mean(values))
    return means


@pytest.mark.parametrize("balance", [1.0, 0.3, 0.0])
def test_the_multi_task_loss_by_its_definition(balance):
    each = losses.MultiTask(balance, reduction=None, dtype="float64")(REGION_TRUTH, REGION_OUTPUTS)
    np.testing.assert_allclose(each, multi_task_loop(REGION_TRUTH, REGION_OUTPUTS, balance), rtol=1e-12)


def test_the_multi_task_loss_of_an_image_whose_regions_do_not_count():
    truth = REGION_TRUTH.copy()
    truth[0, :, 0] = -1
    each = losses.MultiTask(reduction=None, dtype="float64")(truth, REGION_OUTPUTS)
    assert float(each[0]) == 0


def test_the_background_teaches_no_displacement():
    outputs = tf.Variable(REGION_OUTPUTS)
    with tf.GradientTape() as tape:
        loss = losses.MultiTask(dtype="float64")(REGION_TRUTH, outputs)
    gradient = tape.gradient(loss, outputs).numpy()[..., REGION_CLASSES + 1 :].reshape(2, 4, REGION_CLASSES, 4)
    taught = {tuple(map(int, place)) for place in np.argwhere(np.abs(gradient).sum(-1) > 0)}
    assert taught == {(0, 0, 0), (0, 1, 2), (1, 2, 1), (1, 3, 1)}
