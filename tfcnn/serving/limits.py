"""The bounds of a request, and the error of one that is refused."""

from __future__ import annotations

from typing import NamedTuple

MEGABYTE = 2**20
EMPTY = "an empty batch; send at least one example"


class Limits(NamedTuple):
    """The bounds of a request.

    Attributes:
        body: bytes.
        pixels: of all its images, before they are resized.
        examples: their number.
        requests: that are answered at the same time.
        seconds: until it is answered.
    """

    body: int = 16 * MEGABYTE
    pixels: int = 32_000_000
    examples: int = 256
    requests: int = 256
    seconds: float = 30.0


class Refusal(Exception):
    """A request that is not answered; the message, one line, says what was received and what is allowed.

    Args:
        status: of HTTP.
        message: as above.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def check_examples(count: int, limits: Limits) -> None:
    """Raises Refusal for a request without an example, and for one of too many."""
    if count == 0:
        raise Refusal(400, EMPTY)
    if count > limits.examples:
        raise Refusal(413, f"{count:,} examples in a request; at most {limits.examples:,} are allowed")
