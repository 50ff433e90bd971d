"""Semantic duplicates: rows whose sentence vectors have a cosine of at least the threshold with those of a kept row.

    cosine(x, y) = v(x) · v(y)                               v of length 1
    of two pairs: min(cosine(chosen, chosen'), cosine(rejected, rejected')); none where the sides fit better crosswise

Rows are taken in the order of priority, a block at a time; a row falls where a kept row before it is near enough. The product
of a block with all kept rows (float32) only nominates; what it nominates is compared again in float64. Cost: n² · d / 2
multiplications for n rows of d numbers, and two copies of the vectors. Above `complete_rows` the rows are cut into clusters
of 10,000 rows on average first (k-means, as SemDeDup does, arXiv 2303.09540), and only rows of one cluster are compared; and
again with other clusters: about 10,000 · n · d multiplications. One process does it, by a library that uses all cores, so
that the number of workers decides nothing.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posttrain.duplicates.exact import Mask, Rows, row_order
from posttrain.duplicates.meaning import Meanings
from posttrain.duplicates.settings import SemanticDuplicates
from posttrain.sentence_vectors import Vectors

log = logging.getLogger(__name__)

Cosines = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.uint64]

ROWS_A_BLOCK = 1_024
KEPT_AT_ONCE = 16_384
"""Bounds the memory: 1,024 × 16,384 scores of 4 bytes are held at once."""
MARGIN = 1e-5
"""What a float32 product may be off by, and more: nominated is what comes so near to the threshold."""
DIGITS = 6
"""Cosines are rounded to so many, so that a text is exactly 1 to itself."""
PAIRS_AT_ONCE = 1 << 14
SEEDS = (1, 2)
"""Of the clusters: they are made so many times."""
ROWS_A_CLUSTER = 10_000
"""On average. More of them find less: every border between two clusters has rows on both sides."""
SAMPLE_A_CLUSTER = 500
"""Rows for each cluster that the clusters are fitted on."""


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """Rows, for each the kept row that it is nearest to, and the cosine of the two."""

    rows: Rows
    kept: Rows
    cosine: Cosines


@dataclass(frozen=True, slots=True, eq=False)
class Semantic:
    """`fallen`: the duplicates. `spared`: rows that stay only because their numbers differ from those of the first kept row that
    is near enough. `other_numbers`: of the fallen rows, those with other numbers than the row that stands for them (none
    with `same_numbers`). `clusters`: how many were made; 0 where all rows were compared.
    """

    fallen: Matched
    spared: Matched
    other_numbers: int
    clusters: int


def find_semantic(parts: list[Meanings], priorities: npt.ArrayLike, settings: SemanticDuplicates) -> Semantic:
    """The semantic duplicates among all rows of the parts. `priorities`: of all rows by number, as in `decide.decide`."""
    ranks = np.empty(len(np.asarray(priorities)), dtype=np.int64)
    ranks[row_order(priorities)] = np.arange(len(ranks))
    fallen, spared, other_numbers, clusters = [_none()], [_none()], 0, 0
    for group in _groups(parts, ranks):
        if len(group) > settings.complete_rows:
            fell, stayed, made = _in_clusters(group, settings)
            clusters += made
        else:
            fell, stayed = _search(group.vectors, group.numbers, settings)
        other_numbers += int((group.numbers[fell.rows] != group.numbers[fell.kept]).sum())
        for found, into in ((fell, fallen), (stayed, spared)):
            into.append(Matched(group.rows[found.rows], group.rows[found.kept], found.cosine))
    return Semantic(_joined(fallen), _joined(spared), other_numbers, clusters)


def _none() -> Matched:
    return Matched(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))


def _joined(found: list[Matched]) -> Matched:
    """All of them in the order of their rows."""
    rows, kept, cosine = (np.concatenate([getattr(one, name) for one in found]) for name in ("rows", "kept", "cosine"))
    order = np.argsort(rows, kind="stable")
    return Matched(rows[order], kept[order], cosine[order])


def _groups(parts: list[Meanings], ranks: Rows) -> Iterator[Meanings]:
    """The rows of each group of at least two, in the order of their rank."""
    for sides in sorted({part.vectors.shape[1] for part in parts if len(part)}):
        alike = [part for part in parts if len(part) and part.vectors.shape[1] == sides]
        names = ("rows", "vectors", "group", "numbers")
        every = Meanings(*(np.concatenate([getattr(part, name) for part in alike]) for name in names))
        order = np.lexsort((ranks[every.rows], every.group))
        borders = np.flatnonzero(np.diff(every.group[order])) + 1
        for places in np.split(order, borders):
            if len(places) > 1:
                yield every.at(places)


# ---------------------------------------------------------------- every two rows


def _search(vectors: Vectors, numbers: Numbers, settings: SemanticDuplicates) -> tuple[Matched, Matched]:
    """(fallen, spared) of rows that stand in the order of their rank, by their places. Overwrites the vectors."""
    kept = _Kept(vectors, numbers, settings)
    for begin in range(0, len(vectors), ROWS_A_BLOCK):
        kept.take(begin, min(begin + ROWS_A_BLOCK, len(vectors)))
    return _nearest(kept.fallen), _joined([_none(), *kept.spared])


class _Kept:
    """The rows that are kept so far. Their vectors are moved to the front of the array: no second one is needed."""

    def __init__(self, vectors: Vectors, numbers: Numbers, settings: SemanticDuplicates) -> None:
        self.vectors, self.numbers, self.settings = vectors, numbers, settings
        self.rows = np.empty(len(vectors), dtype=np.int64)
        self.count = 0
        self.fallen: list[Matched] = []
        self.spared: list[Matched] = []

    def take(self, begin: int, end: int) -> None:
        """Decide on the rows from `begin` to `end`."""
        block = self.vectors[begin:end].copy()
        numbers = self.numbers[begin:end]
        row, place, suits = self._nominated(block, numbers)
        cosine = cosines(block, self.vectors, row[suits], place[suits])
        near = cosine >= self.settings.threshold
        found = [Matched(row[suits][near], self.rows[place[suits][near]], cosine[near])]
        standing = np.ones(end - begin, dtype=bool)
        standing[found[0].rows] = False
        first, second, alike = self._inside(block, numbers, standing)
        # Of a fallen row every kept row of the block before it is a candidate to stand for it.
        use = standing[first] & ~standing[second] & alike
        cosine = cosines(block, block, second[use], first[use])
        near = cosine >= self.settings.threshold
        found.append(Matched(second[use][near], first[use][near] + begin, cosine[near]))
        self.fallen += [Matched(one.rows + begin, one.kept, one.cosine) for one in found]
        others = [(row[~suits], self.rows[place[~suits]], cosines(block, self.vectors, row[~suits], place[~suits]))]
        use = np.flatnonzero(standing[first] & standing[second] & ~alike)
        use = use[np.unique(second[use], return_index=True)[1]]
        others.append((second[use], first[use] + begin, cosines(block, block, second[use], first[use])))
        self._spare(others, standing, begin)
        stay = np.flatnonzero(standing)
        self.vectors[self.count : self.count + len(stay)] = block[stay]
        self.rows[self.count : self.count + len(stay)] = stay + begin
        self.count += len(stay)

    def _nominated(self, block: Vectors, numbers: Numbers) -> tuple[Rows, Rows, Mask]:
        """(row of the block, place among the kept rows, whether the numbers suit) of all that suits, and of each row the first
        that does not: a crowd of exercises of one template would else be as many pairs as its square.
        """
        floor, found = self.settings.threshold - MARGIN, [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool))]
        known = np.zeros(len(block), dtype=bool)
        for start in range(0, self.count, KEPT_AT_ONCE):
            some = slice(start, min(start + KEPT_AT_ONCE, self.count))
            near = _products(block, self.vectors[some]) >= floor
            rows = np.flatnonzero(near.any(axis=1))
            near = near[rows]
            suits = near & self._suit(numbers[rows][:, None], self.numbers[self.rows[some]])
            row, place = np.nonzero(suits)
            found.append((rows[row], place + start, np.ones(len(row), bool)))
            near &= ~suits
            first = near.argmax(axis=1)
            new = near[np.arange(len(rows)), first] & ~known[rows]
            known[rows[new]] = True
            found.append((rows[new], first[new] + start, np.zeros(int(new.sum()), bool)))
        row, place, suits = (np.concatenate(columns) for columns in zip(*found, strict=True))
        return row, place, suits

    def _inside(self, block: Vectors, numbers: Numbers, standing: Mask) -> tuple[Rows, Rows, Mask]:
        """Let the rows of the block fall that a row before them in the block stands for; (first, second, whether the numbers
        suit) of all nominated pairs of the block."""
        scores = np.triu(_products(block, block) >= self.settings.threshold - MARGIN, 1)
        first, second = np.divmod(np.flatnonzero(scores), len(block))
        alike = self._suit(numbers[first], numbers[second])
        starts = np.searchsorted(first, np.arange(len(block) + 1))
        for row in np.unique(first[alike]).tolist():
            if standing[row]:
                some = slice(starts[row], starts[row + 1])
                others = second[some][alike[some]]
                others = others[standing[others]]
                near = cosines(block, block, others, np.full(len(others), row)) >= self.settings.threshold
                standing[others[near]] = False
        return first, second, alike

    def _suit(self, first: Numbers, second: Numbers) -> Mask:
        return (first == second) | (not self.settings.same_numbers)

    def _spare(self, others: list[tuple[Rows, Rows, Cosines]], standing: Mask, begin: int) -> None:
        row, kept, cosine = (np.concatenate(columns) for columns in zip(*others, strict=True))
        use = np.flatnonzero(standing[row] & (cosine >= self.settings.threshold))
        use = use[np.lexsort((kept[use], row[use]))]
        use = use[np.unique(row[use], return_index=True)[1]]
        self.spared.append(Matched(row[use] + begin, kept[use], cosine[use]))


def _products(first: Vectors, second: Vectors) -> npt.NDArray[np.float32]:
    """(n, m) scores of all rows of `first` with all of `second`, of pairs the smaller one of their sides."""
    scores = first[:, 0] @ second[:, 0].T
    for side in range(1, first.shape[1]):
        np.minimum(scores, first[:, side] @ second[:, side].T, out=scores)
    return scores


def cosines(first: Vectors, second: Vectors, rows: Rows, others: Rows) -> Cosines:
    """The cosine of each first[rows[n]] with second[others[n]]; −1 for pairs whose sides fit better crosswise."""
    found = np.empty(len(rows), dtype=np.float64)
    for begin in range(0, len(rows), PAIRS_AT_ONCE):
        some = slice(begin, begin + PAIRS_AT_ONCE)
        x, y = first[rows[some]].astype(np.float64), second[others[some]].astype(np.float64)
        straight = (x * y).sum(axis=2).min(axis=1)
        if x.shape[1] == 2:
            crossed = (x * y[:, ::-1]).sum(axis=2).min(axis=1)
            straight = np.where(crossed > straight + MARGIN, -1.0, straight)
        found[some] = straight
    return np.round(found, DIGITS)


def _nearest(found: list[Matched]) -> Matched:
    """For each row the kept row with the highest cosine, of equals the more wanted one."""
    every = _joined([_none(), *found])
    order = np.lexsort((every.kept, -every.cosine, every.rows))
    order = order[np.unique(every.rows[order], return_index=True)[1]]
    return Matched(every.rows[order], every.kept[order], every.cosine[order])


# ---------------------------------------------------------------- clusters


def _in_clusters(group: Meanings, settings: SemanticDuplicates) -> tuple[Matched, Matched, int]:
    """(fallen, spared, clusters made) of rows that stand in the order of their rank, by their places.

    Twice: what two clusters of the first cut share may lie in one of the second. A row that had fallen to one that falls now
    goes over to that one's kept row where the two are near enough, and else stands again.
    """
    fallen, spared, made = _none(), _none(), 0
    for seed in SEEDS:
        standing = np.ones(len(group), dtype=bool)
        standing[fallen.rows] = False
        own = np.flatnonzero(standing)
        new, stayed = [_none()], [spared]
        for places in _clusters(group.vectors[own], seed):
            made += 1
            cluster = own[places]
            some = group.at(cluster)
            for found, into in zip(_search(some.vectors, some.numbers, settings), (new, stayed), strict=True):
                into.append(Matched(cluster[found.rows], cluster[found.kept], found.cosine))
        spared = _joined(stayed)
        fallen = _joined([_gone_over(fallen, _joined(new), group, settings), *new])
    stands = np.ones(len(group), dtype=bool)
    stands[fallen.rows] = False
    use = np.flatnonzero(stands[spared.rows] & stands[spared.kept])
    use = use[np.unique(spared.rows[use], return_index=True)[1]]
    return fallen, Matched(spared.rows[use], spared.kept[use], spared.cosine[use]), made


def _gone_over(fallen: Matched, new: Matched, group: Meanings, settings: SemanticDuplicates) -> Matched:
    """The rows of `fallen` that still fall after those of `new` did."""
    stand_in = np.arange(len(group))
    stand_in[new.rows] = new.kept
    kept = stand_in[fallen.kept]
    cosine = cosines(group.vectors, group.vectors, fallen.rows, kept)
    suits = (group.numbers[fallen.rows] == group.numbers[kept]) | (not settings.same_numbers)
    use = suits & (cosine >= settings.threshold)
    return Matched(fallen.rows[use], kept[use], cosine[use])


def _clusters(vectors: Vectors, seed: int) -> list[Rows]:
    """The places of the rows of each cluster, ascending: seeded k-means, fitted on a sample."""
    from sklearn.cluster import MiniBatchKMeans

    flat = vectors.reshape(len(vectors), -1)
    wanted = min(max(2, math.ceil(len(flat) / ROWS_A_CLUSTER)), len(flat))
    log.info("semantic duplicates: %d rows are cut into %d clusters", len(flat), wanted)
    sample = np.random.default_rng(seed).permutation(len(flat))[: SAMPLE_A_CLUSTER * wanted]
    model = MiniBatchKMeans(n_clusters=wanted, random_state=seed, batch_size=4_096, n_init=1, max_iter=10)
    model.fit(flat[np.sort(sample)])
    labels = np.concatenate([model.predict(flat[n : n + KEPT_AT_ONCE]) for n in range(0, len(flat), KEPT_AT_ONCE)])
    order = np.argsort(labels, kind="stable")
    return [places for places in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if len(places) > 1]
