"""Word similarities of one training turn and one eval text, as `normalize.words` splits them. N texts in the index, df(w) of
them with word w; tf the count of a word in a text, x and y the two texts:

    cosine        Σ a(w) b(w) / (‖a‖ ‖b‖)     a(w) = (1 + ln tf(w, x)) · idf(w), b of y;  idf(w) = ln((1 + N) / (1 + df(w))) + 1
    count_cosine  Σ a(w) b(w) / (‖a‖ ‖b‖)     a(w) = 1 + ln tf(w, x)
    jaccard       |X ∩ Y| / |X ∪ Y|           of the sets of words

    "Where is the Eiffel Tower?" and "The Eiffel Tower is located in Paris.": the, eiffel, tower, is are shared
    count_cosine 4 / √(5 · 7) = .676        jaccard 4 / 8 = .5

`cosine` is TF-IDF with sublinear counts; its idf is that of the eval texts alone, a function of the index that does not change
with the training rows, so a row scores the same in any run and in any shard. A word that no eval text has weighs the most.
`count_cosine` is the cosine of the preset `seed`, whose cut-offs and examples are of counts without idf: by TF-IDF its
sentence "The Eiffel Tower is a famous landmark …" would be over .6 in a large index, because "Eiffel" is rare there. The counts
are damped, which changes nothing where no word is repeated: by bare counts "the", "a" and "of" make any two long English texts
similar, 80 items a turn from .6 on where the damped ones give 1.

An item of several texts scores the mean over its texts. A match is complete: every item whose mean or best text reaches the
floor. Which words nominate, so that not every pair is scored, see sparse_join.py.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Literal

import numpy as np

from posttrain.decontaminate.coverage import Match
from posttrain.decontaminate.normalize import words
from posttrain.decontaminate.sparse_join import (
    Floats,
    Kind,
    Nominating,
    Side,
    nominating,
    postings_of,
    scores_of,
    similar_pairs,
)

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from posttrain.decontaminate.index import EvalIndex
    from posttrain.decontaminate.ngrams import Ints
    from posttrain.decontaminate.presets import Measure

WordMeasure = Literal["cosine", "count_cosine", "jaccard"]


def cosine(index: EvalIndex, turns: list[str], floor: float) -> list[Match]:
    """Matches by the TF-IDF cosine."""
    return _matches(index, "cosine", turns, floor)


def count_cosine(index: EvalIndex, turns: list[str], floor: float) -> list[Match]:
    """Matches by the cosine of damped word counts."""
    return _matches(index, "count_cosine", turns, floor)


def jaccard(index: EvalIndex, turns: list[str], floor: float) -> list[Match]:
    """Matches by the Jaccard similarity of the word sets."""
    return _matches(index, "jaccard", turns, floor)


def _product(shared: Floats, _turn: Floats, _text: Floats) -> Floats:
    return shared


def _jaccard(shared: Floats, turn: Floats, text: Floats) -> Floats:
    return shared / (turn + text - shared)


KINDS: dict[WordMeasure, Kind] = {
    "cosine": Kind(_product, np.sqrt, depth=0.7),
    "count_cosine": Kind(_product, np.sqrt, depth=0.2),
    "jaccard": Kind(_jaccard, np.positive, depth=0.7),
}
"""The depths are those that were fastest at .6: counts without idf share their mass with common words, which nominate much."""


# ---------------------------------------------------------------- the index's texts and the turns as weighted words


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The words of the eval texts in the order of rarity, and which of them each text has how often."""

    column: Ints
    """Word number of the index → column; the word of the fewest texts first."""
    idf: Floats
    idf_of_unknown: float
    counts: csr_matrix
    word: list[str]
    """Column → word."""


@functools.lru_cache(maxsize=1)
def vocabulary(index: EvalIndex) -> Vocabulary:
    """Made from the index's words once a process."""
    size, texts = len(index.number), len(index.offsets) - 1
    owner = np.repeat(np.arange(texts), np.diff(index.offsets))
    keys, tf = np.unique(owner * max(size, 1) + index.flat, return_counts=True)
    row, number = np.divmod(keys, max(size, 1))
    df = np.bincount(number, minlength=size)
    order = np.lexsort((np.arange(size), df))
    column = np.empty(size, np.int64)
    column[order] = np.arange(size)
    names = [""] * size
    for word, n in index.number.items():
        names[column[n]] = word
    idf = np.log((1 + texts) / (1 + df[order])) + 1
    return Vocabulary(column, idf, float(np.log(1 + texts) + 1), _rows(row, column[number], tf, texts, size), names)


def _rows(row: Ints, column: Ints, value: Ints, rows: int, columns: int) -> csr_matrix:
    from scipy.sparse import csr_matrix

    order = np.lexsort((column, row))
    pointers = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))])
    return csr_matrix((value[order].astype(np.float64), column[order].astype(np.int32), pointers), shape=(rows, columns))


def counted(index: EvalIndex, turns: list[str]) -> tuple[csr_matrix, tuple[Ints, Ints]]:
    """The words of the turns that the index knows; and (turn, count) of each distinct word that it does not know."""
    known, tokens = vocabulary(index), [words(turn) for turn in turns]
    numbers, strange = index.number, {}
    flat = np.fromiter(
        (n if (n := numbers.get(word)) is not None else len(numbers) + strange.setdefault(word, len(strange))
         for word in chain.from_iterable(tokens)), np.int64)
    owner = np.repeat(np.arange(len(turns)), [len(own) for own in tokens])
    width = max(len(numbers) + len(strange), 1)
    keys, tf = np.unique(owner * width + flat, return_counts=True)
    row, number = np.divmod(keys, width)
    own = number < len(numbers)
    matrix = _rows(row[own], known.column[number[own]], tf[own], len(turns), len(numbers))
    return matrix, (row[~own], tf[~own])


def side_of(index: EvalIndex, measure: WordMeasure, counts: csr_matrix, unknown: tuple[Ints, Ints]) -> Side:
    known, (row, tf) = vocabulary(index), unknown
    if measure == "jaccard":
        size = np.diff(counts.indptr) + np.bincount(row, minlength=counts.shape[0])
        return Side(_with(counts, np.ones(counts.nnz)), np.ones(counts.nnz), size.astype(np.float64))
    values, others = 1 + np.log(counts.data), 1 + np.log(tf)
    if measure == "cosine":
        values, others = values * known.idf[counts.indices], others * known.idf_of_unknown
    owner = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    square = np.bincount(owner, values**2, counts.shape[0]) + np.bincount(row, others**2, counts.shape[0])
    values = values / np.sqrt(square)[owner]
    return Side(_with(counts, values), values**2, np.ones(counts.shape[0]))


def _need(side: Side, measure: WordMeasure, floor: float) -> Floats:
    return floor * side.size if measure == "jaccard" else floor**2 * side.size


def _with(matrix: csr_matrix, values: Floats) -> csr_matrix:
    from scipy.sparse import csr_matrix

    return csr_matrix((values, matrix.indices, matrix.indptr), shape=matrix.shape)


@functools.lru_cache(maxsize=8)
def texts_of(index: EvalIndex, measure: WordMeasure) -> Side:
    nothing = np.zeros(0, np.int64)
    return side_of(index, measure, vocabulary(index).counts, (nothing, nothing))


@functools.lru_cache(maxsize=8)
def _postings(index: EvalIndex, measure: WordMeasure, floor: float) -> Nominating:
    side, kind = texts_of(index, measure), KINDS[measure]
    return postings_of(nominating(side, _need(side, measure, kind.depth * floor), kind))


# ---------------------------------------------------------------- matches


def _matches(index: EvalIndex, measure: WordMeasure, turns: list[str], floor: float) -> list[Match]:
    if not turns or not len(index.flat):
        return []
    counts, unknown = counted(index, turns)
    own, texts, kind = side_of(index, measure, counts, unknown), texts_of(index, measure), KINDS[measure]
    terms = nominating(own, _need(own, measure, kind.depth * floor), kind)
    turn, text = similar_pairs(own, texts, terms, _postings(index, measure, floor), kind, floor)
    return matches_of(index, measure, counts, turn, text, partial(scores_of, own, texts, kind=kind))


def nominating_words(index: EvalIndex, measure: WordMeasure, turns: list[str], floor: float) -> list[list[str]]:
    """For each turn the words of which an eval text must have one to reach `floor`, the rarest first.

    For whoever looks the texts up elsewhere: score what holds any of them with `score_nominated`.
    """
    counts, unknown = counted(index, turns)
    own = side_of(index, measure, counts, unknown)
    chosen, word, bounds = own.nominating(_need(own, measure, floor)), vocabulary(index).word, counts.indptr
    return [[word[column] for column in counts.indices[begin:end][chosen[begin:end]]]
            for begin, end in zip(bounds[:-1], bounds[1:], strict=True)]


def score_nominated(
    index: EvalIndex, measure: WordMeasure, turns: list[str], nominated: list[list[int]], floor: float,
) -> list[Match]:
    """The matches among the eval texts (by number) that were nominated for each turn."""
    counts, unknown = counted(index, turns)
    own, texts, kind = side_of(index, measure, counts, unknown), texts_of(index, measure), KINDS[measure]
    turn = np.repeat(np.arange(len(turns)), [len(numbers) for numbers in nominated])
    text = np.fromiter(chain.from_iterable(nominated), np.int64)
    score = partial(scores_of, own, texts, kind=kind)
    reached = score(turn, text) >= floor
    return matches_of(index, measure, counts, turn[reached], text[reached], score)


def matches_of(
    index: EvalIndex, measure: Measure, counts: csr_matrix, turn: Ints, text: Ints, score: Callable[[Ints, Ints], Floats],
) -> list[Match]:
    """A match for each (turn, item) that has one of these texts, with the scores of all of the item's texts."""
    items = len(index.texts_of_item)
    turn, item = np.divmod(np.unique(turn * items + index.item_of_text[text]), items)
    many = index.texts_of_item[item]
    begins = np.concatenate([[0], np.cumsum(many)])
    text = np.arange(begins[-1]) + np.repeat(np.searchsorted(index.item_of_text, item) - begins[:-1], many)
    scores = score(np.repeat(turn, many), text).tolist()
    column = vocabulary(index).column
    has, last, matches = np.zeros(counts.shape[1], np.bool_), -1, []
    for n, (t, i) in enumerate(zip(turn.tolist(), item.tolist(), strict=True)):
        if t != last:
            has[:] = False
            has[counts.indices[counts.indptr[t] : counts.indptr[t + 1]]] = True
            last = t
        part = slice(int(begins[n]), int(begins[n + 1]))
        covered = tuple(tuple(np.flatnonzero(has[column[index.words(int(k))]]).tolist()) for k in text[part])
        matches.append(Match(t, i, round(sum(scores[part]) / len(covered), 9), tuple(scores[part]), covered, measure))
    return matches
