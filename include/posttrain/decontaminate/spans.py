"""Where a match lies: runs of words, on the side of the eval item and on that of the training turn."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from posttrain.decontaminate.coverage import Match
from posttrain.decontaminate.normalize import words
from posttrain.decontaminate.tokens import CHARACTERS_AT_ONCE, pieces_of


@functools.lru_cache(maxsize=128)
def tokens_of(text: str) -> tuple[str, ...]:
    """The words of a text; a text is asked for once a match, and matches come text by text."""
    return tuple(words(text))


def tokens_in_pieces(text: str) -> Iterator[Sequence[str]]:
    """The same, of a long text a piece at a time: a list of all its words takes ten times the memory of the text."""
    if len(text) <= CHARACTERS_AT_ONCE:
        yield tokens_of(text)
    else:
        yield from map(words, pieces_of(text))


def runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """Sorted places as runs [start, end): 3 4 5 9 → (3, 6), (9, 10)."""
    groups = groupby(enumerate(places), key=lambda pair: pair[1] - pair[0])
    found = [[place for _, place in run] for _, run in groups]
    return [(run[0], run[-1] + 1) for run in found]


def covered_text(tokens: Sequence[str], places: Sequence[int]) -> str:
    """The covered words of a text: "the cat sat … on the mat"."""
    return " … ".join(" ".join(tokens[begin:end]) for begin, end in runs(places))


def train_places(match: Match, texts: Sequence[Sequence[str]], turn: Iterable[Sequence[str]], ngram_size: int) -> list[int]:
    """The places of the turn's words that the match rests on; `turn` gives the words a piece at a time.

    Of n-gram coverage, the words of every n-gram that is covered in the item (of a text shorter than n, the whole text);
    of a measure that compares words, every word that both sides have.
    """
    windows: dict[int, set[tuple[str, ...]]] = {}
    for text, places in zip(texts, match.covered, strict=True):
        if match.measure != "ngram_coverage":
            windows.setdefault(1, set()).update((text[place],) for place in places)
            continue
        size, covered = min(ngram_size, len(text)), set(places)
        own = {tuple(text[k : k + size]) for k in places if covered.issuperset(range(k, k + size))}
        windows.setdefault(size, set()).update(own)
    found: set[int] = set()
    before: Sequence[str] = ()
    begin = 0
    for piece in turn:
        tokens = [*before, *piece]
        for size, own in windows.items():
            starts = (k for k in range(len(tokens) - size + 1) if tuple(tokens[k : k + size]) in own) if own else ()
            found.update(begin + k + step for k in starts for step in range(size))
        before = tokens[max(0, len(tokens) - ngram_size + 1) :]
        begin += len(tokens) - len(before)
    return sorted(found)
