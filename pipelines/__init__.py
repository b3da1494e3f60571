"""Image data for TensorFlow: a name in, facts and tf.data datasets out.

    >>> import pipelines
    >>> data = pipelines.load("digits", batch_size=32)
    >>> data.image_shape, data.num_classes, data.sizes
    ((32, 32, 1), 10, {'train': 1257, 'validation': 180, 'test': 360})

The package takes plain values and knows nothing of tfcnn. `load` imports TensorFlow; importing the package does not.
"""

from __future__ import annotations

import _signal
import sys

# `python -m` looks for a command: Ctrl-C ends it as SIGTERM does, without a traceback. The import of signal would take
# some milliseconds; the module in C is there.
if sys.argv[:1] == ["-m"]:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

from typing import TYPE_CHECKING, Any

from pipelines.catalogue import EMBEDDED, check_name
from pipelines.errors import BadData

if TYPE_CHECKING:
    from pipelines.dataset import Data

DISTRIBUTION = "tfcnn"  # by which another package of this name is told
__all__ = ["EMBEDDED", "BadData", "check_name", "load"]


def load(name: str, **options: Any) -> Data:
    """Load a data set; the options are those of `pipelines.loading.load`."""
    from pipelines import loading

    return loading.load(name, **options)
