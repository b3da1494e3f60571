"""What workers exchange to sum their gradients. Standard library only."""

from __future__ import annotations


def ring_bytes(size: int, workers: int) -> int:
    """The bytes that each of several workers sends, and receives, to sum arrays of `size` bytes over all of them.

    In a ring each array is cut into N parts. In N - 1 steps each worker sends one part on and adds the one that it
    receives, and in N - 1 more the sums go round: 2 (N - 1) / N times the size, the least that is possible, and less
    than twice the size for any number of workers (Patarasuk & Yuan 2009, "Bandwidth optimal all-reduce algorithms for
    clusters of workstations", J. Parallel Distrib. Comput. 69(2), sections 2 and 3). Rounded up.

    >>> ring_bytes(100, 1), ring_bytes(100, 2), ring_bytes(100, 4), ring_bytes(100, 8)
    (0, 100, 150, 175)

    Args:
        size: bytes, 0 or more.
        workers: 1 or more.
    """
    return -(-2 * (workers - 1) * size // workers)
