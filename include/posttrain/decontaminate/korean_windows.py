"""Whether a Korean word of a training turn must be analysed at all: only where its stem could complete an n-gram of the index.

    n = 3, eval "아일랜드의 수도는 어디", turn "아이슬란드의 수도는 어디": no stem of the index begins 아이슬란드의, so no window
    of three words can be one of the index, whatever the analyser would say.

A stem is a beginning of its word as it is written. So the words of the index that begin a word are all that its stem can be, if
it is to match; where no choice of them makes a window that the index has, the words stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product

import numpy as np

from posttrain.decontaminate.ngrams import NgramTable, hashes_of
from posttrain.decontaminate.word_codes import Codes

MOST_CHOICES = 256
"""Of the stems of a window's words; a window with more of them is not ruled out."""


def words_to_analyse(
    choices: Callable[[int], Sequence[int]], length: int, unknown: Iterable[int], tables: Mapping[int, NgramTable], few: int,
    salted: Callable[[Codes], Codes],
) -> set[int]:
    """The places among `unknown` whose word lies in a window that could be one of the index.

    `choices`: for each of the turn's `length` words the codes that it can have to match, none where it cannot. A table of less
    than `few` words counts only where it is as long as the turn.
    """
    left = set(unknown)
    needed: set[int] = set()
    for size, table in tables.items():
        if size > length or (size < few and size != length):
            continue
        starts = {start for place in left for start in range(max(0, place - size + 1), min(place, length - size) + 1)}
        for start in sorted(starts):
            inside = left.intersection(range(start, start + size))
            if not needed.issuperset(inside) and _is_possible([choices(k) for k in range(start, start + size)], table, salted):
                needed.update(inside)
    return needed


def _is_possible(window: Sequence[Sequence[int]], table: NgramTable, salted: Callable[[Codes], Codes]) -> bool:
    number = int(np.prod([min(len(own), MOST_CHOICES + 1) for own in window], dtype=np.float64))
    if number == 0 or number > MOST_CHOICES:
        return number > 0
    codes = salted(np.array(list(product(*window)), np.uint64))
    hashes = np.array([hashes_of(row, len(window))[0] for row in codes], np.uint64)
    at = np.minimum(np.searchsorted(table.hashes, hashes), len(table.hashes) - 1)
    return bool((table.hashes[at] == hashes).any())
