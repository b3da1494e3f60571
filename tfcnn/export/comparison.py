"""Exported files against their network, on the same raw examples: difference, agreement, score, size, time.

The bounds, in one place. A file of float32 computes the same in another order, so that its outputs differ by rounding:
by at most 1e-3 of their scale (1e-7 to 4e-4 were measured). Where two values of a pooling window lie within rounding of
each other, unpooling may move the other one: of a network with unpooling one output in a thousand may differ by more.
Of a trained SegNet 3 to 5 in a million did, by up to 0.034. A quantized file is another network, which is bounded by
what it is for: at most half a point of the task's headline metric is lost (half a decibel of PSNR), or one example
where that is more. Where there are no examples with targets, at most one class in twenty changes, and an image by at
most a twentieth of its range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tfcnn.export.reloading import standardise
from tfcnn.results import Classes, Outputs, results_of
from tfcnn.tasks import TASKS

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from pipelines.dataset import Data
    from tfcnn.detection.examples import Example as RegionExample
    from tfcnn.export.serving_process import Milliseconds

LARGEST_DIFFERENCE = 1e-3
MOST_BEYOND = 1e-3  # share of the outputs that may differ by more, of a network with unpooling
LARGEST_LOSS = {"reconstruction": 0.5}  # in decibels
LARGEST_LOSS_OF_SHARES = 0.005
LEAST_AGREEMENT = 0.95
LARGEST_QUANTIZED_DIFFERENCE = 0.05
MOST_EXAMPLES = 1000


class Reloaded(Protocol):
    """An exported file, ready to run."""

    def run(self, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of raw inputs (batch, ...), by name."""

    def time(self, *inputs: np.ndarray) -> Milliseconds:
        """The times of the raw inputs of one example, (1, ...)."""


class Examples(NamedTuple):
    """The examples of a comparison.

    Attributes:
        batches: standardised inputs with their targets.
        classes: of the run and of the data; None: there are no targets.
        words: what they are: "360 test examples".
        size: their number.
        data: whose mean and std standardise them; None: there are no targets.
        regions: of a detector, in place of the batches: images with their regions and truth, which is empty where there
            are no targets.
    """

    batches: tf.data.Dataset | None
    classes: Classes | None
    words: str
    size: int
    data: Data | None = None
    regions: Sequence[RegionExample] = ()


class Reference(NamedTuple):
    """The network that files are compared with.

    Attributes:
        answer: raw inputs -> outputs by name.
        facts: of the training data.
        examples: to compare on.
        score: the task's headline metric of the network; None without targets.
        unpooling: whether the network puts values back to where a pooling found its maxima.
    """

    answer: Callable[..., Outputs]
    facts: dict[str, Any]
    examples: Examples
    score: float | None
    unpooling: bool = False


class Row(NamedTuple):
    """What a comparison finds for one file.

    Attributes:
        format: its name.
        quantize: its quantization.
        difference: the largest of an output, in units of the outputs' scale: 1 of probabilities and scores, their range
            of images, the longer side of the image of boxes.
        beyond: the share of the outputs that differ by more than LARGEST_DIFFERENCE.
        agreement: the share of equal classes; None of a reconstruction and of detection.
        score: the task's headline metric; None without targets.
        reference: that of the network.
        bytes: of the file.
        wall_ms: the median of the time of one example, on one thread.
        cpu_ms: the mean time of the processor.
        problem: why the file is not good; "" if it is.
    """

    format: str
    quantize: str
    difference: float
    beyond: float
    agreement: float | None
    score: float | None
    reference: float | None
    bytes: int
    wall_ms: float
    cpu_ms: float
    problem: str


class Followed:
    """Stands for a network where scores are computed, calls an exported file, and notes how far the answers differ.

    Args:
        run: the file: raw inputs -> outputs by name.
        expected: the network: raw inputs -> outputs by name.
        facts: of the training data.
    """

    def __init__(self, run: Callable[..., Outputs], expected: Callable[..., Outputs], facts: dict[str, Any]) -> None:
        self.difference = 0.0
        self.beyond = 0
        self.values = 0
        self.equal = 0
        self.classes = 0
        self._run = run
        self._expected = expected
        self._facts = facts
        low, high = facts["value_range"]
        side = max(facts["image_shape"][:2])
        self._scales = {"probabilities": 1.0, "image": high - low, "scores": 1.0, "boxes": side}

    def answer(self, *inputs: np.ndarray) -> Outputs:
        """The file's answer to raw inputs, compared with the network's."""
        import numpy as np

        outputs = self._run(*inputs)
        expected = self._expected(*inputs)
        for name in set(self._scales) & set(expected):
            difference = np.abs(np.asarray(outputs[name], np.float64) - np.asarray(expected[name])) / self._scales[name]
            difference = np.where(np.isfinite(difference), difference, np.inf)
            self.difference = max(self.difference, float(difference.max()))
            self.beyond += int((difference > LARGEST_DIFFERENCE).sum())
            self.values += difference.size
        if "class" in expected:
            self.equal += int((np.asarray(outputs["class"]) == np.asarray(expected["class"])).sum())
            self.classes += np.asarray(expected["class"]).size
        return outputs

    def predict_on_batch(self, inputs: Any) -> np.ndarray:
        """What the network would say of standardised inputs, from the file's answer to the raw examples."""
        import numpy as np

        outputs = self.answer(raw_examples(np.asarray(inputs), self._facts))
        if "image" in outputs:
            return standardise(np.asarray(outputs["image"]), self._facts)
        return np.log(np.maximum(np.asarray(outputs["probabilities"], np.float64), 1e-30))


def raw_examples(inputs: np.ndarray, facts: dict[str, Any]) -> np.ndarray:
    """Standardised inputs as raw examples in the type of the training data; whole numbers are rounded."""
    import numpy as np

    from tfcnn.export.savedmodel import raw_dtype

    low, high = facts["value_range"]
    shares = inputs.astype(np.float64) * np.asarray(facts["std"]) + np.asarray(facts["mean"])
    values = np.clip(shares * (high - low) + low, -high if low == 0 and inputs.ndim == 3 else low, high)
    dtype = np.dtype(raw_dtype(facts))
    return (values if dtype.kind == "f" else np.rint(values)).astype(dtype)


def compare(name: str, quantize: str, path: Path, reloaded: Reloaded, reference: Reference) -> Row:
    """Compare a file with its network.

    Args:
        name: of the format.
        quantize: its quantization.
        path: of the file, or folder.
        reloaded: the file, ready to run.
        reference: the network, and the examples.
    """
    facts = reference.facts
    file = Followed(reloaded.run, reference.answer, facts)
    score = score_of(file, facts, reference.examples)
    times = reloaded.time(*first_inputs(reference.examples, facts))
    row = Row(
        name,
        quantize,
        file.difference,
        file.beyond / file.values,
        file.equal / file.classes if file.classes else None,
        score,
        reference.score,
        size_of(path),
        times.wall,
        times.cpu,
        "",
    )
    beyond = MOST_BEYOND if reference.unpooling else 0.0
    return row._replace(problem=problem_of(row, facts["task"], reference.examples.size, beyond))


def reference_of(
    answer: Callable[..., Outputs], facts: dict[str, Any], examples: Examples, unpooling: bool = False
) -> Reference:
    """A network with its score.

    Args:
        answer: raw inputs -> outputs by name.
        facts: of the training data.
        examples: to compare on.
        unpooling: whether the network has unpooling.
    """
    score = None if examples.classes is None else score_of(Followed(answer, answer, facts), facts, examples)
    return Reference(answer, facts, examples, score, unpooling)


def score_of(network: Followed, facts: dict[str, Any], examples: Examples) -> float | None:
    """The headline metric of the task; None without targets, whose examples are run nevertheless."""
    task = facts["task"]
    if examples.batches is None:
        return score_of_regions(network, facts, examples)
    if examples.classes is None:
        for inputs, _ in examples.batches:
            network.predict_on_batch(inputs)
        return None
    data: Any = _Split(examples)
    model: Any = network
    scores = results_of(task).evaluate(model, data, "test", examples.classes)
    return float(scores[TASKS[task].headline.name])


def score_of_regions(network: Followed, facts: dict[str, Any], examples: Examples) -> float | None:
    """The headline metric of detection, after non-maximum suppression as the network's own; None without targets."""
    from tfcnn.detection.detector import rows_of, suppress
    from tfcnn.detection.metrics import mean_average_precision

    detections = []
    for example in examples.regions:
        outputs = network.answer(*raw_regions(example, facts))
        detections += rows_of(suppress(outputs["boxes"], outputs["scores"]))
    if examples.classes is None:
        return None
    return mean_average_precision(detections, [example.truth for example in examples.regions], [0.5])["ap50"]


def first_inputs(examples: Examples, facts: dict[str, Any]) -> tuple[np.ndarray, ...]:
    """The raw inputs of the first example, (1, ...)."""
    if examples.batches is None:
        return raw_regions(examples.regions[0], facts)
    (first, _), *_ = examples.batches.take(1)
    return (raw_examples(first.numpy()[:1], facts),)


def raw_regions(example: RegionExample, facts: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The raw image (1, *image_shape) of an example, and its regions (1, r, 4)."""
    return raw_examples(example.image[None], facts), example.regions[None]


class _Split:
    """The examples as an evaluation reads them from a `Data`."""

    def __init__(self, examples: Examples) -> None:
        assert examples.data is not None
        self.mean = examples.data.mean
        self.std = examples.data.std
        self._batches = examples.batches

    def evaluation(self, split: str) -> tf.data.Dataset:
        assert self._batches is not None
        return self._batches


def problem_of(row: Row, task: str, count: int, beyond: float = 0.0) -> str:
    """Why a file is beyond its bound, "" if it is not.

    Args:
        row: what was found.
        task: of the network.
        count: of the examples.
        beyond: the share of the outputs of a float32 file that may differ by more than LARGEST_DIFFERENCE.

    >>> row = Row("onnx", "none", 2e-3, 1e-4, 1.0, 0.9, 0.9, 100, 1.0, 1.0, "")
    >>> problem_of(row, "classification", 360)
    'its outputs differ by 0.002 of their scale, and 0.001 is allowed'
    >>> problem_of(row, "segmentation", 360, beyond=1e-3)
    ''
    >>> problem_of(row._replace(quantize="int8", score=0.896), "classification", 360)
    ''
    >>> problem_of(row._replace(quantize="int8", score=0.88), "classification", 360)
    'its accuracy is 88.00%, that of the network 90.00%, and a loss of 0.50% is allowed'
    """
    if row.quantize == "none":
        if row.beyond <= beyond:
            return ""
        if beyond:
            return (
                f"{row.beyond:.2%} of its outputs differ by more than {LARGEST_DIFFERENCE:g} of their scale, and "
                f"{beyond:.2%} are allowed"
            )
        return _difference_problem(row, LARGEST_DIFFERENCE)
    if row.score is not None and row.reference is not None:
        headline = TASKS[task].headline
        allowed = LARGEST_LOSS.get(task, LARGEST_LOSS_OF_SHARES)
        if task == "classification":
            allowed = max(allowed, 1 / count)
        if row.reference - row.score <= allowed + 1e-9:
            return ""
        score, reference, loss = (headline.form.format(value) for value in (row.score, row.reference, allowed))
        return f"its {headline.label} is {score}, that of the network {reference}, and a loss of {loss} is allowed"
    if row.agreement is None:
        return _difference_problem(row, LARGEST_QUANTIZED_DIFFERENCE)
    if row.agreement >= LEAST_AGREEMENT:
        return ""
    return f"{row.agreement:.1%} of its classes are those of the network, and {LEAST_AGREEMENT:.0%} are needed"


def _difference_problem(row: Row, allowed: float) -> str:
    if row.difference <= allowed:
        return ""
    return f"its outputs differ by {row.difference:.2g} of their scale, and {allowed:g} is allowed"


def size_of(path: Path) -> int:
    """The bytes of a file, or of the files in a folder."""
    files: Iterator[Path] = path.rglob("*") if path.is_dir() else iter([path])
    return sum(file.stat().st_size for file in files if file.is_file())
