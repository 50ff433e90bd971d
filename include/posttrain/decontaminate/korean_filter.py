"""Which words of training turns need their stem looked up, for an exact comparison with Korean eval texts.

    n = 3, eval "두 정수의 합", turn "그 두 정수를 합하면": both have a run of words that begin with 두, 정, 합

Words with one stem begin alike (`tokens.beginning`). So n equal words in a row are n equal beginnings in a row: a turn
without such a run has no n-gram of a Korean eval text, and a word outside of all such runs belongs to no shared n-gram.
Few turns and few words are left for the analyser, which takes a second to start. An eval text of fewer than n words is
one run of all its beginnings.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posttrain.decontaminate.ngrams import Filter, hashes_at, hashes_of
from posttrain.decontaminate.tokens import Tokens
from posttrain.decontaminate.word_codes import Codes, Ints, ranges


@dataclass(frozen=True)
class KoreanFilter:
    """Size → the hashes, sorted, of the runs of so many beginnings of eval texts, a Korean one among them. Sizes below n hold
    the shorter texts as a whole."""

    runs: dict[int, Codes]

    @functools.cached_property
    def filters(self) -> dict[int, Filter]:
        """Size → the filter of its runs, made when first asked for."""
        return {size: Filter(hashes) for size, hashes in self.runs.items()}

    @staticmethod
    def of_texts(texts: Tokens, ngram_size: int) -> KoreanFilter:
        lengths, before = np.diff(texts.bounds), np.concatenate([[0], np.cumsum(texts.unread)])
        sizes = np.minimum(lengths, ngram_size)
        sizes[np.diff(before[texts.bounds]) == 0] = 0
        runs = {}
        for size in np.unique(sizes[sizes > 0]).tolist():
            own = sizes == size
            starts = ranges(texts.bounds[:-1][own], lengths[own] - size + 1)
            starts = starts[before[starts + size] > before[starts]]
            runs[size] = np.unique(hashes_of(texts.codes[starts[:, None] + np.arange(size)].ravel(), size)[::size])
        return KoreanFilter(runs)

    def shared(self, turns: Tokens, few: int) -> npt.NDArray[np.bool_]:
        """Which words lie in a run of an eval text; one of less than `few` words counts only where it is as long as the turn."""
        marked = np.zeros(len(turns.codes), np.bool_)
        lengths, before = np.diff(turns.bounds), np.concatenate([[0], np.cumsum(turns.unread)])
        # Every run of the index holds a Korean word: these places have one within the longest.
        after = np.append(before[max(self.runs) :], np.full(min(max(self.runs), len(before)), before[-1]))[: len(before)]
        near = np.flatnonzero(after > before)
        for size, hashes in self.runs.items():
            starts = turns.bounds[:-1][lengths == size] if size < few else near[near + size <= len(turns.codes)]
            starts = starts[before[starts + size] > before[starts]]
            starts = self._found(size, hashes, hashes_at(turns.codes, starts, size), starts)
            starts = starts[starts + size <= turns.bounds[turns.text_of(starts) + 1]]
            for step in range(size):
                marked[starts + step] = True
        return marked & turns.unread

    def _found(self, size: int, hashes: Codes, own: Codes, starts: Ints) -> Ints:
        """The starts whose hash, `own`, is among the hashes."""
        passing = self.filters[size].passing(own)
        starts, own = starts[passing], own[passing]
        return starts[hashes[np.minimum(np.searchsorted(hashes, own), len(hashes) - 1)] == own]
