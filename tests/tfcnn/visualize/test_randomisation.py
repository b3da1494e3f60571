"""Which maps depend on the weights: Adebayo et al. 2018."""

import numpy as np
import pytest

from tests.tfcnn.visualize.small_networks import classifier, images
from tfcnn.visualize import attribution
from tfcnn.visualize.points import Target
from tfcnn.visualize.randomisation import cascade, similarity


def test_similarity_is_the_correlation_of_ranks():
    first = np.array([[[1.0, -2.0], [3.0, 4.0]]])
    assert similarity(first, -(first**3)) == pytest.approx(1)  # signs and sizes do not count
    assert similarity(first, np.array([[[1.0, 2.0], [4.0, 3.0]]])) == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert similarity(first, np.ones((1, 2, 2))) == 0


def test_layers_lose_their_weights_from_the_last_on():
    model = classifier()
    weights = model.get_weights()
    seen = []

    def explain(model, pictures):
        pairs = list(zip(model.get_weights(), weights, strict=True))[::2]  # of kernel and bias the kernel
        seen.append([not np.array_equal(w, kept) for w, kept in pairs])
        return attribution.gradient(model, pictures, Target(channel=0))

    similarities = cascade(model, images(), explain)
    assert list(similarities) == ["logits", "second", "first"]
    assert seen == [[layer >= 3 - lost for layer in range(3)] for lost in range(4)]
    for w, kept in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(w, kept)


def test_the_gradient_forgets_what_the_network_forgets():
    model = classifier()
    target = Target(channel=0)
    changed = cascade(model, images(), lambda model, pictures: attribution.gradient(model, pictures, target))
    assert changed["first"] < 0.6
    same = cascade(model, images(), lambda model, pictures: np.abs(pictures))
    assert list(same.values()) == pytest.approx([1, 1, 1])
