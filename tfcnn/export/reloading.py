"""A SavedModel written and reloaded in a process that cannot import tfcnn, for the comparison with its network."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tfcnn.errors import ExportFailed
from tfcnn.export import serving_process
from tfcnn.export.savedmodel import export_savedmodel
from tfcnn.export.serving_process import Milliseconds

if TYPE_CHECKING:
    import keras
    import numpy as np

ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}


def write(model: keras.Model, facts: dict[str, Any], path: Path, quantize: str, samples: np.ndarray | None) -> None:
    """Write the SavedModel, as `formats.Format.module` says; `quantize` is "none", and no samples are needed."""
    export_savedmodel(model, path, facts)


class SavedModelProcess:
    """A SavedModel in a process without tfcnn.

    Args:
        process: of `serving_process`.
        log: what the process writes to stderr.
        facts: of the training data.
        endpoint: to ask; for `serve_ready` examples are standardised here.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes], facts: dict[str, Any], endpoint: str) -> None:
        self._process = process
        self._log = log
        self._facts = facts
        self._endpoint = endpoint

    def run(self, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of raw inputs (batch, ...), by name."""
        return self._ask("run", inputs)

    def time(self, *inputs: np.ndarray) -> Milliseconds:
        """The times of the raw inputs of one example, (1, ...)."""
        answer = self._ask("time", inputs)
        return Milliseconds(float(answer["wall"]), float(answer["cpu"]))

    def _ask(self, what: str, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        import numpy as np

        if self._endpoint == "serve_ready":
            inputs = [standardise(examples, self._facts) for examples in inputs]
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        content = io.BytesIO()
        np.savez(content, *inputs)
        try:
            stdin.write(f"{what} {self._endpoint} {content.tell()}\n".encode() + content.getvalue())
            stdin.flush()
            size = int(stdout.readline())
        except (OSError, ValueError) as error:
            self._process.wait()
            self._log.seek(0)
            lines = self._log.read().decode(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else f"exit code {self._process.returncode}"
            raise ExportFailed(f"the SavedModel does not run without tfcnn: {reason}") from error
        with np.load(io.BytesIO(stdout.read(size))) as answer:
            return dict(answer)


def standardise(examples: np.ndarray, facts: dict[str, Any]) -> np.ndarray:
    """Raw examples (batch, *image_shape) as the network takes them, float32."""
    import numpy as np

    low, high = facts["value_range"]
    shares = (examples.astype(np.float32) - low) / (high - low)
    return ((shares - np.asarray(facts["mean"])) / np.asarray(facts["std"])).astype(np.float32)


def endpoint_of(model: keras.Model, facts: dict[str, Any]) -> str:
    """`serve`; of a detector `serve_regions`; `serve_ready` where `serve` resizes the network's map."""
    if len(model.inputs) > 1:
        return "serve_regions"
    sides = tuple(facts["image_shape"][:-1])
    is_resized = facts["task"] == "segmentation" and tuple(model.output_shape[1:-1]) != sides
    return "serve_ready" if is_resized else "serve"


@contextlib.contextmanager
def reload(path: Path, model: keras.Model, facts: dict[str, Any]) -> Iterator[SavedModelProcess]:
    """The SavedModel on one thread, its endpoint that returns what the files of the other formats do."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | ONE_THREAD
    command = [sys.executable, "-I", serving_process.__file__, str(path)]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment
        ) as process,
    ):
        yield SavedModelProcess(process, log, facts, endpoint_of(model, facts))
