"""Exact duplicates: 16-byte digests of every row as arrays, and which of the rows with one digest is kept."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Digests = npt.NDArray[np.uint64]
"""(n, 2): 16 bytes a row."""
Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NO_DIGEST = bytes(16)
"""Stands for a row that has nothing to compare; it is nobody's duplicate."""


def exact_digests(digests: Iterable[bytes | None]) -> Digests:
    """16-byte digests as an (n, 2) array; None becomes NO_DIGEST."""
    joined = b"".join(digest or NO_DIGEST for digest in digests)
    return np.frombuffer(joined, dtype="<u8").reshape(-1, 2).astype(np.uint64)


def row_order(priorities: npt.ArrayLike) -> Rows:
    """The rows from the most to the least wanted: by priority (0 first), then in the order of input."""
    return np.argsort(np.asarray(priorities), kind="stable").astype(np.int64)


def first_occurrences(digests: Digests, priorities: npt.ArrayLike, among: Mask | None = None) -> tuple[Mask, Rows]:
    """Of all rows with one digest, which is kept, and for every row the one that stands for it.

    Returns (keep, representative): keep[i] is False where another row with i's digest comes first by priority (smaller
    first) and then by input order; representative[i] is that row, or i itself. Rows outside of `among` (default: all) are not
    kept, stand for nobody and have themselves as representative. Which shard a row came from makes no difference.

    digests [a, b, a] with priorities [1, 0, 0] → keep [False, True, True], representative [2, 1, 2].
    """
    count = len(digests)
    representative = np.arange(count, dtype=np.int64)
    keep = np.ones(count, dtype=bool) if among is None else np.array(among, dtype=bool)
    order = row_order(priorities)
    order = order[keep[order] & digests[order].any(axis=1)]
    if len(order) == 0:
        return keep, representative
    by_digest = order[np.lexsort((digests[order, 1], digests[order, 0]))]  # stable: within a digest the order stays
    values = digests[by_digest]
    starts = np.concatenate(([True], (values[1:] != values[:-1]).any(axis=1)))
    first = by_digest[np.flatnonzero(starts)[np.cumsum(starts) - 1]]
    representative[by_digest] = first
    keep[by_digest] = by_digest == first
    return keep, representative
