"""Which training turns can share anything with a Korean eval text, without cutting them into morphemes.

    n = 3, eval "두 정수의 합" → 두|정수|의|합; symbols: 두 정 수 의 합, of which three in a row: 두정수 정수의 수의합

A symbol is a character of a Korean word or any other word as a whole. Morphemes are pieces of words: a run of n equal
morphemes is a run of at least n equal symbols. So a turn without such a run has no n-gram of a Korean eval text, and a
word of the turn that lies outside of all such runs belongs to no shared n-gram. Few turns and few words are left for
the analyser. The same holds for an eval text of fewer than n morphemes: all its symbols must stand in the turn in one run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posttrain.decontaminate.ngrams import Filter, hashes_of
from posttrain.decontaminate.normalize import CHUNK, Cut, chunk_pieces, is_hangul
from posttrain.decontaminate.tokens import Codes, Tokens, is_uncut, mixed, word_code


@dataclass(frozen=True)
class HangulFilter:
    """The hashes, sorted, of the runs of symbols of Korean eval texts: of n symbols, and of shorter texts as a whole."""

    runs: dict[int, Codes]
    filters: dict[int, Filter]

    @staticmethod
    def of_texts(symbols: Iterable[Codes], ngram_size: int) -> HangulFilter:
        """The filter of texts given by their symbols (`tokens.uncut`)."""
        found: dict[int, list[Codes]] = {}
        for text in symbols:
            size = min(ngram_size, len(text))
            with_korean = np.convolve(is_uncut(text), np.ones(size, np.int64), "valid") > 0
            found.setdefault(size, []).append(_hashes(text, size)[with_korean])
        return HangulFilter.of_runs({size: np.unique(np.concatenate(parts)) for size, parts in sorted(found.items())})

    @staticmethod
    def of_runs(runs: dict[int, Codes]) -> HangulFilter:
        return HangulFilter(runs, {size: Filter(hashes) for size, hashes in runs.items()})

    def shared(self, symbols: Tokens) -> npt.NDArray[np.bool_]:
        """Which symbols lie in a run of an eval text."""
        marked = np.zeros(len(symbols.codes), np.bool_)
        for size, hashes in self.runs.items():
            own = _hashes(symbols.codes, size)
            starts = self.filters[size].passing(own)
            starts = starts[hashes[np.minimum(np.searchsorted(hashes, own[starts]), len(hashes) - 1)] == own[starts]]
            text = np.searchsorted(symbols.bounds, starts, side="right") - 1
            starts = starts[starts + size <= symbols.bounds[text + 1]]
            for step in range(size):
                marked[starts + step] = True
        return marked

    def cut(self, texts: Sequence[str], symbols: Tokens, cut: Cut) -> dict[int, Codes]:
        """Text → codes of its words, for the texts that may share an n-gram with a Korean eval text.

        Words that cannot belong to one are left uncut.
        """
        shared = self.shared(symbols)
        found = np.unique(np.searchsorted(symbols.bounds, np.flatnonzero(shared & is_uncut(symbols.codes)), side="right") - 1)
        return {k: _cut_where(texts[k], shared[symbols.bounds[k] : symbols.bounds[k + 1]], cut) for k in found.tolist()}


def _cut_where(text: str, shared: npt.NDArray[np.bool_], cut: Cut) -> Codes:
    codes: list[int] = []
    at = 0
    for match in CHUNK.finditer(text):
        for token in chunk_pieces(text, match):
            if not is_hangul(token):
                codes.append(word_code(token))
                at += 1
                continue
            codes += map(word_code, cut(token)) if shared[at : at + len(token)].any() else map(ord, token)
            at += len(token)
    return np.array(codes, np.uint64)


def _hashes(symbols: Codes, size: int) -> Codes:
    return mixed(hashes_of(mixed(symbols), size))
