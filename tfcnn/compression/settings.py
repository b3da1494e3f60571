"""What `tfcnn.compress` is asked for. Standard library only."""

from __future__ import annotations

from typing import NamedTuple

SCOPES = ("global", "layer")


class Settings(NamedTuple):
    """How a network is compressed.

    Attributes:
        sparsity: share of the weights of the kernels that are pruned.
        bits: of a code; 2 ** bits - 1 values are shared by the weights of a layer.
        huffman: whether the file has Huffman's code.
        scope: "global": one threshold for the scores of all kernels' weights; "layer": the same sparsity in each.
        epochs: of fine-tuning while pruning; 0: prune at once.
        sharing_epochs: of fine-tuning the shared values.
        rate: peak learning rate while pruning; None: a share of the run's.
    """

    sparsity: float = 0.67
    bits: int = 6
    huffman: bool = False
    scope: str = SCOPES[0]
    epochs: int = 0
    sharing_epochs: int = 0
    rate: float | None = None
