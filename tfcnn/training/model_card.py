"""The model card of a run, README.md: Markdown under YAML metadata as the Hugging Face Hub reads it.

Mitchell et al., "Model cards for model reporting" (2019). All that it says stands in config.json and metrics.json.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tfcnn.config import Config
from tfcnn.files import writing
from tfcnn.options import flag_of
from tfcnn.run_directory import RunDirectory
from tfcnn.tables import as_markdown, escape_markdown
from tfcnn.tasks import TASKS
from tfcnn.training.data import describe_duplicates

# The Hub's names of tasks.
PIPELINES = {
    "classification": "image-classification",
    "segmentation": "image-segmentation",
    "detection": "object-detection",
    "reconstruction": "image-to-image",
}
KINDS = {2: "sounds", 3: "images", 4: "volumes"}  # by the axes of an example
MOST_CLASSES = 50  # that the card names
OF_ONE_RUN = ("out", "resume", "data_dir")


def write_card(directory: RunDirectory, metrics: Mapping[str, Any]) -> None:
    """Write README.md of a run.

    Args:
        directory: of the run, with its config.json.
        metrics: what metrics.json holds, or will hold.
    """
    facts = directory.read_config()
    title = f"{facts['config']['arch']} on {_short(facts['data']['name'])}"
    sections = [
        f"# {escape_markdown(title)}\n\n{_summary(facts, metrics)}",
        f"## Results\n\n{_results(facts, metrics)}",
        f"## Use\n\n{_use(directory, facts)}",
        f"## Network\n\n{_network(facts)}",
        f"## Data\n\n{_data(facts)}",
        f"## Training\n\n{_training(facts, metrics)}",
        f"## Limits\n\n{_limits(facts['data'])}",
    ]
    with writing(directory.card) as path:
        text = front_matter(directory, facts, metrics) + "\n" + "\n\n".join(sections) + "\n"
        path.write_text(text, "utf-8", errors="replace")  # the name of a folder may hold bytes that are no text


def front_matter(directory: RunDirectory, facts: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """The metadata between two lines of dashes. No license: that of the data and the weights is not known here."""
    import yaml

    task = facts["data"]["task"]
    name = _short(facts["data"]["name"])
    pipeline = PIPELINES[task]
    if task == "classification" and len(facts["data"]["image_shape"]) == 2:
        pipeline = "audio-classification"
    scores = {split: _scores(metrics, split) for split in ("test", "val")}
    for numbers in scores.values():
        numbers.pop("loss", None)  # which is comparable within one data set and recipe alone
    metadata: dict[str, Any] = {
        "library_name": "keras",
        "pipeline_tag": pipeline,
        "tags": ["tfcnn", "tensorflow", facts["config"]["arch"]],
        "datasets": [name],
    }
    results = [
        {
            "task": {"type": pipeline},
            "dataset": {"name": name, "type": name, "split": "validation" if split == "val" else split},
            "metrics": [
                {"type": score, "value": value, "name": f"{split} {score}"} for score, value in numbers.items()
            ],
        }
        for split, numbers in scores.items()
        if numbers
    ]
    if results:
        metadata["metrics"] = [*dict.fromkeys(score for numbers in scores.values() for score in numbers)]
        metadata["model-index"] = [{"name": directory.path.resolve().name, "results": results}]
    return f"---\n{yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)}---\n"


def _short(name: str) -> str:
    """The name of data, of a folder or a file its last part: a card is published, the user's folders are not."""
    place = name.removeprefix("hf:")
    return Path(place).name if Path(place).is_absolute() else name


def _scores(metrics: Mapping[str, Any], split: str) -> dict[str, float]:
    """The metrics of "test" or "val" by their names."""
    start = f"{split}_"
    return {name.removeprefix(start): value for name, value in metrics.items() if name.startswith(start)}


def _summary(facts: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    data = facts["data"]
    kind = KINDS[len(data["image_shape"])]
    headline = TASKS[data["task"]].headline
    origin = "trained with tfcnn" if facts.get("recipe") else "with published weights, built by tfcnn"
    text = f"A network for {data['task']} of {kind}, {origin} on Keras and TensorFlow."
    score = metrics.get(f"test_{headline.name}")
    if score is not None:
        text += f" Test {headline.label}: {headline.form.format(score)} of {data['sizes']['test']:,} {kind}."
    return text


def _results(facts: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    test = _scores(metrics, "test")
    validation = _scores(metrics, "val")
    if not test:
        return "None: the weights are loaded as they are. `python -m tfcnn.evaluate RUN --dataset PLACE` measures them."
    rows = [(name, *(_number(scores.get(name)) for scores in (validation, test))) for name in {**test, **validation}]
    sizes = facts["data"]["sizes"]
    heads = ("metric", f"validation ({sizes['validation']:,})", f"test ({sizes['test']:,})")
    note = (
        f"The model is that of epoch {metrics['best_epoch']} of {metrics['epochs']}, the best on the validation split."
    )
    return f"{as_markdown(heads, rows, words=[0])}\n\n{note}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _use(directory: RunDirectory, facts: Mapping[str, Any]) -> str:
    example = {2: "sound.wav", 3: "photo.jpg", 4: "scan.nii.gz"}[len(facts["data"]["image_shape"])]
    return (
        "```python\n"
        "import tfcnn\n\n"
        f'trained = tfcnn.load("{directory.path.resolve().name}")  # this folder\n'
        f'trained.predict(["{example}"])\n'
        "```\n\n"
        "`trained.model` is the Keras model, and `trained.preprocess` prepares arrays as the training did.\n"
        "`model.keras` is the network without its preprocessing; `saved_model/` includes it and needs TensorFlow alone."
    )


def _network(facts: Mapping[str, Any]) -> str:
    config = facts["config"]
    cost = facts["cost"]
    data = facts["data"]
    rows = [
        ("architecture", config["arch"]),
        ("arguments", _pairs(config["arch_args"])),
        ("width, depth", f"{config['width']:g}, {config['depth']:g}"),
        ("input", "x".join(map(str, data["image_shape"]))),
        ("classes", f"{data['num_classes']:,}" if data["num_classes"] else ""),
        ("parameters", f"{cost['parameters']:,}"),
        ("MACs", f"{cost['macs']:,} {TASKS[data['task']].priced}"),
        ("weights at the start", facts["weights"].get("loaded") or "random"),
    ]
    return as_markdown(("", ""), [row for row in rows if row[1]], words=[0, 1])


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _data(facts: Mapping[str, Any]) -> str:
    data = facts["data"]
    sizes = ", ".join(f"{count:,} {split}" for split, count in data["sizes"].items() if count)
    low, high = data["value_range"]
    lines = [f"Data set: {escape_markdown(_short(data['name']))}{f' ({sizes})' if sizes else ''}."]
    names = list(data["class_names"] or [])
    if names:
        more = f" and {len(names) - MOST_CLASSES:,} more" if len(names) > MOST_CLASSES else ""
        lines.append(f"Classes: {escape_markdown(', '.join(names[:MOST_CLASSES]))}{more}.")
    shape = "x".join(map(str, data["image_shape"][:-1]))
    fit = {
        "crop": "the middle of images of another aspect is cropped",
        "pad": "images of another aspect are padded",
        "squash": "images of another aspect are distorted",
    }
    resized = f"Images are resized to {shape}; {fit[data['fit']]}. " if len(data["image_shape"]) == 3 else ""
    lines.append(
        f"{resized}Values of {low:g} to {high:g} become 0 to 1, less the mean {_list(data['mean'])}, divided by the "
        f"standard deviation {_list(data['std'])}."
    )
    if standardisation := facts.get("standardisation"):
        lines.append(f"Standardisation: {escape_markdown(standardisation)}.")
    return "\n\n".join(lines)


def _list(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _training(facts: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    config = facts["config"]
    rows = []
    for field in dataclasses.fields(Config):
        value = config.get(field.name, field.default)
        if field.name in OF_ONE_RUN or value in (None, "", {}) or value == field.default:
            continue
        rows.append((flag_of(field.name), _pairs(value) if isinstance(value, dict) else _short(str(value))))
    flags = as_markdown(("flag", "value"), rows, words=[0, 1])
    recipe = facts.get("recipe", {})
    parts = []
    if "learning_rate" in recipe:
        parts.append(f"Flags of `python -m tfcnn.train` other than the defaults; config.json has all:\n\n{flags}")
        parts.append(
            f"Learning rate {recipe['learning_rate']:g}, {recipe['steps_per_epoch']:,} steps of "
            f"{config['batch_size']:,} examples in an epoch, {recipe['precision']}."
        )
    else:
        parts.append("None: the weights are loaded as they are.")
    versions = metrics.get("versions", {})
    words = ", ".join(f"{name} {version}" for name, version in versions.items())
    if words:
        parts.append(f"{metrics['seconds']:,.0f} seconds on {escape_markdown(metrics['device'])}; {words}.")
    return "\n\n".join(parts)


def _limits(data: Mapping[str, Any]) -> str:
    lines = []
    if data["task"] in ("classification", "detection", "segmentation"):
        lines.append("- The network knows its classes alone, and answers with one of them whatever it is shown.")
    if data["task"] == "classification":
        lines.append(
            "- Its probabilities need not be the shares of right answers: `python -m tfcnn.evaluate RUN` measures it."
        )
    lines.append(
        "- The scores hold for data like those of the test split; `python -m tfcnn.evaluate RUN --dataset PLACE`\n"
        "  measures others."
    )
    if duplicates := describe_duplicates(dict(data)):
        lines.append(f"- Duplicates: {escape_markdown(duplicates)}.")
    lines.append("- The license of the data and of loaded weights holds for the model, too, and is not stated here.")
    return "\n".join(lines)
