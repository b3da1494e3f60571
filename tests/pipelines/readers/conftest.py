"""Data sets of TensorFlow Datasets with examples of a test."""

import pytest
import tensorflow_datasets as tfds


@pytest.fixture(scope="module")
def prepare_data(tmp_path_factory):
    """Prepares a data set with the examples of a test and returns its folder; each name once in a file of tests."""
    folders = {}

    def prepare(name, **splits):
        if name not in folders:
            folders[name] = str(tmp_path_factory.mktemp("data"))
            tfds.disable_progress_bar()
            cls = tfds.builder_cls(name.split("/")[0])
            with pytest.MonkeyPatch.context() as patch:
                generators = {split: iter(enumerate(examples)) for split, examples in splits.items()}
                patch.setattr(cls, "_split_generators", lambda self, *args, **kwargs: generators)
                tfds.builder(name, data_dir=folders[name]).download_and_prepare()
        return folders[name]

    return prepare
