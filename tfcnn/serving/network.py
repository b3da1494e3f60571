"""A run as the protocols see it: a name, what it takes, what it answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tfcnn.errors import first_line
from tfcnn.export.savedmodel import raw_dtype
from tfcnn.results import results_of
from tfcnn.serving.batching import Batch, Outputs
from tfcnn.serving.limits import Limits, Refusal, check_examples

if TYPE_CHECKING:
    import numpy as np

    from tfcnn.trained import Trained

VERSION = "1"  # of every run
SMALL = 2**16  # pixels: to resize so many takes about as long as the call of TensorFlow itself, half a millisecond


class Spec(NamedTuple):
    """An input or an output.

    Attributes:
        name: of the tensor.
        dtype: as NumPy names it; "bytes" of text and files.
        shape: of an example; -1 where it may have any length.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


class ServedNetwork(NamedTuple):
    """What the server knows of a run.

    Attributes:
        name: in the addresses.
        facts: what the page shows: the task, the names of the classes.
        input: of arrays; files of images have the name "files".
        outputs: of one example.
        from_arrays: (raw examples (height, width, channels) each, of any size) -> what the network computes.
        from_files: (contents of image files) -> what the network computes.
        respond: (inputs, sizes), as a `Batch` has them -> arrays by name.
    """

    name: str
    facts: dict[str, object]
    input: Spec
    outputs: Sequence[Spec]
    from_arrays: Callable[[Sequence[np.ndarray]], Batch]
    from_files: Callable[[Sequence[bytes]], Batch]
    respond: Callable[[Sequence[np.ndarray], np.ndarray], Outputs]


def serve_run(name: str, trained: Trained, limits: Limits, largest: int) -> ServedNetwork:
    """A trained network, ready to answer.

    Args:
        name: in the addresses.
        trained: the network with its preprocessing.
        limits: of a request.
        largest: the examples of a batch. Batches of all sizes are computed now: TensorFlow prepares much at the first.
    """
    import numpy as np

    shape = tuple(trained.facts["image_shape"])
    images = len(shape) == 3
    answer = results_of(trained.task).respond(trained.model, trained.facts)
    preparation = Preparation(trained, limits)

    def respond(inputs: Sequence[np.ndarray], sizes: np.ndarray) -> Outputs:
        return answer(preparation.prepare(inputs), sizes)

    counts = [1]
    while counts[-1] < largest:
        counts.append(2 * counts[-1])
    for count in reversed(counts):
        sizes = np.full((count, 2), shape[:2] if images else 1, np.int32)
        outputs = respond([np.zeros(shape, np.uint8 if images else np.float32)] * count, sizes)
    spec = Spec(
        name="images" if images else "examples",
        dtype=raw_dtype(trained.facts),
        shape=(-1, -1, shape[-1]) if images else shape,
    )
    return ServedNetwork(
        name=name,
        facts={
            "task": trained.task,
            "classes": list(trained.class_names),
            "shape": list(shape),
            "range": list(trained.value_range),
            "images": images,
        },
        input=spec,
        outputs=[Spec(name, _dtype_of(array), array.shape[1:]) for name, array in outputs.items()],
        from_arrays=preparation.from_arrays,
        from_files=preparation.from_files,
        respond=respond,
    )


def _dtype_of(array: np.ndarray) -> str:
    return "bytes" if array.dtype.kind in "OSU" else array.dtype.name


class Preparation:
    """From what clients send to what the network computes, as for the run's evaluation.

    Args:
        trained: the network with its preprocessing.
        limits: of a request.
    """

    def __init__(self, trained: Trained, limits: Limits) -> None:
        self._inputs = trained.inputs
        self._shape = tuple(trained.facts["image_shape"])
        self._limits = limits

    def from_arrays(self, arrays: Sequence[np.ndarray]) -> Batch:
        """Prepare raw examples. Raises Refusal for another shape or range than that of the training data."""
        import numpy as np

        from pipelines.errors import BadData

        check_examples(len(arrays), self._limits)
        self._check_pixels(sum(array.size for array in arrays) // self._shape[-1])
        alike = len({array.shape for array in arrays}) == 1
        try:
            inputs = self._inputs.from_arrays(np.stack(arrays) if alike else arrays)
        except BadData as error:
            raise Refusal(400, str(error)) from None
        sizes = [array.shape[:2] if array.ndim > 1 else (1, 1) for array in arrays]
        return Batch(list(inputs), np.array(sizes, np.int32))

    def from_files(self, files: Sequence[bytes]) -> Batch:
        """Decode image files, and prepare the large ones.

        Raises:
            Refusal: a file that cannot be used, or more pixels than allowed.
        """
        import numpy as np

        from pipelines.errors import BadData
        from pipelines.readers.image_files import count_pixels

        check_examples(len(files), self._limits)
        self._check_pixels(sum(map(count_pixels, files)))
        inputs = []
        sizes = []
        for content in files:
            if not content:
                raise Refusal(400, "an image of 0 bytes; send the content of an image file")
            try:
                pixels = self._inputs.read_content(content)
            except BadData as error:
                raise Refusal(400, str(error).removesuffix(" (IMAGE)")) from None
            sizes.append(pixels.shape[:2])
            small = math.prod(pixels.shape[:2]) <= SMALL
            inputs.append(pixels if small else self._inputs.from_pixels(pixels[None])[0])
        return Batch(inputs, np.array(sizes, np.int32))

    def prepare(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """The inputs of a `Batch`, all standardised: float32 (batch, *image_shape)."""
        import numpy as np

        prepared = np.empty((len(inputs), *self._shape), np.float32)
        alike: dict[tuple[int, ...], list[int]] = {}
        for place, example in enumerate(inputs):
            if example.dtype == np.uint8:
                alike.setdefault(example.shape, []).append(place)
            else:
                prepared[place] = example
        for places in alike.values():
            prepared[places] = self._inputs.from_pixels(np.stack([inputs[place] for place in places]))
        return prepared

    def _check_pixels(self, pixels: int) -> None:
        if pixels > self._limits.pixels:
            raise Refusal(
                413,
                f"images of {pixels / 1e6:,.1f} million pixels in a request; at most {self._limits.pixels / 1e6:g} "
                f"million are allowed (--max-pixels)",
            )


def describe_failure(error: Exception) -> str:
    """What a client reads of an error of the network."""
    return f"the network failed: {first_line(error)}"
