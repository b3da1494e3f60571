"""Image data for TensorFlow: a name in, facts and tf.data datasets out.

    >>> import pipelines
    >>> data = pipelines.load("digits", batch_size=32)
    >>> data.image_shape, data.num_classes, data.sizes
    ((32, 32, 1), 10, {'train': 1257, 'validation': 180, 'test': 360})

Plain values go in and nothing of tfcnn is known here. TensorFlow is imported when data is loaded.
"""

from pipelines.catalogue import EMBEDDED, check_name
from pipelines.errors import BadData

__all__ = ["EMBEDDED", "BadData", "check_name", "load"]


def load(*args, **kwargs):
    """Load a data set: see `pipelines.loading.load`, to which this forwards."""
    from pipelines.loading import load

    return load(*args, **kwargs)
