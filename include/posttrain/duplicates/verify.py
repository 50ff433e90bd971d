"""Exact Jaccard of the pairs that LSH proposes: sets of words, no hashes, so that no row is dropped by an estimate."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from posttrain.duplicates.candidates import Pairs
from posttrain.duplicates.exact import Rows
from posttrain.duplicates.shingles import Shingles, shingle_set

Fetch = Callable[[Rows], list[str]]
"""Row numbers, ascending → their texts, words apart by one space (`texts.ComparedTexts.words`)."""
Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""`map`, or the `map` of a pool of processes."""
Jaccards = npt.NDArray[np.float64]

PAIRS_A_BLOCK = 2_000
"""The unit of parallel work, and what is held of the texts: twice so many."""


def jaccard(first: Shingles, second: Shingles) -> float:
    """|A ∩ B| / |A ∪ B|; 0 where one of the sets is empty."""
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared) if shared else 0.0


def verify_block(pairs: Pairs, fetch: Fetch, shingle_words: int) -> Jaccards:
    """The exact Jaccard of each pair of rows. Pairs in ascending order share the set of their first row."""
    rows = np.unique(pairs)
    texts = dict(zip(rows.tolist(), fetch(rows), strict=True))
    found = np.empty(len(pairs), dtype=np.float64)
    current, current_set = -1, Shingles()
    for n, (first, second) in enumerate(pairs.tolist()):
        if first != current:
            current, current_set = first, shingle_set(texts[first], shingle_words)
        found[n] = jaccard(current_set, shingle_set(texts[second], shingle_words))
    return found


def verify(pairs: Pairs, fetch: Fetch, shingle_words: int, run: Map = map) -> Jaccards:
    """The exact Jaccard of each pair, in blocks through `run`. With a pool of processes `fetch` must be picklable."""
    blocks = [pairs[begin : begin + PAIRS_A_BLOCK] for begin in range(0, len(pairs), PAIRS_A_BLOCK)]
    work = functools.partial(verify_block, fetch=fetch, shingle_words=shingle_words)
    return np.concatenate([*run(work, blocks), np.empty(0, np.float64)])
