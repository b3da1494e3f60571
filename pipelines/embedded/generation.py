"""Examples for a TFDS builder, drawn one by one by number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Examples = Iterator[tuple[int, dict[str, Any]]]  # key, example


def generate_examples(sizes: dict[str, int], draw: Callable[[int, int], dict[str, Any]]) -> dict[str, Examples]:
    """What a builder's `_split_generators` returns, where `draw(split, number)` draws one example."""

    def generate(split: int, size: int) -> Examples:
        for number in range(size):
            yield number, draw(split, number)

    return {name: generate(split, size) for split, (name, size) in enumerate(sizes.items())}
