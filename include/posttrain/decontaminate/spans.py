"""Where a match lies: runs of words, on the side of the eval item and on that of the training turn."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterator, Sequence
from itertools import groupby

import numpy as np

from posttrain.decontaminate.coverage import Match
from posttrain.decontaminate.index import EvalIndex
from posttrain.decontaminate.ngrams import Filter, hashes_at, hashes_of, possible_starts
from posttrain.decontaminate.normalize import words
from posttrain.decontaminate.tokens import CHARACTERS_AT_ONCE
from posttrain.decontaminate.word_codes import Codes


@functools.lru_cache(maxsize=128)
def tokens_of(text: str) -> tuple[str, ...]:
    """The words of a text; a text is asked for once a match, and matches come text by text."""
    return tuple(words(text))


def runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """Sorted places as runs [start, end): 3 4 5 9 → (3, 6), (9, 10)."""
    groups = groupby(enumerate(places), key=lambda pair: pair[1] - pair[0])
    found = [[place for _, place in run] for _, run in groups]
    return [(run[0], run[-1] + 1) for run in found]


def covered_text(tokens: Sequence[str], places: Sequence[int]) -> str:
    """The covered words of a text: "the cat sat … on the mat"."""
    return " … ".join(" ".join(tokens[begin:end]) for begin, end in runs(places))


def turn_places(match: Match, index: EvalIndex, turn: str) -> list[int]:
    """The places of the turn's words that the match rests on."""
    numbers = index.texts(match.item)
    if len(turn) > CHARACTERS_AT_ONCE and match.measure == "ngram_coverage":
        return _places_in_long_turn(match, index, [index.codes[index.words(number)].tolist() for number in numbers], turn)
    return train_places(match, [tokens_of(index.text[number].as_py()) for number in numbers], tokens_of(turn), index.ngram_size)


def train_places(match: Match, texts: Sequence[Sequence[str]], turn: Sequence[str], ngram_size: int) -> list[int]:
    """The same by the definition, of words.

    Of n-gram coverage, the words of every n-gram that is covered in the item (of a text shorter than n, the whole text);
    of a measure that compares words, every word that both sides have.
    """
    if match.measure != "ngram_coverage":
        shared = {texts[k][place] for k, places in enumerate(match.covered) for place in places}
        return [place for place, word in enumerate(turn) if word in shared]
    found: set[int] = set()
    for size, windows in _covered_windows(match, texts, ngram_size):
        starts = (k for k in range(len(turn) - size + 1) if tuple(turn[k : k + size]) in windows) if windows else ()
        found.update(k + step for k in starts for step in range(size))
    return sorted(found)


def _covered_windows(
    match: Match, texts: Sequence[Sequence[Hashable]], ngram_size: int,
) -> Iterator[tuple[int, set[tuple[Hashable, ...]]]]:
    """(size, the windows of that size that are covered) of each text."""
    for text, places in zip(texts, match.covered, strict=True):
        size, covered = min(ngram_size, len(text)), set(places)
        yield size, {tuple(text[k : k + size]) for k in places if covered.issuperset(range(k, k + size))}


def _places_in_long_turn(match: Match, index: EvalIndex, texts: Sequence[Sequence[int]], turn: str) -> list[int]:
    """By the codes of the words: as Python strings they take ten times the memory of the text."""
    codes = _codes_of_turn(index, turn)
    found: set[int] = set()
    for size, windows in _covered_windows(match, texts, index.ngram_size):
        if windows:
            wanted = hashes_of(np.array(list(windows), np.uint64).ravel(), size)[::size]
            starts = possible_starts(codes, size, Filter(wanted))
            starts = starts[np.isin(hashes_at(codes, starts, size), wanted)]
            exact = [k for k in starts.tolist() if tuple(codes[k : k + size].tolist()) in windows]
            found.update(k + step for k in exact for step in range(size))
    return sorted(found)


@functools.lru_cache(maxsize=1)
def _codes_of_turn(index: EvalIndex, turn: str) -> Codes:
    return index.tokens([turn]).codes
