"""Every pair (training turn, eval text) of weighted term sets that is at least so similar, exactly.

A text is a row of a sparse matrix; its columns are terms in the order of rarity, the rarest first. All that two rows share
stands at or behind their *rarest* shared term. So a row reaches a similarity only with a rarest shared term that has enough of
the row at and behind it, which gives the terms that nominate:

    term j of a row nominates  iff  mass of its terms j, j + 1, …  ≥  need

| measure | value of a term | mass | need at floor f   | since                                                                   |
|---------|-----------------|------|-------------------|-------------------------------------------------------------------------|
| cosine  | v, with Σ v² = 1 | v²  | f²                | x·y ≤ ‖x from j on‖ · ‖y‖ (Cauchy-Schwarz)                              |
| overlap | √w              | w    | f · (W(x) + s)    | S / (W(x) + W(y) − S + s) ≥ f, and W(y) ≥ S, give S ≥ f · (W(x) + s)    |

S is the weight of what x and y share, W of all that a text has; s ≥ 0 damps the score of small texts. Jaccard is w = 1, s = 0.

`similar_pairs` lets more terms nominate than that (`Kind.depth`) and multiplies those of both sides: the product is all
that is shared up to the term where the shorter of the two nominating lists ends, and what comes behind it is at most `rest`,
the larger of the two rows' tails. Only pairs whose product and rest together reach the floor are scored. (Prefix and suffix
bounds: AllPairs, Bayardo et al. 2007; PPJoin, Xiao et al. 2008; L2AP, Anastasiu and Karypis 2014.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SLACK = 1e-8
"""Nominating is this much more generous than the floor: sums of floats may come out a little lower, and scores are rounded."""

TERMS_AT_ONCE = 8_000_000
"""Bounds the memory: terms of candidate pairs that are multiplied at once (about 30 bytes each)."""

PRODUCTS_AT_ONCE = 16_000_000
"""Bounds the memory: products of nominating terms for one group of turns (12 bytes a pair, of which there are fewer)."""


@dataclass(frozen=True)
class Kind:
    """How a similarity comes out of what two rows share.

    `score(shared, size of the turn, size of the text)`. `at_most(mass)`: what a row's tail of that mass can share with any
    row. `depth`: in `similar_pairs` those terms nominate that do for `depth` times the need, which changes the time and not
    the result.
    """

    score: Callable[[Floats, Floats, Floats], Floats]
    at_most: Callable[[Floats], Floats]
    depth: float


@dataclass(frozen=True, eq=False)
class Side:
    """Weighted term sets. `matrix` has the columns of a row in order; `mass` has a value for each of its entries.

    `size` is a row's whole mass, with the terms that have no column because no text of the other side can hold them.
    """

    matrix: csr_matrix
    mass: Floats
    size: Floats

    def tails(self) -> Floats:
        """The mass of each entry and of those behind it in its row."""
        pointers = self.matrix.indptr.astype(np.int64)
        total = np.concatenate([[0.0], np.cumsum(self.mass)])
        return np.repeat(total[pointers[1:]], np.diff(pointers)) - total[:-1]

    def nominating(self, need: Floats) -> npt.NDArray[np.bool_]:
        """Which entries nominate, by the rule above, with the need of each row."""
        slack = SLACK * max(1.0, float(self.mass.sum()))
        return self.tails() >= np.repeat(need, np.diff(self.matrix.indptr)) - slack


@dataclass(frozen=True, eq=False)
class Nominating:
    """The nominating entries of a side, and how much the rest of each row can share at most."""

    matrix: csr_matrix
    rest: Floats


def nominating(side: Side, need: Floats, kind: Kind) -> Nominating:
    """The entries of `side` that nominate for `need`."""
    from scipy.sparse import csr_matrix

    chosen, matrix = side.nominating(need), side.matrix
    pointers = np.concatenate([[0], np.cumsum(chosen)])[matrix.indptr]
    owner = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    rest = np.bincount(owner[~chosen], side.mass[~chosen], matrix.shape[0])
    return Nominating(csr_matrix((matrix.data[chosen], matrix.indices[chosen], pointers), shape=matrix.shape), kind.at_most(rest))


def similar_pairs(
    turns: Side, texts: Side, need: Floats, postings: Nominating, kind: Kind, floor: float,
) -> tuple[Ints, Ints]:
    """(turn, text) of all pairs that score at least `floor`, in that order.

    `need` is that of the turns at the floor; `postings` has a row for each term, of the terms that nominate at `kind.depth`.
    """
    own = nominating(turns, kind.depth * need, kind)
    least = kind.at_most(need) - np.maximum(own.rest, postings.rest.max(initial=0.0)) - SLACK
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for turn, text, product in _products(own, postings, least):
        most = product + np.maximum(own.rest[turn], postings.rest[text])
        most = np.minimum(most, np.minimum(turns.size[turn], texts.size[text]))
        possible = kind.score(most, turns.size[turn], texts.size[text]) >= floor - SLACK
        turn, text = turn[possible], text[possible]
        reached = scores_of(turns, texts, turn, text, kind) >= floor
        found.append((turn[reached], text[reached]))
    turn, text = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((text, turn))
    return turn[order], text[order]


def postings_of(texts: Nominating) -> Nominating:
    """Term → the texts that it nominates."""
    return Nominating(texts.matrix.T.tocsr(), texts.rest)


def _products(own: Nominating, postings: Nominating, least: Floats) -> Iterator[tuple[Ints, Ints, Floats]]:
    """(turn, text, product of their nominating terms) of the pairs with a product of at least `least`, by groups of turns."""
    matrix = own.matrix
    cost = np.concatenate([[0], np.cumsum(np.diff(postings.matrix.indptr)[matrix.indices], dtype=np.int64)])[matrix.indptr]
    begin = 0
    while begin < matrix.shape[0]:
        end = max(begin + 1, int(np.searchsorted(cost, cost[begin] + PRODUCTS_AT_ONCE, side="right")) - 1)
        pairs = matrix[begin:end] @ postings.matrix
        kept = np.flatnonzero(pairs.data >= np.repeat(least[begin:end], np.diff(pairs.indptr)))
        turn = np.searchsorted(pairs.indptr, kept, side="right") - 1 + begin
        yield turn, pairs.indices[kept].astype(np.int64), pairs.data[kept]
        begin = end


def scores_of(turns: Side, texts: Side, turn: Ints, text: Ints, kind: Kind) -> Floats:
    """The exact similarity of each pair, rounded to 9 digits so that exactly .6 is .6 in whatever order it is summed."""
    shared = np.empty(len(turn))
    cost = np.cumsum(np.diff(turns.matrix.indptr)[turn] + np.diff(texts.matrix.indptr)[text], dtype=np.int64)
    begin = 0
    while begin < len(turn):
        end = max(begin + 1, int(np.searchsorted(cost, (cost[begin - 1] if begin else 0) + TERMS_AT_ONCE, side="right")))
        part = slice(begin, end)
        shared[part] = turns.matrix[turn[part]].multiply(texts.matrix[text[part]]).sum(axis=1).A1
        begin = end
    return np.round(kind.score(shared, turns.size[turn], texts.size[text]), 9)
