"""LSH: which rows agree in a whole band of their signatures and so deserve a comparison.

One sort per band puts the rows of a bucket together; no dictionary, no Python object a row. Rows are called by their rank
here: rank 0 is the most wanted row, and of a pair the first is the one that would be kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posttrain.duplicates.exact import Mask, Rows
from posttrain.duplicates.settings import NearDuplicates
from posttrain.duplicates.shingles import Hashes, mixed
from posttrain.duplicates.signatures import NO_SHINGLE, Signatures

Pairs = npt.NDArray[np.int64]
"""(m, 2): two rows each, the more wanted one first."""

Codes = npt.NDArray[np.int64]
"""(m,): a pair as one number, first rank × number of ranks + second rank."""

LEADERS = 16
PAIRS_A_BUCKET = 20_000
"""Rows of a bucket that are compared with all others of it, at least; and the pairs that a bucket may cost where that is
more. Nearly all buckets are small. A large one holds rows of one template, and two of them that are near duplicates
also meet in the small buckets of what they share beyond the template."""
PAIRS_AT_ONCE = 1 << 22
"""So many pairs of buckets are held before their signatures are compared: 32 MB."""
COMPARED_AT_ONCE = 1 << 12
DEVIATIONS = 3.0
"""A pair whose estimate is so many standard deviations below the threshold is not verified: at most 1 of 1,000 pairs at
the threshold are lost by that, and fewer above it."""


@dataclass(frozen=True, slots=True)
class Band:
    """The buckets of one band that hold at least two rows: bucket n is ranks[starts[n] : starts[n + 1]], ascending."""

    ranks: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Index:
    """The signatures, which row has which rank, and the buckets of every band."""

    signatures: Signatures
    rows: Rows
    bands: list[Band]


def build_index(signatures: Signatures, groups: Hashes, rows: Rows, settings: NearDuplicates) -> Index:
    """The buckets of `rows`, which stand in the order of their rank.

    Rows without a shingle are in no bucket; rows of different groups never share one.
    """
    bands, width = settings.banding()
    rows = rows[(signatures != NO_SHINGLE).any(axis=1)[rows]]
    found = []
    for n in range(bands):
        keys = _band_keys(signatures[:, n * width : (n + 1) * width], groups)[rows]
        order = np.argsort(keys, kind="stable")
        found.append(_cut(order.astype(np.int32), keys[order]))
    return Index(signatures, rows, found)


def _band_keys(columns: Signatures, groups: Hashes) -> Hashes:
    keys = groups
    for n in range(columns.shape[1]):
        keys = mixed(keys ^ columns[:, n].astype(np.uint64))
    return keys


def _cut(ranks: npt.NDArray[np.int32], keys: npt.NDArray[np.generic]) -> Band:
    """Ranks in the order of their keys → buckets of equal keys, those of a single row left out."""
    if len(ranks) == 0:
        return Band(ranks, np.zeros(1, dtype=np.int64))
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    sizes = np.diff(np.append(starts, len(ranks)))
    shared = sizes > 1
    return Band(ranks[np.repeat(shared, sizes)], np.concatenate(([0], np.cumsum(sizes[shared]))).astype(np.int64))


def _standing(band: Band, standing: Mask) -> Band:
    """The band without the rows that no longer stand."""
    buckets = np.repeat(np.arange(len(band.starts) - 1), np.diff(band.starts))
    left = standing[band.ranks]
    return _cut(band.ranks[left], buckets[left])


def candidate_pairs(index: Index, standing: Mask, settings: NearDuplicates, *, first_only: bool = False) -> tuple[Pairs, int]:
    """Pairs of ranks that share a bucket, both standing, and whose signatures do not speak against the threshold.

    In every bucket the first rows are paired with all that come after them: the first row alone (`first_only`), else so many
    that the bucket costs PAIRS_A_BUCKET pairs, and never fewer than LEADERS. A bucket of 140 rows is compared in full, one of
    m rows costs 16 × m pairs and never m × m. Returns the pairs, ascending, each once, and how many pairs of a bucket were left
    out because both rows come after its first ones (counted per band, so that a pair may count more than once).
    """
    found: list[Codes] = []
    waiting: list[Codes] = []
    held = left_out = 0
    for band in index.bands:
        part = _standing(band, standing)
        sizes = np.diff(part.starts)
        leaders = np.ones_like(sizes) if first_only else np.maximum(LEADERS, PAIRS_A_BUCKET // np.maximum(sizes, 1))
        beyond = np.maximum(sizes - leaders, 0)
        left_out += int((beyond * (beyond - 1) // 2).sum())
        for codes in _pair_codes(part, leaders, len(index.rows)):
            waiting.append(codes)
            held += len(codes)
            if held >= PAIRS_AT_ONCE:
                found.append(_likely(np.unique(np.concatenate(waiting)), index, settings))
                waiting, held = [], 0
    found.append(_likely(np.unique(np.concatenate([*waiting, np.empty(0, np.int64)])), index, settings))
    codes = np.unique(np.concatenate(found))
    count = max(len(index.rows), 1)
    return np.stack([codes // count, codes % count], axis=1), left_out


def _pair_codes(band: Band, leaders: npt.NDArray[np.int64], count: int) -> Iterator[Codes]:
    """The first, then the second … row of every bucket, up to its number of leaders, with all rows of the bucket after it."""
    starts, ends, left = band.starts[:-1], band.starts[1:], leaders
    while True:
        inside = (ends - starts > 1) & (left > 0)
        starts, ends, left = starts[inside], ends[inside], left[inside]
        if len(starts) == 0:
            return
        followers = ends - starts - 1
        places = np.repeat(starts + 1 - np.concatenate(([0], np.cumsum(followers)[:-1])), followers) + np.arange(followers.sum())
        yield np.repeat(band.ranks[starts].astype(np.int64), followers) * count + band.ranks[places]
        starts, left = starts + 1, left - 1


def _likely(codes: Codes, index: Index, settings: NearDuplicates) -> Codes:
    """The pairs whose share of equal signature places is not far below the threshold."""
    count, size = len(index.rows), index.signatures.shape[1]
    deviation = math.sqrt(settings.threshold * (1 - settings.threshold) / size)
    needed = (settings.threshold - DEVIATIONS * deviation) * size
    keep = np.empty(len(codes), dtype=bool)
    for begin in range(0, len(codes), COMPARED_AT_ONCE):
        some = codes[begin : begin + COMPARED_AT_ONCE]
        first, second = index.signatures[index.rows[some // count]], index.signatures[index.rows[some % count]]
        keep[begin : begin + COMPARED_AT_ONCE] = np.count_nonzero(first == second, axis=1) >= needed
    return codes[keep]
