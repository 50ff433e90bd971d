"""How far the numbers of two texts agree (which those are: text_numbers.py).

    agreement(x, y) = W(x ∩ y) / (W(x ∪ y) + 2)        of multisets; W adds up w(v) of their numbers
    w(v) = ln(1 + (PRIOR + N) / (1 + df(v)))           N eval texts have a number, df(v) of them have v

so that 2 and 2 agree less than 11,600 and 11,600 do, and a single common number does not say much.

    reworded(x, y) = (wording + agreement) / 2         where the agreement is at least MIN_AGREEMENT, else 0

`wording` is the TF-IDF cosine without numbers and single letters (similarity.py).

Measured on an index of 33 eval sets: 157 paraphrases of GSM8K test questions by llm-decontaminator, against the 7,473 real
questions of GSM8K train. From .50 on it finds 98 % of the paraphrases and flags 18 rows, from .54 on 95 % and 7; the TF-IDF
cosine from .6 on finds 58 % and flags 41.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from posttrain.decontaminate import similarity
from posttrain.decontaminate.sparse_join import Kind, Nominating, Side, nominating, postings_of, scores_of, similar_pairs
from posttrain.decontaminate.word_counts import turn_counts
from posttrain.text_numbers import Element, elements

if TYPE_CHECKING:
    from posttrain.decontaminate.coverage import Match
    from posttrain.decontaminate.index import EvalIndex
    from posttrain.decontaminate.sparse_join import Floats, Ints

MIN_AGREEMENT = 0.45
"""Below it two texts hold other numbers: another exercise, whatever its wording."""

DAMPING = 2.0
"""What agreement divides by besides the numbers' own weight. w is about 1.5 for the most common number of a real index."""

PRIOR = 100
"""Texts that the index is thought to have besides: in an index of a few items, too, 24 is rarer than "every text has it" says."""


# ---------------------------------------------------------------- agreement with the texts of an index


@dataclass(frozen=True, eq=False)
class IndexNumbers:
    """The numbers of the eval texts. A text's row has a column for each of its elements, those of rare values first."""

    column: dict[Element, int]
    weight: dict[float, float]
    weight_of_unknown: float
    texts: Side
    postings: Nominating


@functools.lru_cache(maxsize=1)
def index_numbers(index: EvalIndex) -> IndexNumbers:
    """Made from the index's texts once a process."""
    own = [elements(text) for text in index.text.to_pylist()]
    df: dict[float, int] = {}
    for value, place in chain.from_iterable(own):
        df[value] = df.get(value, 0) + (place == 0)
    texts = sum(1 for found in own if found)
    weight = {value: float(np.log(1 + (PRIOR + texts) / (1 + count))) for value, count in df.items()}
    unknown = float(np.log(1 + PRIOR + texts))
    column = {element: n for n, element in enumerate(
        sorted({element for found in own for element in found}, key=lambda element: (df[element[0]], element)))}
    side = _side(own, column, weight, unknown)
    return IndexNumbers(column, weight, unknown, side, postings_of(nominating(side, AGREEMENT.depth * _need(side), AGREEMENT)))


def _side(texts: list[list[Element]], column: dict[Element, int], weight: dict[float, float], unknown: float) -> Side:
    from scipy.sparse import csr_matrix

    columns = [sorted(column[element] for element in found if element in column) for found in texts]
    pointers = np.concatenate([[0], np.cumsum([len(found) for found in columns])]).astype(np.int64)
    flat = np.fromiter(chain.from_iterable(columns), np.int32)
    by_column = np.zeros(len(column))
    for (value, _), n in column.items():
        by_column[n] = weight[value]
    size = np.array([sum(weight.get(value, unknown) for value, _ in found) for found in texts], np.float64)
    mass = by_column[flat]
    return Side(csr_matrix((np.sqrt(mass), flat, pointers), shape=(len(texts), len(column))), mass, size)


def _damped(shared: Floats, turn: Floats, text: Floats) -> Floats:
    return shared / (turn + text - shared + DAMPING)


def _need(side: Side) -> Floats:
    return MIN_AGREEMENT * (side.size + DAMPING)


AGREEMENT = Kind(_damped, np.positive, depth=0.7)


def turn_numbers(index: EvalIndex, turns: list[str]) -> Side:
    """The numbers of the turns, weighted as the index says."""
    about = index_numbers(index)
    return _side([elements(turn) for turn in turns], about.column, about.weight, about.weight_of_unknown)


def reworded(index: EvalIndex, turns: list[str], floor: float) -> list[Match]:
    """Matches by `reworded`: texts whose numbers agree and whose words are similar."""
    if not turns or not len(index.flat):
        return []
    about, own = index_numbers(index), turn_numbers(index, turns)
    turn, text = similar_pairs(own, about.texts, _need(own), about.postings, AGREEMENT, MIN_AGREEMENT)
    return _reworded(index, turns, own, turn, text, floor)


def number_keys(text: str) -> list[str]:
    """The numbers of an eval text as an index elsewhere can hold them: "5.0#0", "5.0#1" where 5 stands twice."""
    return [_key(element) for element in elements(text)]


def nominating_numbers(index: EvalIndex, turns: list[str]) -> list[list[str]]:
    """For each turn the keys of which an eval text must have one to agree: look them up among `number_keys`."""
    about, own = index_numbers(index), turn_numbers(index, turns)
    chosen, matrix = own.nominating(_need(own)), own.matrix
    keys = [_key(element) for element in about.column]
    return [[keys[column] for column in matrix.indices[begin:end][chosen[begin:end]]]
            for begin, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)]


def score_nominated(index: EvalIndex, turns: list[str], nominated: list[list[int]], floor: float) -> list[Match]:
    """The matches by `reworded` among the eval texts (by number) that were nominated for each turn."""
    turn = np.repeat(np.arange(len(turns)), [len(texts) for texts in nominated])
    return _reworded(index, turns, turn_numbers(index, turns), turn, np.fromiter(chain.from_iterable(nominated), np.int64), floor)


def _key(element: Element) -> str:
    return f"{element[0]!r}#{element[1]}"


def _reworded(index: EvalIndex, turns: list[str], own: Side, turn: Ints, text: Ints, floor: float) -> list[Match]:
    """The items of those pairs that reach the floor."""
    about, counts = index_numbers(index), turn_counts(index, turns)
    words = similarity.side_of(index, "wording", counts)

    def score(turn: Ints, text: Ints) -> Floats:
        agreed = scores_of(own, about.texts, turn, text, AGREEMENT)
        alike = scores_of(words, similarity.texts_of(index, "wording"), turn, text, similarity.KINDS["wording"])
        return np.where(agreed >= MIN_AGREEMENT, np.round((agreed + alike) / 2, 9), 0.0)

    reached = score(turn, text) >= floor
    return similarity.matches_of(index, "reworded", counts, turn[reached], text[reached], score)
