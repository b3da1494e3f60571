"""The metadata of a card as YAML reads it, and what the card tells of a run."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tfcnn.run_directory import RunDirectory
from tfcnn.training.model_card import write_card

BEFORE = Path(__file__).parents[2] / "saved_before" / "finished"


def metadata_of(run):
    _, metadata, _ = run.card.read_text().split("---\n", 2)
    return yaml.safe_load(metadata)


@pytest.fixture
def run(tmp_path):
    """The description and the results of a run of an earlier version."""
    (tmp_path / "digits-run").mkdir()
    for name in ("config.json", "metrics.json"):
        shutil.copy(BEFORE / name, tmp_path / "digits-run")
    return RunDirectory(tmp_path / "digits-run")


def change(run, section, **values):
    facts = json.loads(run.config.read_text())
    facts[section] |= values
    run.config.write_text(json.dumps(facts))


def test_the_metadata_have_the_numbers_of_the_run(run):
    metrics = run.read_metrics()
    write_card(run, metrics)
    metadata = metadata_of(run)
    assert (metadata["library_name"], metadata["pipeline_tag"]) == ("keras", "image-classification")
    assert metadata["datasets"] == ["digits"]
    assert "license" not in metadata
    (index,) = metadata["model-index"]
    assert index["name"] == "digits-run"
    numbers = {
        (result["dataset"]["split"], metric["type"]): metric["value"]
        for result in index["results"]
        for metric in result["metrics"]
    }
    assert numbers["test", "accuracy"] == metrics["test_accuracy"]
    assert numbers["validation", "accuracy"] == metrics["val_accuracy"]


def test_the_hub_reads_it(run):
    hub = pytest.importorskip("huggingface_hub")
    write_card(run, run.read_metrics())
    results = hub.ModelCard(run.card.read_text()).data.eval_results
    values = {(result.dataset_split, result.metric_type): result.metric_value for result in results}
    assert values["test", "accuracy"] == run.read_metrics()["test_accuracy"]


def test_the_card_tells_what_is_needed_to_use_the_network(run):
    write_card(run, run.read_metrics())
    text = run.card.read_text()
    cost = run.read_config()["cost"]
    for words in ('tfcnn.load("digits-run")', f"{cost['parameters']:,}", f"{cost['macs']:,}", "resized to 32x32"):
        assert words in text


def test_a_published_card_names_no_folder_and_holds_no_markup(run, tmp_path):
    change(run, "data", name=str(tmp_path / "my photos"), class_names=["<b>cat</b>", "dog|wolf"])
    change(run, "config", dataset=str(tmp_path / "my photos"))
    write_card(run, run.read_metrics())
    text = run.card.read_text()
    assert "my photos" in text
    assert str(tmp_path) not in text
    assert "<b>" not in text
    assert metadata_of(run)["datasets"] == ["my photos"]


def test_weights_as_they_are_have_no_results(run):
    facts = json.loads(run.config.read_text()) | {"recipe": {}}
    run.config.write_text(json.dumps(facts))
    write_card(run, run.read_config()["cost"])
    assert "model-index" not in metadata_of(run)
    assert "the weights are loaded as they are" in run.card.read_text()
