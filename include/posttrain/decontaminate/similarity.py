"""Word similarities of one training turn and one eval text, as `normalize.words` splits them. N texts in the index, df(w) of
them with word w; tf the count of a word in a text, x and y the two texts:

    cosine        Σ a(w) b(w) / (‖a‖ ‖b‖)     a(w) = (1 + ln tf(w, x)) · idf(w), b of y;  idf(w) = ln((1 + N) / (1 + df(w))) + 1
    count_cosine  Σ a(w) b(w) / (‖a‖ ‖b‖)     a(w) = 1 + ln tf(w, x)
    jaccard       |X ∩ Y| / |X ∪ Y|           of the sets of words

    "Where is the Eiffel Tower?" and "The Eiffel Tower is located in Paris.": the, eiffel, tower, is are shared
    count_cosine 4 / √(5 · 7) = .676        jaccard 4 / 8 = .5

`cosine` is TF-IDF with sublinear counts; its idf is that of the eval texts alone, a function of the index that does not change
with the training rows, so a row scores the same in any run and in any shard. A word that no eval text has weighs the most.
`wording` is the same without numbers and single letters, for `numbers.reworded`.
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
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Literal

import numpy as np

from posttrain.decontaminate.coverage import Match
from posttrain.decontaminate.sparse_join import (
    Floats,
    Ints,
    Kind,
    Nominating,
    Side,
    nominating,
    postings_of,
    scores_of,
    similar_pairs,
)
from posttrain.decontaminate.word_counts import Counts, text_counts, turn_counts, vocabulary

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from posttrain.decontaminate.index import EvalIndex
    from posttrain.decontaminate.presets import Measure

WordMeasure = Literal["cosine", "wording", "count_cosine", "jaccard"]


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
    "cosine": Kind(_product, np.sqrt, depth=0.5),
    "wording": Kind(_product, np.sqrt, depth=0.5),
    "count_cosine": Kind(_product, np.sqrt, depth=0.04),
    "jaccard": Kind(_jaccard, np.positive, depth=0.7),
}
"""The depths are those that were fastest at .6: counts without idf share their mass with common words, which nominate much."""


def side_of(index: EvalIndex, measure: WordMeasure, texts: Counts) -> Side:
    """The words of `texts` with the values of a measure."""
    matrix, rows, known = texts.known, texts.known.shape[0], vocabulary(index)
    if measure == "jaccard":
        size = np.diff(matrix.indptr) + np.bincount(texts.row, minlength=rows)
        return Side(_with(matrix, np.ones(matrix.nnz)), np.ones(matrix.nnz), size.astype(np.float64))
    values, others = 1 + np.log(matrix.data), 1 + np.log(texts.count)
    if measure != "count_cosine":
        values, others = values * known.idf[matrix.indices], others * known.idf_of_unknown
    if measure == "wording":
        values, others = values * ~known.is_symbol[matrix.indices], others * ~texts.is_symbol
    owner = np.repeat(np.arange(rows), np.diff(matrix.indptr))
    norm = np.sqrt(np.bincount(owner, values**2, rows) + np.bincount(texts.row, others**2, rows))
    values = values / np.where(norm > 0, norm, 1.0)[owner]
    return Side(_with(matrix, values), values**2, np.ones(rows))


def _with(matrix: csr_matrix, values: Floats) -> csr_matrix:
    from scipy.sparse import csr_matrix

    return csr_matrix((values, matrix.indices, matrix.indptr), shape=matrix.shape)


def _need(side: Side, measure: WordMeasure, floor: float) -> Floats:
    return floor * side.size if measure == "jaccard" else floor**2 * side.size


@functools.lru_cache(maxsize=4)
def texts_of(index: EvalIndex, measure: WordMeasure) -> Side:
    """The eval texts with the values of a measure, kept for the process."""
    return side_of(index, measure, text_counts(index))


@functools.lru_cache(maxsize=4)
def _postings(index: EvalIndex, measure: WordMeasure, floor: float) -> Nominating:
    side, kind = texts_of(index, measure), KINDS[measure]
    return postings_of(nominating(side, kind.depth * _need(side, measure, floor), kind))


# ---------------------------------------------------------------- matches


def _matches(index: EvalIndex, measure: WordMeasure, turns: list[str], floor: float) -> list[Match]:
    if not turns or not len(index.flat):
        return []
    counts, texts, kind = turn_counts(index, turns), texts_of(index, measure), KINDS[measure]
    own = side_of(index, measure, counts)
    turn, text = similar_pairs(own, texts, _need(own, measure, floor), _postings(index, measure, floor), kind, floor)
    return matches_of(index, measure, counts, turn, text, partial(scores_of, own, texts, kind=kind))


def nominating_words(index: EvalIndex, measure: WordMeasure, turns: list[str], floor: float) -> list[list[str]]:
    """For each turn the words of which an eval text must have one to reach `floor`, the rarest first.

    For whoever looks the texts up elsewhere: score what holds any of them with `score_nominated`.
    """
    counts = turn_counts(index, turns)
    own = side_of(index, measure, counts)
    chosen, word, matrix = own.nominating(_need(own, measure, floor)), vocabulary(index).word, counts.known
    return [[word[column] for column in matrix.indices[begin:end][chosen[begin:end]]]
            for begin, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)]


def score_nominated(
    index: EvalIndex, measure: WordMeasure, turns: list[str], nominated: list[list[int]], floor: float,
) -> list[Match]:
    """The matches among the eval texts (by number) that were nominated for each turn."""
    counts = turn_counts(index, turns)
    score = partial(scores_of, side_of(index, measure, counts), texts_of(index, measure), kind=KINDS[measure])
    turn = np.repeat(np.arange(len(turns)), [len(numbers) for numbers in nominated])
    text = np.fromiter(chain.from_iterable(nominated), np.int64)
    reached = score(turn, text) >= floor
    return matches_of(index, measure, counts, turn[reached], text[reached], score)


def matches_of(
    index: EvalIndex, measure: Measure, counts: Counts, turn: Ints, text: Ints, score: Callable[[Ints, Ints], Floats],
) -> list[Match]:
    """A match for each (turn, item) that has one of these texts, with the scores of all of the item's texts.

    Its covered places are those of the words that the turn has as well.
    """
    items = len(index.texts_of_item)
    turn, item = np.divmod(np.unique(turn * items + index.item_of_text[text]), items)
    many = index.texts_of_item[item]
    begins = np.concatenate([[0], np.cumsum(many)])
    text = np.arange(begins[-1]) + np.repeat(np.searchsorted(index.item_of_text, item) - begins[:-1], many)
    scores = score(np.repeat(turn, many), text).tolist()
    matrix, column = counts.known, vocabulary(index).column
    has, last, matches = np.zeros(matrix.shape[1], np.bool_), -1, []
    for n, (t, i) in enumerate(zip(turn.tolist(), item.tolist(), strict=True)):
        if t != last:
            has[:] = False
            has[matrix.indices[matrix.indptr[t] : matrix.indptr[t + 1]]] = True
            last = t
        part = slice(int(begins[n]), int(begins[n + 1]))
        covered = tuple(tuple(np.flatnonzero(has[column[index.words(int(k))]]).tolist()) for k in text[part])
        matches.append(Match(t, i, round(sum(scores[part]) / len(covered), 9), tuple(scores[part]), covered, measure))
    return matches
