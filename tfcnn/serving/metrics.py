"""Counts and times of a server, in the text format of Prometheus.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
EXAMPLES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Histogram:
    """How many values lie below each bound, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * len(bounds)
        self.count = 0
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.count += 1
        self.total += value
        for place, bound in enumerate(self.bounds):
            if value <= bound:
                self.counts[place] += 1

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """Its samples; `labels` as written within braces, or ""."""
        separator = "," if labels else ""
        for bound, count in zip((*self.bounds, "+Inf"), (*self.counts, self.count), strict=True):
            yield f'{name}_bucket{{{labels}{separator}le="{bound}"}} {count}'
        braces = f"{{{labels}}}" if labels else ""
        yield f"{name}_sum{braces} {self.total:.6f}"
        yield f"{name}_count{braces} {self.count}"


class Metrics:
    """Of a server. All methods may be called from any thread.

    Args:
        gauges: help and present value by name.
    """

    def __init__(self, gauges: dict[str, tuple[str, Callable[[], int]]]) -> None:
        self._gauges = gauges
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._seconds: dict[str, Histogram] = {}
        self._examples: dict[str, Histogram] = {}
        self._left = 0

    def note_request(self, network: str, protocol: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        with self._lock:
            self._requests[network, protocol, status] += 1
            self._seconds.setdefault(network, Histogram(SECONDS)).add(seconds)

    def note_left(self) -> None:
        """Count a request whose client left before its answer."""
        with self._lock:
            self._left += 1

    def note_batch(self, network: str, examples: int) -> None:
        """Count a batch that was computed."""
        with self._lock:
            self._examples.setdefault(network, Histogram(EXAMPLES)).add(examples)

    def text(self) -> str:
        """All samples."""
        with self._lock:
            return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from _head("tfcnn_requests_total", "counter", "Requests answered, by status of HTTP.")
        for (network, protocol, status), count in sorted(self._requests.items()):
            labels = f'model="{escape(network)}",protocol="{protocol}",status="{status}"'
            yield f"tfcnn_requests_total{{{labels}}} {count}"
        yield from _head("tfcnn_requests_left_total", "counter", "Requests whose client left before the answer.")
        yield f"tfcnn_requests_left_total {self._left}"
        yield from _head("tfcnn_request_seconds", "histogram", "Time from a request to its answer.")
        for network, histogram in sorted(self._seconds.items()):
            yield from histogram.lines("tfcnn_request_seconds", f'model="{escape(network)}"')
        yield from _head("tfcnn_batch_examples", "histogram", "Examples of a batch that was computed.")
        for network, histogram in sorted(self._examples.items()):
            yield from histogram.lines("tfcnn_batch_examples", f'model="{escape(network)}"')
        for name, (text, value) in self._gauges.items():
            yield from _head(name, "gauge", text)
            yield f"{name} {value()}"


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def escape(text: str) -> str:
    r"""The value of a label.

    >>> escape('a "b"')
    'a \\"b\\"'
    """
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
