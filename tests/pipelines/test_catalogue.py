"""Data sets by name, and their preparation."""

import shutil

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
        ("shapes/hrad", r"data set 'shapes' has no configuration 'hrad'; did you mean hard\? \(dataset\)"),
        ("tones/loud", r"has no configuration 'loud'; choose from medium, easy, hard \(dataset\)"),
        ("digits/easy", r"has no configuration 'easy'; choose from none: it has no configurations"),
        ("solid", r"unknown data set 'solid'; did you mean solids"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(pipelines.BadData, match=message):
        check_name(name)


def test_a_difficulty_is_prepared_by_its_name(monkeypatch, tmp_path):
    monkeypatch.setattr(solids.Solids, "SIZES", {"train": 2, "validation": 1, "test": 1})
    builder = prepare_builder("solids/easy", str(tmp_path))
    assert (builder.name, builder.builder_config.name) == ("solids", "easy")
    volume = next(builder.as_dataset(split="train").as_numpy_iterator())["volume"][..., 0]
    np.testing.assert_array_equal(volume, solids.volume(builder.builder_config, 0, 0, 0))


def test_without_a_network_the_message_names_what_is_available(monkeypatch, tmp_path):
    monkeypatch.setattr("pipelines.catalogue.is_online", lambda: False)
    with pytest.raises(pipelines.BadData, match=r"digits, shapes, boxes, tones, solids \(embedded\) \(dataset, "):
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


BUILDER = """
import numpy as np
import tensorflow_datasets as tfds


class {name}(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = dict(image=tfds.features.Image(shape=(8, 8, 1)), label=tfds.features.ClassLabel(names=["a", "b"]))
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {{"train": self._generate_examples(), "test": self._generate_examples()}}

    def _generate_examples(self):
        for i in range(40):
            yield i, dict(image=np.full((8, 8, 1), i, np.uint8), label=i % 2)
"""


def test_a_builder_of_the_users_module(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.catalogue.is_online", lambda: False)
    file = tmp_path / "stripes_of_mine.py"
    file.write_text(BUILDER.format(name="StripesOfMine"))
    data = pipelines.load("stripes_of_mine", dataset_module=str(file), data_dir=str(tmp_path), batch_size=4)
    assert (data.class_names, data.sizes["test"]) == (("a", "b"), 40)


@pytest.mark.parametrize("name", ["digits", "shapes/easy", "."])
def test_a_module_for_data_that_need_none_is_refused(name):
    with pytest.raises(pipelines.BadData, match=r"dataset_module mine\.py registers data sets by name"):
        check_name(name, "mine.py")


def test_a_builder_of_an_installed_package(tmp_path, monkeypatch):
    """Found by its entry point, as pip writes it, without a flag."""
    site = tmp_path / "site-packages"
    (site / "waves_package").mkdir(parents=True)
    (site / "waves_package" / "builders.py").write_text(BUILDER.format(name="WavesOfMine"))
    facts = site / "waves_package-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: waves-package\nVersion: 1.0\n")
    with pytest.raises(pipelines.BadData, match="unknown data set 'waves_of_mine'"):
        check_name("waves_of_mine")
    (facts / "entry_points.txt").write_text("[tfcnn.datasets]\nwaves = waves_package.builders\n")
    monkeypatch.syspath_prepend(str(site))
    data = pipelines.load("waves_of_mine", data_dir=str(tmp_path), batch_size=4)
    assert (data.class_names, data.sizes["test"]) == (("a", "b"), 40)


def test_an_entry_point_that_fails_is_named(tmp_path, monkeypatch):
    facts = tmp_path / "broken_waves-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-waves\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[tfcnn.datasets]\nwaves = no_such_package\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(pipelines.BadData, match=r"entry point 'waves' of tfcnn\.datasets: .* uninstall its package"):
        check_name("mnist")


def test_a_prepared_data_set_without_its_code(tmp_path):
    file = tmp_path / "spots_of_mine.py"
    file.write_text(BUILDER.format(name="SpotsOfMine"))
    prepare_builder("spots_of_mine", str(tmp_path), str(file))
    shutil.copytree(tmp_path / "spots_of_mine", tmp_path / "spots_of_others")
    data = pipelines.load("spots_of_others", data_dir=str(tmp_path), batch_size=4)
    assert (data.class_names, data.sizes["test"]) == (("a", "b"), 40)
    shutil.copytree(tmp_path / "spots_of_mine", tmp_path / "spots_in_forms" / "small")
    shutil.copytree(tmp_path / "spots_of_mine", tmp_path / "spots_in_forms" / "large")
    assert pipelines.load("spots_in_forms/large", data_dir=str(tmp_path), batch_size=4).sizes["test"] == 40
    with pytest.raises(pipelines.BadData, match="has the configurations large, small: name one"):
        pipelines.load("spots_in_forms", data_dir=str(tmp_path))


@pytest.mark.parametrize(
    ("module", "text", "says"),
    [
        ("gone.py", None, "no such file: '.*gone.py'"),
        ("broken.py", "1 / 0", "cannot be imported: division by zero"),
        ("no_such_package.builders", None, "cannot be imported: No module named 'no_such_package'"),
    ],
)
def test_modules_that_cannot_be_imported(tmp_path, module, text, says):
    if text is not None:
        (tmp_path / module).write_text(text)
    path = str(tmp_path / module) if module.endswith(".py") else module
    with pytest.raises(pipelines.BadData, match=says):
        check_name("anything", path)
