"""The import of TensorFlow, without its start-up lines. Standard library only."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile

from tfcnn.errors import BadInput


def import_tensorflow() -> None:
    """Import TensorFlow and Keras without their start-up lines on stderr, which no environment variable removes.

    What was caught is shown if the import fails. oneDNN's kernels are used also on CPUs on which TensorFlow does not
    use them by itself (those without AVX512_VNNI), unless TF_ENABLE_ONEDNN_OPTS says something else: a training step
    takes up to a third of the time (`python -m benchmarks.train_step`).
    """
    if "tensorflow" in sys.modules:
        return
    if os.environ.setdefault("KERAS_BACKEND", "tensorflow") != "tensorflow":
        raise BadInput(
            f"the commands run on TensorFlow, but KERAS_BACKEND is '{os.environ['KERAS_BACKEND']}': unset it"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # runtime notes below errors, for the rest of the process
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            importlib.import_module("keras")
            tensorflow = importlib.import_module("tensorflow")
            tensorflow.config.list_physical_devices()  # looks for GPUs, and says so
            tensorflow.get_logger().setLevel("WARNING")
        except BaseException:
            caught.seek(0)
            os.write(kept, caught.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
