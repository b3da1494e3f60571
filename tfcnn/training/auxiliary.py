"""Auxiliary classifiers: heads on inner maps whose losses help to train what lies below them, and which then leave."""

from __future__ import annotations

from typing import Any

import keras

from tfcnn.config import Config
from tfcnn.errors import BadInput
from tfcnn.models.registry import family_of

# By family, the weight of each auxiliary loss. googlenet: Szegedy et al., "Going deeper with convolutions" (2014),
# section 5. inception_v3: TensorFlow's slim, train_image_classifier.py, whose network is the published one.
WEIGHTS = {"googlenet": 0.3, "inception_v3": 0.4}


class WithAuxiliary(keras.Model):
    """A network whose further outputs count in the loss of training alone.

    Outside training it has one output, and so has what is built on its `output`, as the model that is kept. Its
    variables are those of all heads, so that checkpoints have them, too. Metrics are of the first output.

    Args:
        inputs, outputs: of a functional model, the network's own logits first.
        weight: of each further loss.
        name: of the model.
    """

    def __init__(self, inputs: Any, outputs: Any, weight: float, name: str) -> None:
        super().__init__(inputs=inputs, outputs=outputs, name=name)
        self.weight = weight

    @property
    def output(self) -> keras.KerasTensor:
        return self.outputs[0]

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        return self.outputs[0].shape

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        outputs = super().call(inputs, training=training, mask=mask)
        return outputs if training else outputs[0]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        if not isinstance(y_pred, list | tuple):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        first, *others = y_pred
        loss = super().compute_loss(x, y, first, sample_weight, training)
        return loss + self.weight * sum(self.loss(y, other, sample_weight) for other in others)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        first = y_pred[0] if isinstance(y_pred, list | tuple) else y_pred
        return super().compute_metrics(x, y, first, sample_weight)


def with_auxiliary(model: keras.Model, config: Config) -> keras.Model:
    """A network of `tfcnn.build` as it is trained: one of several outputs as `WithAuxiliary`.

    Raises:
        BadInput: its further outputs are no auxiliary classifiers, or it starts from loaded weights.
    """
    if len(model.outputs) == 1:
        return model
    module = family_of(config.arch).module
    if module not in WEIGHTS:
        names = ", ".join(model.output_names)
        raise BadInput(f"{config.arch} has the outputs {names}; this trains networks with one (--arch-args)")
    if config.weights is not None:
        raise BadInput(
            f"the auxiliary classifiers of {config.arch} are for training from fresh weights: leave --weights "
            f"{config.weights} or --arch-args auxiliary=True out"
        )
    return WithAuxiliary(model.input, model.outputs, WEIGHTS[module], model.name)
