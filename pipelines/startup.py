"""The import of TensorFlow, without its start-up lines. Standard library only."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Collection, Iterator

from pipelines.errors import BadData


def import_tensorflow(absent: Collection[str] = ()) -> None:
    """Import TensorFlow and Keras without their start-up lines on stderr, which no environment variable removes.

    The lines are shown if the import fails. Unless TF_ENABLE_ONEDNN_OPTS says otherwise, oneDNN's kernels are used on
    every CPU. TensorFlow's default leaves them out on CPUs without AVX512_VNNI, where with them a training step takes
    as little as a third of the time (`python -m benchmarks.train_step`).

    Args:
        absent: packages that TensorFlow and Keras import where they are installed, and are not to see now.

    Raises:
        BadData: no folder for temporary files has room; TensorFlow looks for one.
    """
    if "tensorflow" in sys.modules:
        return
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise BadData("no folder for temporary files can be written: make room, or set TMPDIR to another") from error
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only, for the rest of the process
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with quiet_stderr(shows_failure=True), hidden(absent):
        import keras  # noqa: F401
        import tensorflow as tf

        tf.config.list_physical_devices()  # the search for GPUs prints lines, too
        tf.get_logger().setLevel("WARNING")


@contextlib.contextmanager
def hidden(packages: Collection[str]) -> Iterator[None]:
    """A context in which the import of packages fails as if they were not installed, unless they are imported."""
    names = [name for name in packages if name not in sys.modules]
    for name in names:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


@contextlib.contextmanager
def quiet_stderr(*, shows_failure: bool = False) -> Iterator[None]:
    """A context in which nothing is written to stderr, also by C++ code.

    Args:
        shows_failure: whether what would have been written is shown if an exception leaves the context.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except Exception:  # Ctrl-C is no failure
            sys.stderr.flush()
            if shows_failure:
                log.seek(0)
                os.write(stderr, log.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
