"""Training on several devices: of one machine in one process, or of several machines with a process for each device.

A step of a distributed run sees the images that it sees on one device, `--batch-size` in all, each device its part of
them. Gradients, the statistics of batch norm and the counts of the metrics are summed over the devices by
tf.distribute; all else, clipping, accumulation, decay and penalties among it, follows that sum, and is what it is on
one device. So weights agree but for the order of sums, and, where a network draws dropout, for what is drawn.

    mirrored      MirroredStrategy: a process with a copy of each variable on each of its devices
    multiworker   MultiWorkerMirroredStrategy for its cluster and its sums alone. The variables of each process are
                  plain ones: under the strategy's scope Keras' `fit` and `evaluate` fail (keras issue 20585), and all
                  processes have to write a checkpoint together. Each validates all by itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import signal
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from tfcnn.config import Config
from tfcnn.errors import BadInput, TrainingFailed, first_line
from tfcnn.training.cluster import worker_of


class Devices:
    """The devices of a run, which for "none" is the one that TensorFlow takes by itself.

    Attributes:
        strategy: of tf.distribute; None: none.
        worker: this process.
        replicas: how many devices, of all processes.
    """

    def __init__(self, config: Config):
        """Wait for the other processes, if there are any. Raises BadInput or TrainingFailed."""
        self.worker, self.strategy, self.replicas = worker_of(config), None, 1
        self.mirrored = config.distribution == "mirrored"
        if config.distribution == "none":
            return
        kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
        if self.mirrored:
            names = [device.name for device in tf.config.list_logical_devices(kind)]
            if len(names) < 2:
                raise BadInput(f"--distribution mirrored needs at least two devices; this machine has one {kind}")
            self.strategy = tf.distribute.MirroredStrategy(names)
        else:
            if len(tf.config.list_physical_devices("GPU")) > 1:
                raise BadInput(
                    "--distribution multiworker is a process for each GPU, and this one sees several: give it its own "
                    "with CUDA_VISIBLE_DEVICES"
                )
            print(f"worker     {self.worker.index + 1} of {self.worker.count}: waits for the others", flush=True)
            self.strategy = _joined()
        self.replicas = self.strategy.num_replicas_in_sync
        if config.batch_size % self.replicas:
            raise BadInput(
                f"--batch-size is of all devices together: {config.batch_size} images cannot be shared out evenly to "
                f"{self.replicas}"
            )

    def scope(self) -> contextlib.AbstractContextManager:
        """The network, its optimiser and its metrics are to be made in this context."""
        return self.strategy.scope() if self.mirrored else contextlib.nullcontext()

    def each(self, function: Callable[[], Any]) -> None:
        """Call a function that makes variables, of the metrics for example, or changes them, for each device."""
        if self.mirrored:
            with self.scope():
                self.strategy.run(function)
        else:
            function()

    def share(self, data):
        """The pipelines.dataset.Data as this process reads it for training: of each batch its part."""
        return dataclasses.replace(data, shard=tuple(self.worker)) if self.worker.count > 1 else data

    def prepare(self, model: keras.Model, facts: Any) -> Callable | None:
        """The function that trains a compiled model on a batch, on all devices; None: Keras' own, on one.

        It takes a batch and gives the running means of loss and metrics, as `model.train_step` does. Random layers get
        another seed on each device, a function of that of the first, which is what checkpoints hold.

        Args:
            model: compiled, its variables those to start from.
            facts: what can be written as JSON and has to be the same for all workers, as the variables have.

        Raises:
            BadInput: the workers differ.
        """
        if self.strategy is None:
            return None
        content = json.dumps(facts).encode() + b"".join(variable.numpy().tobytes() for variable in model.variables)
        own = int.from_bytes(hashlib.blake2b(content, digest_size=3).digest())
        total = self._run(lambda: self._sum([tf.constant(own, tf.int32) + 0]))
        if self.worker.count > 1 and int(total[0]) != own * self.replicas:
            raise BadInput(
                "the workers differ in flags, data, weights or checkpoint: start all with the same flags and the same "
                "--out, a folder that all of them see"
            )
        seeds = [variable.value for variable in model.variables if variable.path.endswith("seed_generator_state")]

        def spread():
            for seed in seeds:
                seed.assign_add(tf.cast(tf.stack([_replica(), 0]), seed.dtype))

        self._run(spread)
        return self._train_step(model)

    def _run(self, function: Callable) -> Any:
        return tf.function(lambda: self.strategy.run(function))()

    @staticmethod
    def _sum(values: list) -> list:
        """The sums over all replicas. For a replica; tensors of one dtype go together in one exchange."""
        context, sums = tf.distribute.get_replica_context(), {}
        for dtype in dict.fromkeys(value.dtype for value in values):
            places = [place for place, value in enumerate(values) if value.dtype == dtype]
            found = context.all_reduce(tf.distribute.ReduceOp.SUM, [values[place] for place in places])
            sums |= dict(zip(places, found, strict=True))
        return [sums[place] for place in range(len(values))]

    def _train_step(self, model: keras.Model) -> Callable:
        variables, optimizer = model.trainable_variables, model.optimizer
        normalised = [layer for layer in model._flatten_layers() if hasattr(layer, "synchronized")]
        tracker = next(metric for metric in model.metrics if metric.name == "loss")
        counts = [variable.value for variable in model.metrics_variables]
        if self.mirrored:
            # Keras clips the gradients of each device and sums afterwards; here they come summed.
            inner = getattr(optimizer, "inner_optimizer", optimizer)
            inner._all_reduce_sum_gradients = list

        def replica(x, y):
            if self.mirrored:  # of a batch of all devices its own part
                size = tf.shape(x)[0] // self.replicas
                start = _replica() * size
                x, y = tf.nest.map_structure(lambda part: part[start : start + size], (x, y))
            with tf.GradientTape() as tape:
                outputs = model(x, training=True)
                loss = model.compute_loss(x=x, y=y, y_pred=outputs, training=True)  # a share of that of the batch
                scaled = optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled, variables)
            before = [] if self.mirrored else [tf.identity(count) for count in counts]
            if not self.mirrored:  # variables that know nothing of the others: what this step adds is summed
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

        def step(batch):
            with _synchronised(normalised):
                gradients, logs = self.strategy.run(replica, args=batch)
            if not self.mirrored:
                optimizer.apply(gradients, variables)
            return {
                name: tf.reduce_mean(self.strategy.experimental_local_results(value), axis=0)
                for name, value in logs.items()
            }

        return step


def _replica() -> tf.Tensor:
    """The number of this replica, among those of all processes."""
    return tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)


@contextlib.contextmanager
def _synchronised(layers: list) -> Iterator[None]:
    """Within this context, in which a step is traced, batch norms take the statistics of all devices.

    Not for longer: the flag is written into the file of a model, and has no use for one that is trained.
    """
    for layer in layers:
        layer.synchronized = True
    try:
        yield
    finally:
        for layer in layers:
            layer.synchronized = False


def _joined() -> tf.distribute.Strategy:
    """The strategy, once all workers have come.

    TensorFlow waits for them in C, without an end, where no Python handler of a signal runs, and keeps SIGTERM for
    itself afterwards.
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
