"""The published score: which share of an eval item's words is covered by n-grams that stand in one training turn.

    n = 3, eval "a b c d e f g h", turn "x a b c d y f g h": the 3-grams abc, bcd, fgh are shared; they cover
    a b c d f g h, so the score is 7/8.

Source: Tülu 3 paper, section 3.2 (n = 8, contaminated where the score is > 0.5). Details that the paper leaves open:

- An n-gram that occurs several times in the eval item covers all its places (the original covers the last).
- A text shorter than n words has no n-gram. It scores 1 where it stands word for word in the turn, as the whole turn
  or, from RUN_WORDS words on, as a run inside of it; otherwise 0.
- An item of several texts (passage and question) scores the mean over its texts. A text too short to count as a
  run counts where it does stand in the turn and the item's other texts are found: a copied passage with "Why?" below it.
- Scores are rounded to 9 digits, so that exactly one half stays one half whatever way it was computed.

`score_turns` does it for a batch on the embedded index; `item_score` is the same by the definition, for one pair.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from posttrain.decontaminate.index import RUN_WORDS, EvalIndex
from posttrain.decontaminate.ngrams import possible_starts
from posttrain.decontaminate.presets import Measure
from posttrain.decontaminate.tokens import Tokens, parts
from posttrain.decontaminate.word_codes import Codes, Ints

SUPPORT = 0.5
"""The mean that an item's other texts must exceed before a text of less than RUN_WORDS words may stand anywhere."""

POSTINGS_AT_ONCE = 4_000_000
"""Bounds the memory of a batch: places of eval texts that are held at once (16 bytes each, a few times over)."""


@dataclass(frozen=True, slots=True)
class Match:
    """One training turn against one eval item, by one measure. `covered[k]`: the covered places of the item's k-th text."""

    turn: int
    item: int
    score: float
    scores: tuple[float, ...]
    covered: tuple[tuple[int, ...], ...]
    measure: Measure

    @property
    def best(self) -> float:
        """The score of the text that is covered most."""
        return max(self.scores)


# ---------------------------------------------------------------- by the definition


def covered_places(text: Sequence[Hashable], turn: Sequence[Hashable], ngram_size: int) -> tuple[int, ...]:
    """The places of `text` that are covered by n-grams of `turn`; for a text shorter than n, all or none."""
    size = min(ngram_size, len(text))
    if not size or (len(text) < ngram_size and len(text) < RUN_WORDS and len(turn) != len(text)):
        return ()
    return _run_places(text, turn, size)


def _run_places(text: Sequence[Hashable], turn: Sequence[Hashable], size: int) -> tuple[int, ...]:
    known = _windows(tuple(turn), size)
    starts = [k for k in range(len(text) - size + 1) if tuple(text[k : k + size]) in known]
    return tuple(sorted({k + step for k in starts for step in range(size)}))


@functools.lru_cache(maxsize=16)
def _windows(turn: tuple[Hashable, ...], size: int) -> frozenset[tuple[Hashable, ...]]:
    return frozenset(turn[k : k + size] for k in range(len(turn) - size + 1))


def item_score(
    texts: Sequence[Sequence[Hashable]], turn: Sequence[Hashable], ngram_size: int,
) -> tuple[float, tuple[tuple[int, ...], ...]]:
    """The score of an item and, per text, its covered places. The mean is over all `texts`."""
    covered = [covered_places(text, turn, ngram_size) for text in texts]
    return with_short_texts(texts, lambda text: bool(_run_places(text, turn, len(text))), ngram_size, covered)


def with_short_texts(
    texts: Sequence[Any], stands_in_turn: Callable[[Any], bool], ngram_size: int, covered: Sequence[tuple[int, ...]],
) -> tuple[float, tuple[tuple[int, ...], ...]]:
    """Add the texts of less than RUN_WORDS words that stand in the turn, where the item's other texts are found."""
    result = list(covered)
    for k, text in enumerate(texts):
        others = [len(c) / len(t) for n, (c, t) in enumerate(zip(covered, texts, strict=True)) if n != k]
        is_found = others and sum(others) / len(others) > SUPPORT
        if _is_few(text) and len(text) < ngram_size and not covered[k] and is_found and stands_in_turn(text):
            result[k] = tuple(range(len(text)))
    score = sum(len(c) / len(t) for c, t in zip(result, texts, strict=True)) / len(texts)
    return round(score, 9), tuple(result)


def _is_few(text: Sequence[Hashable]) -> bool:
    return len(text) < RUN_WORDS


# ---------------------------------------------------------------- a batch against the index


def score_turns(index: EvalIndex, turns: Sequence[str], floor: float) -> list[Match]:
    """All (turn, item) pairs of a batch that share an n-gram and whose score, or whose best text's score, is ≥ `floor`.

    `turns` are texts as they came. The matches are complete and in the order of turn, then item.
    """
    matches = []
    for part in parts(turns):
        tokens = index.tokens(turns[part])
        for windows in _bounded(index, *_shared_windows(index, tokens)):
            matches += _matches(index, turns, tokens, part.start, *windows, floor)
    return matches


def score_pairs(index: EvalIndex, turns: Sequence[str], pairs: Iterable[tuple[int, int]], floor: float) -> list[Match]:
    """The matches among these (turn, item) pairs, each compared by the definition; in the order of turn, then item."""
    by_turn: dict[int, set[int]] = {}
    for turn, item in pairs:
        by_turn.setdefault(turn, set()).add(item)
    matches = []
    for turn in sorted(by_turn):
        own = index.all_words(turns[turn]).tolist()
        for item in sorted(by_turn[turn]):
            texts = [index.codes[index.words(text)].tolist() for text in index.texts(item)]
            match = _judged(turn, item, texts, *item_score(texts, own, index.ngram_size))
            if match.best > 0 and match.best >= floor:
                matches.append(match)
    return matches


def _shared_windows(index: EvalIndex, tokens: Tokens) -> tuple[Ints, Ints, Ints]:
    """(turn, n-gram number, n-gram size) of everything that a turn shares with the index, each once, in turn order."""
    found: list[tuple[Ints, Ints, Ints]] = [(np.zeros(0, np.int64),) * 3]
    lengths = np.diff(tokens.bounds)
    few = min(RUN_WORDS, index.ngram_size)
    beginning = possible_starts(tokens.codes, few, index.beginning)
    for size, table in index.tables.items():
        if size < few:  # only as the whole turn
            turns = np.flatnonzero(lengths == size)
            own = tokens.codes[tokens.bounds[turns][:, None] + np.arange(size)].ravel()
            starts, number = table.find(own, index.codes, index.flat)
            turn, inside = turns[starts // size], starts % size == 0
        else:
            starts, number = table.find(tokens.codes, index.codes, index.flat, beginning)
            turn = np.searchsorted(tokens.bounds, starts, side="right") - 1
            inside = starts + size <= tokens.bounds[turn + 1]
        pairs = np.unique(turn[inside] * len(table.hashes) + number[inside])
        turn, number = np.divmod(pairs, len(table.hashes))
        found.append((turn, number, np.full(len(turn), size)))
    turn, number, size = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(turn, kind="stable")
    return turn[order], number[order], size[order]


def _bounded(index: EvalIndex, turn: Ints, number: Ints, size: Ints) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Cut between turns so that a part has at most POSTINGS_AT_ONCE places; one turn is never cut."""
    counts = np.zeros(len(turn), np.int64)
    for length, table in index.tables.items():
        own = size == length
        counts[own] = np.diff(table.offsets)[number[own]]
    total = np.cumsum(counts)
    begin = 0
    while begin < len(turn):
        room = (total[begin - 1] if begin else 0) + POSTINGS_AT_ONCE
        end = int(np.searchsorted(total, room, side="right"))
        if end < len(turn):
            end = int(np.searchsorted(turn, turn[end]))
            if end <= begin:
                end = int(np.searchsorted(turn, turn[begin], side="right"))
        yield turn[begin:end], number[begin:end], size[begin:end]
        begin = end


def _matches(
    index: EvalIndex, turns: Sequence[str], tokens: Tokens, first_turn: int, turn: Ints, number: Ints, size: Ints, floor: float,
) -> list[Match]:
    owner, place, reach = _places(index, turn, number, size)
    # One key a (turn, place): sorted, its neighbours are the window before and after in the same text.
    key = owner * len(index.flat) + place
    order = np.argsort(key, kind="stable")
    owner, place, reach = owner[order], place[order], reach[order]
    text = np.searchsorted(index.offsets, place, side="right") - 1
    same = (text[1:] == text[:-1]) & (owner[1:] == owner[:-1])
    gain = reach.copy()  # what a window adds before the next one begins
    gain[:-1][same] = np.minimum(reach[:-1], place[1:] - place[:-1])[same]
    first = np.flatnonzero(np.concatenate([[True], ~same])) if len(text) else np.zeros(0, np.int64)
    if not len(first):
        return []
    share = np.add.reduceat(gain, first) / np.diff(index.offsets)[text[first]]
    # Texts of one item are neighbours, so its groups are too.
    item, group_turn = index.item_of_text[text[first]], owner[first]
    edge = np.flatnonzero(np.concatenate([[True], (item[1:] != item[:-1]) | (group_turn[1:] != group_turn[:-1])]))
    best = np.maximum.reduceat(share, edge)
    # A text of a few words may yet be found beside one that is covered well.
    best = np.round(best, 9)
    chosen = np.flatnonzero((best >= floor) | ((best >= SUPPORT) & index.has_few_words[item[edge]]))
    last = np.append(first[1:], len(text))

    @functools.lru_cache(maxsize=1)  # matches come turn by turn, and a long turn has many
    def words_of(turn: int) -> Codes:
        unread = tokens.unread[tokens.bounds[turn] : tokens.bounds[turn + 1]].any()
        return index.all_words(turns[first_turn + turn]) if unread else tokens.of(turn)

    matches = []
    for group in chosen.tolist():
        begin, end = int(edge[group]), int(edge[group + 1]) if group + 1 < len(edge) else len(first)
        windows = {int(text[first[k]]): (place[first[k] : last[k]], reach[first[k] : last[k]]) for k in range(begin, end)}
        matches.append(_match(index, words_of, first_turn, int(group_turn[begin]), int(item[begin]), windows))
    return [match for match in matches if match.best >= floor]


def _places(index: EvalIndex, turn: Ints, number: Ints, size: Ints) -> tuple[Ints, Ints, Ints]:
    """(turn, place, size) for every place of every n-gram."""
    parts = []
    for length, table in index.tables.items():
        own = size == length
        begins, ends = table.offsets[number[own]], table.offsets[number[own] + 1]
        counts = ends - begins
        within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        place = table.positions[np.repeat(begins, counts) + within]
        parts.append((np.repeat(turn[own], counts), place, np.full(len(place), length)))
    owner, place, reach = (np.concatenate(column) for column in zip(*parts, strict=True))
    return owner, place, reach


def _match(
    index: EvalIndex, words_of: Callable[[int], Codes], first_turn: int, turn: int, item: int,
    windows: dict[int, tuple[Ints, Ints]],
) -> Match:
    covered, texts = [], []
    for text in index.texts(item):
        begin, end = int(index.offsets[text]), int(index.offsets[text + 1])
        places, reaches = windows.get(text, (np.zeros(0, np.int64), np.zeros(0, np.int64)))
        covered.append(_union((places - begin).tolist(), reaches.tolist()))
        texts.append(index.codes[index.flat[begin:end]])
    scored = with_short_texts(texts, lambda text: _stands_in(text, words_of(turn)), index.ngram_size, covered)
    return _judged(first_turn + turn, item, texts, *scored)


def _stands_in(text: Codes, turn: Codes) -> bool:
    """Whether the words of a short text stand in a row in the turn."""
    starts = np.flatnonzero(turn[: len(turn) - len(text) + 1] == text[0]) if len(text) <= len(turn) else np.zeros(0, np.int64)
    for step in range(1, len(text)):
        starts = starts[turn[starts + step] == text[step]]
    return len(starts) > 0


def _union(places: list[int], reaches: list[int]) -> tuple[int, ...]:
    """The places that windows cover: window k begins at `places[k]`, sorted, and is `reaches[k]` long."""
    covered: list[int] = []
    end = 0
    for place, reach in zip(places, reaches, strict=True):
        covered += range(max(place, end), place + reach)
        end = max(end, place + reach)
    return tuple(covered)


def _judged(
    turn: int, item: int, texts: Sequence[Sequence[Any]], score: float, covered: tuple[tuple[int, ...], ...],
) -> Match:
    scores = tuple(round(len(places) / len(text), 9) for places, text in zip(covered, texts, strict=True))
    return Match(turn, item, score, scores, covered, "ngram_coverage")
