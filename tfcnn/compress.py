"""`python -m tfcnn.compress RUN`: prune a finished run's network, share its weights, and write them in few bytes.

The network is fine-tuned on the data and by the recipe of its run. The folder and its reader: `tfcnn.compression`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcnn.cli.parser import Parser, run_main
from tfcnn.cli.startup import import_tensorflow
from tfcnn.compression import folder
from tfcnn.compression.settings import SCOPES, Settings
from tfcnn.errors import BadInput, choose
from tfcnn.files import check_target
from tfcnn.options import Rules, convert
from tfcnn.results import Classes, results_of
from tfcnn.run_directory import RunDirectory
from tfcnn.tasks import TASKS
from tfcnn.train import restore_config
from tfcnn.training.data import check_same_data, load_data

if TYPE_CHECKING:
    import keras

    from tfcnn.training.data import Data

DESCRIPTION = (
    "Compress a finished run of a classifier: gradual pruning, shared weights and a file of relative indices, "
    "with fine-tuning on the run's data (Deep Compression, Han et al. 2015). tfcnn.compression.load reads the folder."
)
TASK = "classification"
SPARSITY = Rules("share of the weights that become zero", low=0, high=0.999)
BITS = Rules("bits of a weight: 2 ** BITS - 1 shared values in each layer", low=1, high=8)
EPOCHS = Rules("epochs of fine-tuning while pruning; a third as many follow for the shared values", low=0)
RATE = Rules("peak learning rate while pruning", above=0, high=100)
GZIPPED = {"gzip": "of the plain file", "gzip_after": "of the compressed network's plain file"}
SHARING_PART = 3  # epochs of pruning for one of sharing


def compress(
    run: RunDirectory, settings: Settings, path: Path, data_dir: str | None = None, sensitivity: bool = False
) -> dict[str, Any]:
    """Compress a run's network into a folder, and print the tables.

    Args:
        run: finished, of a classifier.
        settings: how.
        path: of the folder; an earlier one there is replaced when this one is complete.
        data_dir: folder of prepared data sets; default: that of the training.
        sensitivity: whether to measure and draw each layer's sensitivity first.

    Returns:
        dict: compression.json.

    Raises:
        BadInput, pipelines.BadData: before anything is computed.
        TrainingFailed: the loss is not finite.
    """
    facts = run.read_config()
    import_tensorflow()
    from tfcnn.compression import fine_tuning, report
    from tfcnn.model_files import in_float32

    config = restore_config({"resume": True, "out": str(run.path)})
    config = dataclasses.replace(config, data_dir=data_dir or config.data_dir)
    data = load_data(config)
    check_same_data(config, run, data)
    model = in_float32(run.load_model())
    model.trainable = True
    class_weights = facts["classes"]["weights"] if "classes" in facts else None
    lesson = fine_tuning.Lesson(config, data, facts["recipe"]["learning_rate"], class_weights)
    picture = draw_sensitivity(model, data, config.arch) if sensitivity else None
    originals = [weight.numpy() for weight in model.weights]
    scores = {"network": score_of(model, data)}
    constraints = fine_tuning.prune(model, lesson, settings)
    scores["pruned"] = score_of(model, data)
    fine_tuning.share_weights(model, lesson, settings, constraints)
    scores["compressed"] = score_of(model, data)
    content, weights = folder.encode(model, settings.huffman)
    rows = report.layer_rows(weights, originals)
    total = report.total_row(weights, originals, len(content))
    result = {
        "arch": config.arch,
        "dataset": data.name,
        "settings": settings._asdict(),
        "headline": TASKS[data.task].headline.name,
        "test_examples": data.sizes["test"],
        "scores": scores,
        "layers": [row._asdict() for row in rows],
        "total": total._asdict() | {"ratio": total.ratio},
    }
    folder.write(path, model, facts["data"], content, result, picture)
    print("\n" + report.describe(rows, total))
    if lines := report.fire_rows(model, rows):
        print("\n" + report.describe_fire(lines, total))
    print("\n" + describe(result))
    return result


def score_of(model: keras.Model, data: Data) -> float:
    """The headline metric on the test examples."""
    classes = Classes(data.class_names, range(data.num_classes))
    return results_of(data.task).evaluate(model, data, "test", classes)[TASKS[data.task].headline.name]


def draw_sensitivity(model: keras.Model, data: Data, arch: str) -> bytes:
    """The picture of each layer's sensitivity, PNG."""
    from tfcnn.compression import sensitivity
    from tfcnn.compression.report import layer_of
    from tfcnn.visualize.sensitivity import draw_sensitivity

    accuracies = {layer_of(name): values for name, values in sensitivity.measure(model, data).items()}
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / folder.PICTURE
        draw_sensitivity(
            accuracies, sensitivity.SPARSITIES, path, title=f"{arch} on {data.name}: pruned layer by layer"
        )
        return path.read_bytes()


def describe(result: dict[str, Any]) -> str:
    """Scores and sizes as text."""
    headline = TASKS[TASK].headline
    total = result["total"]
    lines = [f"{headline.label} on {result['test_examples']:,} test examples"]
    lines += [f"{name:10}  {headline.form.format(score)}" for name, score in result["scores"].items()]
    ratios = {words: total["float32"] / total[name] for name, words in GZIPPED.items()}
    lines += [f"size        {total['bytes']:,} bytes of {total['float32']:,}: {total['ratio']:.1f}x"]
    lines += [f"gzip        {', '.join(f'{words} {ratio:.1f}x' for words, ratio in ratios.items())}"]
    return "\n".join(lines)


def parse_settings(arguments: Any) -> Settings:
    """The settings of a command line, without the epochs of the run. Raises BadInput."""
    return Settings(
        sparsity=convert("--sparsity", "float", SPARSITY, arguments.sparsity),
        bits=convert("--bits", "int", BITS, arguments.bits),
        huffman=arguments.huffman,
        scope=choose("scope", arguments.scope, SCOPES, flag="--scope"),
        rate=convert("--lr", "float | None", RATE, arguments.lr),
    )


def main() -> None:
    parser = Parser(prog="python -m tfcnn.compress", description=DESCRIPTION)
    parser.add_argument("run", metavar="RUN", help="run directory of tfcnn.train")
    parser.add_argument("--sparsity", metavar="S", default=Settings().sparsity, help=f"{SPARSITY.help} [0.67]")
    parser.add_argument("--bits", metavar="N", default=Settings().bits, help=f"{BITS.help} [6]")
    parser.add_argument("--huffman", action="store_true", help="Huffman's code for indices and weights")
    scopes = "{" + ",".join(SCOPES) + "}"
    parser.add_argument("--scope", metavar=scopes, default=SCOPES[0], help="one threshold, or one a layer [global]")
    parser.add_argument("--epochs", metavar="N", help=f"{EPOCHS.help} [the run's]")
    parser.add_argument("--lr", metavar="RATE", help=f"{RATE.help} [half of the run's]")
    parser.add_argument("--sensitivity", action="store_true", help="draw accuracy against the sparsity of each layer")
    parser.add_argument("--out", metavar="DIR", help="folder to write [RUN/compressed]")
    parser.add_argument("--data-dir", metavar="DIR", help="folder of prepared data sets [that of the training]")
    arguments = parser.parse_args()
    settings = parse_settings(arguments)
    epochs = convert("--epochs", "int | None", EPOCHS, arguments.epochs)
    run = RunDirectory.open(arguments.run).check_finished().check_task(TASK)
    path = check_target(arguments.out or run.path / "compressed", folder.COMPRESSION)
    facts = run.read_config()
    if not facts["data"]["sizes"]["train"]:
        raise BadInput(f"the run in '{run.path}' was not trained on data; this command fine-tunes (RUN)")
    epochs = facts["config"]["epochs"] if epochs is None else epochs
    settings = settings._replace(epochs=epochs, sharing_epochs=-(-epochs // SHARING_PART))
    with run.locked() if arguments.out is None else contextlib.nullcontext():
        compress(run, settings, path, arguments.data_dir, arguments.sensitivity)
    print(f"written     {path}")


if __name__ == "__main__":
    sys.exit(run_main(main))
