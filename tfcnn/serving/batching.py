"""Requests that come at about the same time are computed as one batch, on one thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

from tfcnn.serving.limits import Refusal

if TYPE_CHECKING:
    import numpy as np

Outputs = dict[str, Any]  # arrays (batch, ...) by name


class Batch(NamedTuple):
    """What the network computes.

    Attributes:
        inputs: of each example float32 image_shape, standardised; or the pixels of an image at its own size, uint8
            (height, width, channels), which the thread prepares with those of the same size.
        sizes: int32 (batch, 2): height and width of each image before it was resized.
    """

    inputs: Sequence[np.ndarray]
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.inputs)


class _Job(NamedTuple):
    batch: Batch
    answer: Future[Outputs]
    arrived: float  # of time.monotonic


class Batcher:
    """A thread that joins the batches of requests.

    A batch is computed when it has `largest` examples or its oldest request has waited `delay` seconds. A request with
    more examples is computed in parts. Cancel the future of a request that nobody waits for: it is not computed.

    Args:
        respond: from inputs and sizes, as a `Batch` has them, to arrays by name, in the order of the examples.
        largest: number of examples.
        delay: seconds.
        note: gets the number of examples of each batch.
    """

    def __init__(
        self,
        respond: Callable[[Sequence[np.ndarray], np.ndarray], Outputs],
        largest: int = 32,
        delay: float = 0.002,
        note: Callable[[int], None] = lambda examples: None,
    ) -> None:
        self._respond = respond
        self._largest = largest
        self._delay = delay
        self._note = note
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Requests that are not computed yet."""
        return len(self._jobs)

    def submit(self, batch: Batch) -> Future[Outputs]:
        """The outputs for a batch, when they are there. Raises Refusal after `close`."""
        answer: Future[Outputs] = Future()
        with self._changed:
            if self._closed:
                raise Refusal(503, "the server is shutting down")
            self._jobs.append(_Job(batch, answer, time.monotonic()))
            self._changed.notify()
        return answer

    def close(self) -> None:
        """Compute what waits, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while self._wait():
            jobs = self._take()
            if jobs:
                self._compute(jobs)

    def _wait(self) -> bool:
        """Wait until a batch is due; False: there is none and will be none."""
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            while self._jobs and not self._closed and sum(len(job.batch) for job in self._jobs) < self._largest:
                left = self._jobs[0].arrived + self._delay - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            return bool(self._jobs)

    def _take(self) -> list[_Job]:
        """The jobs of the next batch, without those that were cancelled."""
        jobs: list[_Job] = []
        count = 0
        with self._changed:
            while self._jobs and (not jobs or count + len(self._jobs[0].batch) <= self._largest):
                job = self._jobs.popleft()
                if job.answer.set_running_or_notify_cancel():
                    jobs.append(job)
                    count += len(job.batch)
        return jobs

    def _compute(self, jobs: list[_Job]) -> None:
        import numpy as np

        try:
            inputs = [example for job in jobs for example in job.batch.inputs]
            sizes = np.concatenate([job.batch.sizes for job in jobs])
            parts = []
            for first in range(0, len(inputs), self._largest):
                part = slice(first, first + self._largest)
                parts.append(self._respond(inputs[part], sizes[part]))
                self._note(len(inputs[part]))
            outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        except Exception as error:  # whatever TensorFlow raises: the thread lives on, each request says so
            for job in jobs:
                job.answer.set_exception(error)
            return
        first = 0
        for job in jobs:
            rows = slice(first, first + len(job.batch))
            job.answer.set_result({name: array[rows] for name, array in outputs.items()})
            first += len(job.batch)
