"""Data sets by name, and their preparation."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

import pipelines
from pipelines.catalogue import check_name, prepare_builder
from pipelines.embedded import solids


@pytest.mark.parametrize("name", ["shapes", "shapes/hard", "boxes/easy", "tones/medium", "solids/easy"])
def test_names_with_and_without_a_difficulty(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shapes/hrad", r"data set 'shapes' has no configuration 'hrad'; did you mean hard\? \(--dataset\)"),
        ("tones/loud", r"has no configuration 'loud'; choose from medium, easy, hard \(--dataset\)"),
        ("digits/easy", r"has no configuration 'easy'; choose from none: it has no configurations"),
        ("solid", r"unknown data set 'solid'; did you mean solids"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(pipelines.BadData, match=message):
        check_name(name)


def test_a_difficulty_is_prepared_by_its_name(monkeypatch, tmp_path):
    monkeypatch.setattr(solids, "SPLITS", {"train": 2, "validation": 1, "test": 1})
    builder = prepare_builder("solids/easy", str(tmp_path))
    assert (builder.name, builder.builder_config.name) == ("solids", "easy")
    volume = next(builder.as_dataset(split="train").as_numpy_iterator())["volume"][..., 0]
    np.testing.assert_array_equal(volume, solids.volume(builder.builder_config, 0, 0, 0))


def test_without_a_network_the_message_names_what_is_available(monkeypatch, tmp_path):
    monkeypatch.setattr("pipelines.catalogue.is_online", lambda: False)
    with pytest.raises(pipelines.BadData, match=r"digits, shapes, boxes, tones, solids \(embedded\) \(--dataset, "):
        prepare_builder("mnist", str(tmp_path))


def test_a_data_set_that_another_process_made_meanwhile(tmp_path, monkeypatch):
    """Both prepare it; that of the slower one cannot be moved to where the other's is."""
    real = tfds.core.DatasetBuilder.download_and_prepare

    def slower(self, *args, **kwargs):
        monkeypatch.undo()
        real(tfds.builder(self.name, data_dir=tmp_path), *args, **kwargs)
        raise FileExistsError(f"Cannot rename. Destination {self.data_path} already exists.")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", slower)
    assert prepare_builder("digits", str(tmp_path)).info.splits["train"].num_examples == 1257
