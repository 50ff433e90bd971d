"""Where a match lies: runs of words, on the side of the eval item and on that of the training turn."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import groupby

from posttrain.decontaminate.coverage import Match
from posttrain.decontaminate.normalize import words


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


def train_places(match: Match, texts: Sequence[Sequence[str]], turn: Sequence[str], ngram_size: int) -> list[int]:
    """The places of the turn's words that the match rests on.

    Of n-gram coverage, the words of every n-gram that is covered in the item (of a text shorter than n, the whole text);
    of a measure that compares words, every word that both sides have.
    """
    if match.measure != "ngram_coverage":
        shared = {texts[k][place] for k, places in enumerate(match.covered) for place in places}
        return [place for place, word in enumerate(turn) if word in shared]
    found: set[int] = set()
    for text, places in zip(texts, match.covered, strict=True):
        size, covered = min(ngram_size, len(text)), set(places)
        windows = {tuple(text[k : k + size]) for k in places if covered.issuperset(range(k, k + size))}
        starts = (k for k in range(len(turn) - size + 1) if tuple(turn[k : k + size]) in windows) if windows else ()
        found.update(k + step for k in starts for step in range(size))
    return sorted(found)
