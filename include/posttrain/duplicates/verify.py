"""Exact Jaccard of the pairs that LSH proposes: word for word, no hashes, so that no row is dropped by an estimate."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from posttrain.duplicates.candidates import Pairs
from posttrain.duplicates.exact import Rows
from posttrain.duplicates.shingles import Ints, shingle_numbers

Fetch = Callable[[Rows], list[str]]
"""Row numbers, ascending → their texts, words apart by one space (`texts.ComparedTexts.words`)."""
Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""`map`, or the `map` of a pool of processes: results in the order of the items."""
Jaccards = npt.NDArray[np.float64]

PAIRS_A_BLOCK = 1_000
"""The unit of parallel work, and what is held at once: at most twice so many texts and sets."""


def jaccard(first: Ints, second: Ints) -> float:
    """|A ∩ B| / |A ∪ B| of two sets as ascending arrays of distinct numbers; 0 where one of them is empty."""
    both = np.sort(np.concatenate([first, second]))
    shared = int(np.count_nonzero(both[1:] == both[:-1]))
    return shared / (len(both) - shared) if shared else 0.0


def verify_block(pairs: Pairs, fetch: Fetch, shingle_words: int) -> Jaccards:
    """The exact Jaccard of each pair of rows; the set of every row is made once."""
    rows = np.unique(pairs)
    sets = dict(zip(rows.tolist(), shingle_numbers(fetch(rows), shingle_words), strict=True))
    return np.array([jaccard(sets[first], sets[second]) for first, second in pairs.tolist()], dtype=np.float64)


def verify(pairs: Pairs, fetch: Fetch, shingle_words: int, run: Map = map) -> Jaccards:
    """The exact Jaccard of each pair, in blocks through `run`. With a pool of processes `fetch` must be picklable."""
    order = _neighbours_together(pairs)
    blocks = [pairs[order[begin : begin + PAIRS_A_BLOCK]] for begin in range(0, len(pairs), PAIRS_A_BLOCK)]
    work = functools.partial(verify_block, fetch=fetch, shingle_words=shingle_words)
    found = np.empty(len(pairs), dtype=np.float64)
    found[order] = np.concatenate([*run(work, blocks), np.empty(0, np.float64)])
    return found


def _neighbours_together(pairs: Pairs) -> Rows:
    """An order in which a block has few different rows: rows with the same first partner one after the other, each with all
    its partners. A star (one row, many copies) and a family (few rows against many) are both cut along their short side.
    """
    by_second = np.lexsort((pairs[:, 0], pairs[:, 1]))
    starts = np.flatnonzero(np.diff(pairs[by_second, 1], prepend=-1))
    partners = np.repeat(pairs[by_second, 0][starts], np.diff(np.append(starts, len(pairs))))
    return by_second[np.argsort(partners, kind="stable")]
