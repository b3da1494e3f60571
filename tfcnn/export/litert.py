"""A trained network as a file of LiteRT, for phones and small devices, with LiteRT's builtin operators only.

`signature.py` says what goes in and comes out. The batch is 1; `resize_tensor_input` sets another. Of a detector it
sets the number of regions, and the batch stays 1. Quantizations:

    none      float32
    float16   weights of 16 bits, half the size; computes in float32
    dynamic   weights of 8 bits, a quarter of the size; activations are rounded to 8 bits as they come
    int8      weights and activations of 8 bits, their ranges measured on training images; uint8 goes in
"""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.startup import quiet_stderr
from tfcnn.export.rewriting import split_pooling
from tfcnn.export.serving_process import Milliseconds, time_calls
from tfcnn.export.signature import Signature, signature_of
from tfcnn.model_files import replace_layers

if TYPE_CHECKING:
    import keras
    import numpy as np

ENDPOINT = "serve"


def write(model: keras.Model, facts: dict[str, Any], path: Path, quantize: str, samples: np.ndarray | None) -> None:
    """Write the file, as `formats.Format.module` says."""
    import keras
    import tensorflow as tf

    model = replace_layers(model, split_pooling)
    signature = signature_of(model, facts)
    batch = None if len(signature.inputs) == 1 else 1  # no operator adds an axis to two of unknown size
    with tempfile.TemporaryDirectory() as folder, quiet_stderr(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated")  # int8 measures with it
        # From a concrete function TFLiteConverter writes a Keras 3 model without its weights, and says nothing.
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint(ENDPOINT, signature.serve, signature.specs(batch))
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[ENDPOINT])
        if quantize != "none":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if quantize == "int8":
            assert samples is not None
            converter.representative_dataset = lambda: _batches_of_one(signature, samples)
        path.write_bytes(converter.convert())


def _batches_of_one(signature: Signature, samples: np.ndarray) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    for sample in samples:
        yield ENDPOINT, {signature.inputs[0].name: sample[None]}


class LiteRTFile:
    """A file of LiteRT, run by ai-edge-litert on one thread, without operators from outside.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        with quiet_stderr():
            self._interpreter = Interpreter(
                model_path=str(path), num_threads=1, experimental_op_resolver_type=OpResolverType.BUILTIN
            )
            self._interpreter.allocate_tensors()
            (name,) = self._interpreter.get_signature_list()
            self._runner = self._interpreter.get_signature_runner(name)
            self._inputs = list(self._runner.get_input_details())

    def run(self, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of raw inputs (batch, ...), by name."""
        return self._runner(**dict(zip(self._inputs, inputs, strict=True)))

    def time(self, *inputs: np.ndarray) -> Milliseconds:
        """The times of the raw inputs of one example, (1, ...)."""
        return time_calls(lambda: self.run(*inputs))


@contextlib.contextmanager
def reload(path: Path, model: keras.Model, facts: dict[str, Any]) -> Iterator[LiteRTFile]:
    """The file, ready to run."""
    yield LiteRTFile(path)
