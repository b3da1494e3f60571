"""What the tests of the drawn data sets share."""

import dataclasses

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

SMALL = {"train": 30, "validation": 10, "test": 20}


def difficulty(difficulties, name, **changes):
    return dataclasses.replace(next(c for c in difficulties if c.name == name), **changes)


def score(draw, features, classes, train, test):
    """The test accuracy of a support vector machine on simple features."""
    (inputs, labels), (unseen, answers) = (
        (np.stack([features(draw(i % classes, split, i)) for i in range(count)]), np.arange(count) % classes)
        for split, count in ((0, train), (2, test))
    )
    model = make_pipeline(StandardScaler(), SVC()).fit(inputs, labels)
    return model.score(unseen, answers)
