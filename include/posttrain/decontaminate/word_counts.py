"""How often each word stands in the eval texts and in a batch of training turns: what the word similarities are made of."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from posttrain.decontaminate.normalize import words

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from posttrain.decontaminate.index import EvalIndex
    from posttrain.decontaminate.sparse_join import Floats, Ints

_SYMBOL = re.compile(r"\d|\A[a-z]\Z")
"""A word with a digit, or a single Latin letter: a number or a variable, and no wording."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The words of the eval texts, each with a column: the word that the fewest texts have comes first."""

    column: Ints
    """Word number of the index → column."""
    word: list[str]
    """Column → word."""
    idf: Floats
    idf_of_unknown: float
    is_symbol: npt.NDArray[np.bool_]
    counts: csr_matrix
    """Eval text × column."""


@dataclass(frozen=True, eq=False)
class Counts:
    """The words of some texts: those with a column in `known`, and (text, count, is it a symbol) of each other distinct word."""

    known: csr_matrix
    row: Ints
    count: Ints
    is_symbol: npt.NDArray[np.bool_]


@functools.lru_cache(maxsize=1)
def vocabulary(index: EvalIndex) -> Vocabulary:
    """Made from the index's words once a process. idf(w) = ln((1 + N) / (1 + df(w))) + 1 over its N texts."""
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
    return Vocabulary(
        column, names, np.log((1 + texts) / (1 + df[order])) + 1, float(np.log(1 + texts) + 1), _are_symbols(names),
        _rows(row, column[number], tf, texts, size),
    )


def text_counts(index: EvalIndex) -> Counts:
    """The words of the eval texts."""
    nothing = np.zeros(0, np.int64)
    return Counts(vocabulary(index).counts, nothing, nothing, np.zeros(0, np.bool_))


def turn_counts(index: EvalIndex, turns: list[str]) -> Counts:
    """The words of the turns. Several measures ask for those of one batch, one after the other."""
    return _turn_counts(index, tuple(turns))


@functools.lru_cache(maxsize=1)
def _turn_counts(index: EvalIndex, turns: tuple[str, ...]) -> Counts:
    known, numbers, tokens = vocabulary(index), index.number, [words(turn) for turn in turns]
    strange: dict[str, int] = {}
    flat = np.fromiter(
        (n if (n := numbers.get(word)) is not None else len(numbers) + strange.setdefault(word, len(strange))
         for word in chain.from_iterable(tokens)), np.int64)
    owner = np.repeat(np.arange(len(turns)), [len(own) for own in tokens])
    width = max(len(numbers) + len(strange), 1)
    keys, tf = np.unique(owner * width + flat, return_counts=True)
    row, number = np.divmod(keys, width)
    own = number < len(numbers)
    matrix = _rows(row[own], known.column[number[own]], tf[own], len(turns), len(numbers))
    return Counts(matrix, row[~own], tf[~own], _are_symbols(list(strange))[number[~own] - len(numbers)])


def _are_symbols(names: list[str]) -> npt.NDArray[np.bool_]:
    return np.fromiter((_SYMBOL.search(word) is not None for word in names), np.bool_, len(names))


def _rows(row: Ints, column: Ints, value: Ints, rows: int, columns: int) -> csr_matrix:
    from scipy.sparse import csr_matrix

    order = np.lexsort((column, row))
    pointers = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))])
    return csr_matrix((value[order].astype(np.float64), column[order].astype(np.int32), pointers), shape=(rows, columns))
