"""Faster TensorFlow kernels for an optimiser.

Keras 3 composes its optimisers of elementwise operations, each of which reads and writes its whole array; TensorFlow
has one kernel for Adam and one for momentum. An optimiser changes in memory, and its class does not: configuration and
the saved file stay Keras' own. The results differ by rounding alone.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import tensorflow as tf


def accelerate_optimizer(optimizer: keras.optimizers.Optimizer) -> bool:
    """Let an Adam, AdamW or SGD with momentum update each variable by one kernel; whether it is one of them.

    Weight decay multiplies each variable by 1 - rate * decay: its numbers pass through memory twice, in Keras seven
    times.
    """
    step: type[_AdamStep | _MomentumStep]
    if type(optimizer) in (keras.optimizers.Adam, keras.optimizers.AdamW) and not optimizer.amsgrad:
        step = _AdamStep
    elif type(optimizer) is keras.optimizers.SGD and optimizer.momentum:
        step = _MomentumStep
    else:
        return False
    keras_apply = optimizer.apply

    def apply(grads: list, trainable_variables: list | None = None) -> None:
        """Keras' `apply`, which reads the schedule once here, and in Keras once for each variable with weight decay."""
        rate = optimizer._get_current_learning_rate()
        optimizer._get_current_learning_rate = lambda: rate
        optimizer.update_step = step(optimizer)
        try:
            keras_apply(grads, trainable_variables)
        finally:
            del optimizer._get_current_learning_rate
            del optimizer.update_step

    optimizer.apply = apply
    optimizer._apply_weight_decay = partial(_decay, optimizer)
    return True


def _decay(optimizer: keras.optimizers.Optimizer, variables: list) -> None:
    """Keras' `_apply_weight_decay`."""
    if optimizer.weight_decay is None:
        return
    kept = 1 - optimizer.learning_rate * optimizer.weight_decay
    for variable in variables:
        if optimizer._use_weight_decay(variable):
            variable.value.assign(variable.value * tf.cast(kept, variable.dtype), read_value=False)


class _AdamStep:
    """keras.optimizers.Adam.update_step by one kernel, for one call of `apply`."""

    def __init__(self, optimizer: keras.optimizers.Adam):
        self.optimizer = optimizer
        self.powers: dict[str, list[tf.Tensor]] = {}  # of beta_1 and beta_2, by dtype: the same for all variables

    def __call__(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        optimizer = self.optimizer
        index = optimizer._get_variable_index(variable)
        dtype = variable.dtype
        if dtype not in self.powers:
            step = tf.cast(optimizer.iterations + 1, dtype)
            betas = (optimizer.beta_1, optimizer.beta_2)
            self.powers[dtype] = [tf.pow(tf.constant(beta, dtype), step) for beta in betas]
        beta1_power, beta2_power = self.powers[dtype]
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=optimizer._momentums[index].value.handle,
            v=optimizer._velocities[index].value.handle,
            beta1_power=beta1_power,
            beta2_power=beta2_power,
            lr=tf.cast(learning_rate, dtype),
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
            grad=tf.cast(gradient, dtype),
        )


class _MomentumStep:
    """keras.optimizers.SGD.update_step with momentum by one kernel."""

    def __init__(self, optimizer: keras.optimizers.SGD):
        self.optimizer = optimizer

    def __call__(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        optimizer = self.optimizer
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=optimizer.momentums[optimizer._get_variable_index(variable)].value.handle,
            lr=tf.cast(learning_rate, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
            momentum=optimizer.momentum,
            use_nesterov=optimizer.nesterov,
        )
