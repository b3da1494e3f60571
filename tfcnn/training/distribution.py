"""Training on several devices: of one machine in one process, or of several machines with a process for each device.

A step of a distributed run sees the same images as on one device, `--batch-size` in all, and each device a part of
them. tf.distribute sums the gradients, the statistics of batch norm and the counts of the metrics over the devices;
clipping, accumulation, decay and penalties follow that sum, as on one device. So weights agree but for the order of
sums and, in a network with dropout, for the random draws.

    mirrored      MirroredStrategy: a process with a copy of each variable on each of its devices
    multiworker   MultiWorkerMirroredStrategy for its cluster and its sums alone. The variables of each process are
                  plain ones: under the strategy's scope Keras' `fit` and `evaluate` fail (keras issue 20585), and all
                  processes must write a checkpoint together. Each validates on the whole split.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from tfcnn.config import Config
from tfcnn.errors import BadInput, TrainingFailed, first_line
from tfcnn.training.cluster import worker_of
from tfcnn.training.synchronised_norm import synchronised

if TYPE_CHECKING:
    from tfcnn.training.data import Data


class Devices:
    """The devices of a run; for --distribution none TensorFlow's default device.

    Attributes:
        strategy: of tf.distribute; None for "none".
        worker: this process.
        replicas: number of devices, of all processes together.
    """

    def __init__(self, config: Config):
        """Wait for the other processes, if there are any. Raises BadInput or TrainingFailed."""
        self.worker = worker_of(config)
        self.strategy: Any = None
        self.replicas = 1
        self.mirrored = config.distribution == "mirrored"
        if config.distribution == "none":
            return
        kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
        if self.mirrored:
            names = [device.name for device in tf.config.list_logical_devices(kind)]
            if len(names) < 2:
                raise BadInput(f"--distribution mirrored needs at least two devices; this machine has one {kind}")
            tf.get_logger().addFilter(_is_worth_showing)
            self.strategy = tf.distribute.MirroredStrategy(names)
        else:
            if len(tf.config.list_physical_devices("GPU")) > 1:
                raise BadInput(
                    "--distribution multiworker runs a process for each GPU, and this one sees several: give it one "
                    "with CUDA_VISIBLE_DEVICES"
                )
            print(f"worker     {self.worker.rank + 1} of {self.worker.world_size}: waits for the others", flush=True)
            self.strategy = _join_cluster()
        self.replicas = self.strategy.num_replicas_in_sync
        if config.batch_size % self.replicas:
            raise BadInput(
                f"--batch-size is of all devices together: {config.batch_size} images cannot be shared evenly by "
                f"{self.replicas}"
            )

    def scope(self) -> contextlib.AbstractContextManager:
        """The context in which the network, its optimiser and its metrics must be built."""
        return self.strategy.scope() if self.mirrored else contextlib.nullcontext()

    def run_on_each(self, function: Callable[[], Any]) -> None:
        """Call, on each device, a function that makes variables, as those of the metrics, or changes them."""
        if self.mirrored:
            with self.scope():
                self.strategy.run(function)
        else:
            function()

    def share(self, data: Data) -> Data:
        """The data as this process reads them for training: its part of each batch."""
        rank, world_size = self.worker
        return dataclasses.replace(data, shard=(rank, world_size)) if world_size > 1 else data

    def prepare(self, model: keras.Model, facts: Any) -> Callable | None:
        """The function that trains a compiled model on a batch, on all devices; None on one device, for Keras' own.

        It takes a batch and returns the running means of loss and metrics, as `model.train_step` does. Random layers
        get another seed on each device, derived from that of the first device, which checkpoints hold.

        Args:
            model: compiled; training starts from its present variables.
            facts: JSON values that must be equal for all workers, as the variables must be.

        Raises:
            BadInput: the workers differ.
        """
        if self.strategy is None:
            return None
        self._check_workers_agree(model, facts)
        self._spread_seeds(model)
        return self._train_step(model)

    def _check_workers_agree(self, model: keras.Model, facts: Any) -> None:
        content = json.dumps(facts).encode() + b"".join(variable.numpy().tobytes() for variable in model.variables)
        digest = int.from_bytes(hashlib.blake2b(content, digest_size=3).digest())
        total = self._run(lambda: self._sum([tf.constant(digest, tf.int32) + 0]))
        if self.worker.world_size > 1 and int(total[0]) != digest * self.replicas:
            raise BadInput(
                "the workers differ in flags, data, weights or checkpoint: start all with the same flags and the same "
                "--out, a folder that all of them see"
            )

    def _spread_seeds(self, model: keras.Model) -> None:
        """Give the random layers of each device another seed."""
        seeds = [variable.value for variable in model.variables if variable.path.endswith("seed_generator_state")]

        def spread() -> None:
            for seed in seeds:
                seed.assign_add(tf.cast(tf.stack([_replica(), 0]), seed.dtype))

        self._run(spread)

    def _run(self, function: Callable) -> Any:
        return tf.function(lambda: self.strategy.run(function))()

    @staticmethod
    def _sum(values: list) -> list:
        """The sums over all replicas, called in each; tensors of one dtype travel in one exchange."""
        context = tf.distribute.get_replica_context()
        sums: dict[int, tf.Tensor] = {}
        for dtype in dict.fromkeys(value.dtype for value in values):
            places = [place for place, value in enumerate(values) if value.dtype == dtype]
            reduced = context.all_reduce(tf.distribute.ReduceOp.SUM, [values[place] for place in places])
            sums |= dict(zip(places, reduced, strict=True))
        return [sums[place] for place in range(len(values))]

    def _train_step(self, model: keras.Model) -> Callable:
        variables = model.trainable_variables
        optimizer = model.optimizer
        tracker = next(metric for metric in model.metrics if metric.name == "loss")
        counts = [variable.value for variable in model.metrics_variables]
        if self.mirrored:
            # Keras clips the gradients of each device before it sums them; here they are summed already.
            inner = getattr(optimizer, "inner_optimizer", optimizer)
            inner._all_reduce_sum_gradients = list

        def replica(x: Any, y: Any) -> tuple[list[tf.Tensor], dict[str, tf.Tensor]]:
            if self.mirrored:  # this device's part of a batch of all devices
                size = tf.shape(x)[0] // self.replicas
                start = _replica() * size
                x, y = tf.nest.map_structure(lambda part: part[start : start + size], (x, y))
            with tf.GradientTape() as tape:
                outputs = model(x, training=True)
                loss = model.compute_loss(x=x, y=y, y_pred=outputs, training=True)  # of this device's share
                scaled = optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled, variables)
            before = [] if self.mirrored else [tf.identity(count) for count in counts]
            if not self.mirrored:  # plain variables: the counts that this step adds are summed
                for count in counts:
                    count.assign(tf.zeros_like(count))
            tracker.update_state(loss * self.replicas, sample_weight=tf.shape(x)[0])
            model.compute_metrics(x, y, outputs)
            added = [tf.identity(tf.cast(count, tf.float32)) for count in counts[: len(before)]]
            sums = self._sum([*gradients, *added])
            gradients, added = sums[: len(variables)], sums[len(variables) :]
            for count, old, new in zip(counts, before, added, strict=False):
                count.assign(old + tf.cast(new, old.dtype))
            if self.mirrored:
                optimizer.apply(gradients, variables)
            return gradients, model.get_metrics_result()

        def step(batch: tuple) -> dict[str, tf.Tensor]:
            with synchronised(model):
                gradients, logs = self.strategy.run(replica, args=batch)
            if not self.mirrored:
                optimizer.apply(gradients, variables)
            return {
                name: tf.reduce_mean(self.strategy.experimental_local_results(value), axis=0)
                for name, value in logs.items()
            }

        return step


def _is_worth_showing(record: logging.LogRecord) -> bool:
    """Not TensorFlow's warning of calls outside a graph: a run makes a few, once, which build its variables."""
    return "MirroredStrategy eagerly" not in record.getMessage()


def _replica() -> tf.Tensor:
    """The number of this replica among those of all processes."""
    return tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)


def _join_cluster() -> tf.distribute.Strategy:
    """Wait for all workers, and return the strategy.

    TensorFlow waits without a time limit in C, where no Python signal handler runs, and takes SIGTERM over afterwards.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is written yet
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.OpError as error:
        raise TrainingFailed(f"the workers of TF_CONFIG cannot be reached: {first_line(error)}") from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
