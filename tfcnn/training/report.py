"""What the user reads of a run: what it is about to train, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfcnn.config import Config
from tfcnn.files import writing
from tfcnn.results import Classes, Evaluation, results_of, subject_of, title_of
from tfcnn.run_directory import BAD_FILES, RunDirectory
from tfcnn.tasks import TASKS
from tfcnn.training import recipes
from tfcnn.training.class_weights import describe_classes
from tfcnn.training.cluster import Worker
from tfcnn.training.data import describe_duplicates
from tfcnn.training.model_card import write_card
from tfcnn.training.progress import duration, quantity
from tfcnn.training.provenance import provenance
from tfcnn.visualize.curves import draw_curves
from tfcnn.visualize.rates import draw_sweep

if TYPE_CHECKING:
    import keras

    from tfcnn.training.data import Data
    from tfcnn.training.rate_finder import Sweep


def introduce(config: Config, facts: dict[str, Any], devices: int = 1) -> None:
    """Print what is about to be trained, and which decisions were taken automatically."""
    lines = _data(facts["data"])
    if classes := describe_classes(config, facts):
        lines.append(f"classes    {classes}")
    lines += _network(config, facts)
    if config.distribution != "none":
        lines.append(
            f"devices    {devices} ({config.distribution}), which share the {config.batch_size} images of a step: "
            f"{config.batch_size // devices} each"
        )
    lines += [_recipe(config, facts["recipe"]), *_phases(config, facts), *_kernels(facts["recipe"]), _steps(config)]
    lines += _memory(config, facts["recipe"]["grad_checkpoint"])
    print("\n".join(lines), flush=True)


def _data(data: dict[str, Any]) -> list[str]:
    sizes = ", ".join(f"{count:,} {split}" for split, count in data["sizes"].items())
    shape = "x".join(map(str, data["image_shape"]))
    classes = f", {data['num_classes']} classes" if data["num_classes"] else ""
    lines = [f"data       {data['name']}: {sizes} examples of {shape}{classes}; {data['storage']}"]
    if data["notes"]:
        lines.append("notes      " + ", ".join(f"{count:,} {what}" for what, count in data["notes"].items()))
    duplicates = describe_duplicates(data)
    if duplicates:
        lines.append(f"duplicates {duplicates}")
    if data["bad"]:
        lines.append(
            f"left out   {quantity(data['bad'], 'file')} that cannot be used: see {BAD_FILES} in the run directory"
        )
    return lines


def _network(config: Config, facts: dict[str, Any]) -> list[str]:
    cost = facts["cost"]
    weights = facts["weights"]
    priced = TASKS[facts["data"]["task"]].priced
    lines = [
        f"network    {config.arch}: {cost['parameters']:,} parameters, {cost['macs'] / 1e6:,.1f} million MACs {priced}"
    ]
    if weights["loaded"]:
        lines.append(f"weights    {weights['loaded']}")
    if facts["standardisation"]:
        lines.append(f"images     standardised with {facts['standardisation']}")
    if config.freeze != "none":
        lines.append(f"frozen     {weights['frozen_layers']} layers (--freeze {config.freeze})")
    if facts["targets"]:
        lines.append(f"targets    {facts['targets']}")
    if facts["arguments"].get("stem") == "cifar" and "stem" not in config.arch_args:
        other = "--arch-args stem=imagenet for the other"
        lines.append(f"stem       cifar: keeps the resolution of these small images ({other})")
    return lines


def _recipe(config: Config, recipe: dict[str, Any]) -> str:
    names = [config.recipe] if config.recipe != "default" else []
    names += ["fine-tuning"] if recipe["fine_tuning"] else []
    name = f"{', '.join(names)}: " if names else ""
    automatic = config.precision == "auto" and recipe["precision"] != "float32"
    loss = f", loss {config.loss}" if config.loss else ""
    augmentation = f", --aa {config.aa}" if config.aa != Config().aa else ""
    arguments = ", ".join(f"{key}={value}" for key, value in config.arch_args.items())
    epochs = quantity(config.epochs, "epoch")
    steps = quantity(recipe["steps_per_epoch"], "step")
    return (
        f"recipe     {name}{config.opt}, learning rate {recipe['learning_rate']:g}, {epochs} of "
        f"{steps} of {config.batch_size} images, {recipe['precision']}"
        f"{' (--precision float32 for full precision)' if automatic else ''}{', XLA' if recipe['jit'] else ''}"
        f"{loss}{augmentation}"
        f"{f'; {arguments} (--arch-args)' if arguments else ''}"
    )


def _phases(config: Config, facts: dict[str, Any]) -> list[str]:
    """One line, or none where all layers learn at one rate from the start."""
    recipe = facts["recipe"]
    phases = []
    if epochs := recipe["head_epochs"]:
        count = facts["weights"]["new_layers"]
        layers = "the last layer" if count == 1 else f"the last {count} layers"
        rate = recipes.HEAD_RATE * recipe["learning_rate"]
        span = quantity(epochs, "epoch")
        phases.append(f"{layers} alone for {span} at {rate:g} (--head-epochs), then all")
    if config.layer_decay is not None and config.layer_decay < 1:
        phases.append(f"each stage at {config.layer_decay:g} times the rate of the next (--layer-decay)")
    return [f"phases     {', '.join(phases)}"] if phases else []


def _memory(config: Config, plan: dict[str, int] | None) -> list[str]:
    """One line, or none without --grad-checkpoint."""
    if plan is None:
        return []
    kept, whole = (config.batch_size * plan[name] / 2**20 for name in ("kept_bytes", "all_bytes"))
    return [
        f"memory     activations of {whole:,.1f} MiB a step, at most {kept:,.1f} at a time: "
        f"{quantity(plan['segments'] - 1, 'segment')} computed again (--grad-checkpoint)"
    ]


def _kernels(recipe: dict[str, Any]) -> list[str]:
    """One line, or none where all kernels are Keras' own."""
    counts = [(count, what) for what, count in recipe["fused_kernels"].items() if count]
    fused = ", ".join(f"{count} {what.removesuffix('s') if count == 1 else what}" for count, what in counts)
    kernels = []
    if fused:
        kernels.append(f"fused: {fused} (--kernels keras for Keras' own operations)")
    if recipe["onednn"]:
        kernels.append("oneDNN (TF_ENABLE_ONEDNN_OPTS=0 for none)")
    return [f"kernels    {'; '.join(kernels)}"] if kernels else []


def _steps(config: Config) -> str:
    calls = {None: "as many as take a tenth of a second", 1: "one"}.get(config.steps_per_call, config.steps_per_call)
    return f"steps      in one call of TensorFlow: {calls} (--steps-per-execution)"


def draw_rates(sweep: Sweep | None, directory: RunDirectory) -> None:
    """Draw the range test of --lr auto, if there was one."""
    if sweep is not None:
        with writing(directory.lr_finder) as path:
            draw_sweep(sweep.rates, sweep.losses, sweep.smoothed, sweep.rate, path)


def leave_to_chief(worker: Worker) -> None:
    """Say at the end of a worker that another process writes the run directory."""
    print(f"\nworker {worker.rank + 1} of {worker.world_size} is done; the first has the run")


def draw_sheet(model: keras.Model, data: Data, facts: dict[str, Any], directory: RunDirectory) -> None:
    """Draw the worst, the median and the best test examples, where the task has such a sheet.

    Args:
        model: with the weights of the best epoch.
        data: with the targets that it predicts.
        facts: of `tfcnn.training.fit.build_model`.
        directory: of the run.
    """
    results = results_of(data.task)
    draw = results.pictures.get("sheet")
    if draw is None:
        return
    names = data.class_names or ()
    classes = Classes(names, range(len(names)))
    scores = results.evaluate(model, data, "test", classes)
    title = title_of(facts["config"]["arch"], data.task, data.name, "test", scores)
    with writing(directory.sheet) as path:
        draw(Evaluation(model, data, "test", classes, scores), path, title)


def finish(
    metrics: dict[str, Any],
    facts: dict[str, Any],
    rows: list[dict[str, float]],
    directory: RunDirectory,
    seconds: float,
) -> None:
    """Write the curves, the model card and, as the last files of the run, digests and metrics; print the results.

    A finished run keeps its card, which the user may have changed.

    Args:
        metrics: of `tfcnn.training.fit.evaluate_best`.
        facts: of `tfcnn.training.fit.build_model`.
        rows: the history.
        directory: of the run.
        seconds: that the process has worked.
    """
    rate = metrics["images_per_second"]
    speed = f"{rate:,.0f} in training" if rate else "not measured in so few steps"
    title = subject_of(facts["config"]["arch"], facts["data"]["name"])
    task = TASKS[facts["data"]["task"]]
    headline = task.headline
    watched = task.watched
    validation = metrics[f"val_{headline.name}"]
    test = metrics[f"test_{headline.name}"]
    with writing(directory.curves) as path:
        draw_curves(
            rows,
            path,
            title=title,
            headline=watched,
            best=metrics["best_epoch"],
            test=metrics[f"test_{watched.name}"],
        )
    if not directory.finished or directory.records.problem_of(directory.metrics):
        metrics = metrics | facts["cost"] | provenance(seconds)
    else:  # times and versions are those of the training
        metrics = directory.read_metrics()
    if not directory.finished or not directory.card.exists():
        write_card(directory, metrics)
    directory.finish(metrics)
    print(
        f"\nbest epoch         {metrics['best_epoch']} of {metrics['epochs']}, "
        f"validation {headline.label} {headline.form.format(validation)}\n"
        f"{'test ' + headline.label:17}  {headline.form.format(test)} of {facts['data']['sizes']['test']:,} images\n"
        f"images per second  {speed}; {duration(seconds)} in all\n"
        f"run directory      {directory.path}"
    )
