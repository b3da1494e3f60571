"""Explanations against their formulas: loops and matrices in NumPy, differences of the network's answers."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.tfcnn.visualize.small_networks import classifier, images, network
from tfcnn.visualize import attribution
from tfcnn.visualize.points import Target, activations


def convolve(image, kernel, bias):
    """Valid convolution of (h, w, c) with (a, b, c, d), by its definition."""
    a, b = kernel.shape[:2]
    rows, columns = image.shape[0] - a + 1, image.shape[1] - b + 1
    return np.array(
        [[np.tensordot(image[y : y + a, x : x + b], kernel, 3) + bias for x in range(columns)] for y in range(rows)]
    )


def transpose(maps, kernel, shape):
    """What the transposed convolution with the same kernel makes of (h, w, d)."""
    image = np.zeros(shape)
    a, b = kernel.shape[:2]
    for y, x in np.ndindex(maps.shape[:2]):
        image[y : y + a, x : x + b] += kernel @ maps[y, x]
    return image


def pool(maps):
    """The maxima of windows of 2x2, and their switches."""
    rows, columns, depth = maps.shape[0] // 2, maps.shape[1] // 2, maps.shape[2]
    values = np.zeros((rows, columns, depth))
    switches = {}
    for y, x, c in np.ndindex(values.shape):
        window = maps[2 * y : 2 * y + 2, 2 * x : 2 * x + 2, c]
        dy, dx = np.unravel_index(window.argmax(), (2, 2))
        values[y, x, c] = window[dy, dx]
        switches[y, x, c] = (2 * y + dy, 2 * x + dx, c)
    return values, switches


def reconstruct(image, weights, channel, guided):
    """Zeiler & Fergus's deconvnet of `classifier`'s second convolution, step by step."""
    kernel1, bias1, kernel2, bias2 = weights[:4]
    first = np.maximum(convolve(image, kernel1, bias1), 0)
    pooled, switches = pool(first)
    second = np.maximum(convolve(pooled, kernel2, bias2), 0)
    place = np.unravel_index(second[..., channel].argmax(), second.shape[:2])
    alone = np.zeros_like(second)
    alone[(*place, channel)] = second[(*place, channel)]
    below = transpose(np.maximum(alone, 0), kernel2, pooled.shape)
    unpooled = np.zeros_like(first)
    for place, switch in switches.items():
        unpooled[switch] = below[place]
    rectified = np.maximum(unpooled, 0)
    return transpose(rectified * (first > 0) if guided else rectified, kernel1, image.shape)


@pytest.mark.parametrize("channel", [0, 3])
def test_the_deconvnet_unpools_rectifies_and_transposes(channel):
    model = classifier()
    expected = [reconstruct(image, model.get_weights(), channel, guided=False) for image in images()]
    result = attribution.deconvnet(model, images(), Target("second", channel))
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_guided_backpropagation_also_stops_where_the_input_was_negative():
    model = classifier()
    target = Target("second", 3, strongest=True)
    heights = activations(model, images(), ["second"])[0][..., 3].max((1, 2))
    expected = [reconstruct(image, model.get_weights(), 3, guided=True) for image in images()]
    result = attribution.guided_backpropagation(model, images(), target)
    np.testing.assert_allclose(heights[:, None, None, None] * result, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(np.array(expected) - attribution.deconvnet(model, images(), target)).max() > 0.1


def test_without_pooling_and_rectifier_the_deconvnet_is_the_transpose():
    model = network(layers.Conv2D(3, 3, strides=2, padding="same"), layers.Conv2D(2, 2, name="maps"), shape=(5, 6, 2))
    answers = [model(np.eye(60)[[pixel]].reshape(1, 5, 6, 2)).numpy() for pixel in range(60)]
    matrix = np.array(answers).reshape(60, -1) - model(np.zeros((1, 5, 6, 2))).numpy().ravel()
    image = images(1, (5, 6, 2))
    maps = model(image).numpy()[0]
    alone = np.zeros_like(maps)
    place = np.unravel_index(maps[..., 1].argmax(), maps.shape[:2])
    alone[(*place, 1)] = maps[(*place, 1)]
    result = attribution.deconvnet(model, image, Target("maps", 1))
    np.testing.assert_allclose(result.ravel(), matrix @ alone.ravel(), rtol=1e-4, atol=1e-5)


def test_response_normalisation_is_passed_by():
    from tfcnn.layers import LocalResponseNormalization

    def model(*between):
        parts = [layers.Conv2D(4, 3, activation="relu"), *between, layers.Conv2D(2, (8, 7), name="maps")]
        return network(*parts, seed=3)

    plain, normalised = model(), model(LocalResponseNormalization(3, alpha=0.5))
    # The same filters; the maps, and so the size of what is projected, differ.
    results = [attribution.deconvnet(each, images(1), Target("maps", 1)) for each in (plain, normalised)]
    norms = [result / np.linalg.norm(result) for result in results]
    np.testing.assert_allclose(norms[0], norms[1], rtol=1e-3, atol=1e-6)


def test_the_gradient_is_the_limit_of_differences():
    model = classifier(activation="tanh")
    image = images(1)
    result = attribution.gradient(model, image, Target(channel=2))
    for place in [(0, 0, 0, 0), (0, 4, 5, 1), (0, 7, 2, 0)]:
        above, below = image.copy(), image.copy()
        above[place] += 0.01
        below[place] -= 0.01
        difference = model(above).numpy()[0, 2] - model(below).numpy()[0, 2]
        assert result[place] == pytest.approx(difference / 0.02, rel=1e-2, abs=1e-4)


def test_each_image_is_explained_by_its_most_probable_class():
    model = classifier(seed=4)
    pictures = 5 * images(6)
    best = model(pictures).numpy().argmax(1)
    assert len(set(best)) > 1
    by_hand = [attribution.gradient(model, pictures[[i]], Target(channel=int(best[i])))[0] for i in range(6)]
    np.testing.assert_allclose(attribution.gradient(model, pictures), by_hand, rtol=1e-5, atol=1e-7)


def test_a_softmax_at_the_end_is_left_out():
    logits, probabilities = classifier(), classifier(end="softmax")
    assert np.allclose(probabilities(images()).numpy().sum(1), 1)
    for method in (attribution.gradient, attribution.guided_backpropagation):
        np.testing.assert_array_equal(method(logits, images()), method(probabilities, images()))
    assert np.allclose(probabilities(images()).numpy().sum(1), 1), "the model keeps its softmax"


def test_integrated_gradients_add_up_to_the_difference():
    model = classifier()
    result = attribution.integrated_gradients(model, images(), Target(channel=1), baseline=0.2, steps=200)
    start = np.full_like(images(), 0.2)
    difference = model(images()).numpy()[:, 1] - model(start).numpy()[:, 1]
    np.testing.assert_allclose(result.sum((1, 2, 3)), difference, rtol=0.01, atol=0.01)


def test_smooth_grad_of_a_linear_network_is_its_gradient():
    model = network(layers.Conv2D(2, 3), layers.GlobalAveragePooling2D())
    result = attribution.smooth_grad(model, images(), samples=3)
    np.testing.assert_allclose(result, attribution.gradient(model, images()), rtol=1e-4, atol=1e-7)


def test_smooth_grad_is_the_mean_over_noisy_copies():
    model = classifier(activation="tanh")
    image = images(1)
    rng = np.random.default_rng(5)
    copies = image + rng.normal(0, 0.3 * np.ptp(image), (40, *image.shape[1:]))
    expected = attribution.gradient(model, copies, Target(channel=0)).mean(0)
    result = attribution.smooth_grad(model, image, Target(channel=0), samples=40, noise=0.3, seed=5)
    np.testing.assert_allclose(result[0], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("signed", [True, False])
def test_grad_cam_is_the_weighted_sum_of_the_maps(signed):
    """With the mean and a dense layer after the maps, the weights are the dense layer's: a class activation map."""
    model = classifier()
    (maps,) = activations(model, images(), ["second"])
    kernel = model.get_layer("logits").get_weights()[0]
    expected = maps @ kernel[:, 1] / (maps.shape[1] * maps.shape[2])
    assert (expected > 0.01).any()
    assert (expected < -0.01).any()
    result = attribution.grad_cam(model, images(), Target(channel=1), layer="second", signed=signed)
    np.testing.assert_allclose(result, expected if signed else np.maximum(expected, 0), rtol=1e-4, atol=1e-6)


def test_grad_cam_takes_the_last_map_by_default():
    model = classifier()
    np.testing.assert_array_equal(
        attribution.grad_cam(model, images()), attribution.grad_cam(model, images(), layer="second")
    )


def test_occlusion_of_a_sum_falls_by_what_is_hidden():
    model = network(layers.Flatten(), layers.Dense(2))
    kernel = model.get_weights()[0][:, 1].reshape(10, 9, 2)
    image = images(1)
    result = attribution.occlusion(model, image, Target(channel=1), window=4, stride=3)
    products = (image[0] * kernel).sum(-1)
    total, count = np.zeros((10, 9)), np.zeros((10, 9))
    for y in (0, 3, 6):  # the last square ends with the image
        for x in (0, 3, 5):
            total[y : y + 4, x : x + 4] += products[y : y + 4, x : x + 4].sum()
            count[y : y + 4, x : x + 4] += 1
    np.testing.assert_allclose(result[0], total / count, rtol=1e-3, atol=1e-4)


def test_a_rectifier_as_a_layer_a_function_or_an_argument_is_the_same():
    results = []
    for parts in (
        [layers.Conv2D(3, 3, activation="relu")],
        [layers.Conv2D(3, 3), layers.ReLU()],
        [layers.Conv2D(3, 3), layers.Activation("relu")],
        [layers.Conv2D(3, 3), keras.ops.relu],
    ):
        model = network(*parts, layers.GlobalAveragePooling2D(), layers.Dense(2))
        results.append(attribution.guided_backpropagation(model, images(), Target(channel=0)))
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-5, atol=1e-7)


def test_guided_backpropagation_stops_at_the_upper_limit_of_relu6():
    model = network(layers.ReLU(6.0), shape=(1, 3, 1))
    image = np.array([-1.0, 2.0, 7.0], "float32").reshape(1, 1, 3, 1)
    assert attribution.guided_backpropagation(model, image).ravel().tolist() == pytest.approx([0, 1 / 3, 0])


@pytest.mark.parametrize("activation", ["swish", "tanh", "leaky_relu"])
def test_other_activations_have_no_rule(activation):
    model = classifier(activation=activation)
    with pytest.raises(ValueError, match="guided is defined for networks of rectifiers; first has"):
        attribution.guided_backpropagation(model, images())


def test_unknown_layers_and_channels_are_named():
    with pytest.raises(ValueError, match="unknown layer 'secnd'; did you mean second"):
        attribution.grad_cam(classifier(), images(), layer="secnd")
    with pytest.raises(ValueError, match="second has channels 0 to 4, got 5"):
        attribution.deconvnet(classifier(), images(), Target("second", 5))


def test_a_network_of_keras_applications_is_explained():
    model = keras.applications.MobileNet((32, 32, 3), alpha=0.25, weights=None, classes=4)
    pictures = images(1, (32, 32, 3))
    guided = attribution.guided_backpropagation(model, pictures)
    assert np.abs(guided).max() > 0
    assert attribution.grad_cam(model, pictures, layer="conv_pw_11_relu").shape == (1, 2, 2)
