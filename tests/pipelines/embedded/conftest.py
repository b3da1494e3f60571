"""The drawn data sets on the disk, few examples of each."""

import functools

import pytest

from pipelines.catalogue import prepare_builder
from pipelines.embedded.boxes import Boxes
from pipelines.embedded.shapes import Shapes
from pipelines.embedded.solids import Solids
from pipelines.embedded.tones import Tones
from tests.pipelines.embedded.difficulties import SMALL


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """small(name): the builder of a data set of few examples, prepared once."""
    folder = str(tmp_path_factory.mktemp("small"))

    @functools.cache
    def prepare(name):
        with pytest.MonkeyPatch.context() as patch:
            for builder in (Boxes, Shapes, Solids, Tones):
                patch.setattr(builder, "SIZES", SMALL)
            return prepare_builder(name, folder)

    return prepare


@pytest.fixture(scope="session")
def examples_of(small):
    """examples_of(name, split): the examples on the disk."""
    return functools.cache(lambda name, split: list(small(name).as_dataset(split=split).as_numpy_iterator()))
