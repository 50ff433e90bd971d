"""What the server is asked for: the terms of each text, of which one must be shared before a pair can score anything."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from posttrain.decontaminate.coverage import RUN_WORDS
from posttrain.decontaminate.ngrams import UNKNOWN, hashes_of, known_run
from posttrain.decontaminate.numbers import number_keys
from posttrain.decontaminate.word_codes import Codes, Ints

if TYPE_CHECKING:
    from posttrain.decontaminate.index import EvalIndex


@dataclass(frozen=True, eq=False)
class Terms:
    """The distinct terms of text k are `values[bounds[k]:bounds[k + 1]]`."""

    values: Ints
    bounds: Ints

    def owners(self) -> Ints:
        """The text that each value is of."""
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))

    def of(self, texts: Ints) -> Terms:
        """The terms of some of the texts."""
        lengths = np.diff(self.bounds)[texts]
        bounds = np.concatenate([[0], np.cumsum(lengths)])
        within = np.arange(bounds[-1]) - np.repeat(bounds[:-1], lengths)
        return Terms(self.values[np.repeat(self.bounds[texts], lengths) + within], bounds)


def grouped(owner: Ints, value: Ints, texts: int) -> Terms:
    """The terms of `texts` texts from (text, term) pairs, each once."""
    order = np.lexsort((value, owner))
    owner, value = owner[order], value[order]
    if len(owner):
        first = np.concatenate([[True], (owner[1:] != owner[:-1]) | (value[1:] != value[:-1])])
        owner, value = owner[first], value[first]
    return Terms(value, np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=texts))]))


# ---------------------------------------------------------------- n-grams
# An n-gram is the 64-bit hash of ngrams.py as a signed number. A hash that two n-grams share nominates a text too many and
# loses none.


def ngrams_of_texts(index: EvalIndex) -> Terms:
    """The n-grams of each eval text; a text shorter than n has one, itself."""
    owner, value = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for table in index.tables.values():
        owner.append(np.searchsorted(index.offsets, table.positions, side="right") - 1)
        value.append(np.repeat(table.hashes.view(np.int64), np.diff(table.offsets)))
    return grouped(np.concatenate(owner), np.concatenate(value), len(index.offsets) - 1)


def ngrams_of_turns(index: EvalIndex, turns: Sequence[str]) -> Terms:
    """The n-grams that a turn could share with an eval text: no word is unknown to the index, and a text of less than RUN_WORDS
    words counts where it is the whole turn."""
    tokens = index.tokens(turns)
    codes, bounds, lengths = tokens.codes, tokens.bounds, np.diff(tokens.bounds)
    known = _known_codes(index)
    places = np.searchsorted(known, codes)
    is_known = known.take(places, mode="clip") == codes if len(known) else np.zeros(len(codes), np.bool_)
    run = np.minimum(known_run(np.where(is_known, 0, UNKNOWN)), np.repeat(bounds[1:], lengths) - np.arange(len(codes)))
    owner, value = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for size in index.tables:
        if size < min(RUN_WORDS, index.ngram_size):
            starts = bounds[:-1][lengths == size]
            starts = starts[run[starts] >= size]
        else:
            starts = np.flatnonzero(run >= size)
        owner.append(np.searchsorted(bounds, starts, side="right") - 1)
        value.append(hashes_of(codes, size)[starts].view(np.int64))
    return grouped(np.concatenate(owner), np.concatenate(value), len(turns))


@functools.lru_cache(maxsize=1)
def _known_codes(index: EvalIndex) -> Codes:
    return np.sort(index.codes)


# ---------------------------------------------------------------- words and numbers


@dataclass(frozen=True, eq=False)
class Spelled:
    """The terms of all eval texts as numbers, and the number of each as the server spells it."""

    number: dict[str, int]
    of_texts: Terms

    def of_turns(self, asked: Sequence[Sequence[str]]) -> Terms:
        """The terms that were asked for, for each turn."""
        owner = np.repeat(np.arange(len(asked)), [len(own) for own in asked])
        value = np.fromiter((self.number[term] for own in asked for term in own), np.int64)
        return grouped(owner, value, len(asked))


@functools.lru_cache(maxsize=1)
def words_of_texts(index: EvalIndex) -> Spelled:
    texts = len(index.offsets) - 1
    owner = np.repeat(np.arange(texts), np.diff(index.offsets))
    return Spelled(index.number, grouped(owner, np.asarray(index.flat, np.int64), texts))


@functools.lru_cache(maxsize=1)
def numbers_of_texts(index: EvalIndex) -> Spelled:
    keys = [number_keys(text) for text in index.text.to_pylist()]
    number = {key: n for n, key in enumerate(sorted({key for own in keys for key in own}))}
    nothing = Terms(np.zeros(0, np.int64), np.zeros(1, np.int64))
    return Spelled(number, Spelled(number, nothing).of_turns(keys))


# ---------------------------------------------------------------- who shares one


def sharing_pairs(turns: Terms, texts: Terms) -> tuple[Ints, Ints]:
    """(turn, text) of all pairs that share a term, in that order."""
    order = np.argsort(texts.values, kind="stable")
    values, owners = texts.values[order], texts.owners()[order]
    begin = np.searchsorted(values, turns.values, side="left")
    count = np.searchsorted(values, turns.values, side="right") - begin
    within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    width = max(len(texts.bounds) - 1, 1)
    pairs = np.unique(np.repeat(turns.owners(), count) * width + owners[np.repeat(begin, count) + within])
    turn, text = np.divmod(pairs, width)
    return turn, text
