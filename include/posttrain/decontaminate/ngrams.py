"""A table of word n-grams: which positions of the eval texts begin with these n words. Exact, made of flat arrays.

Words are 64-bit codes (tokens.py). A window of words has a 64-bit hash, computed for all windows of a batch at once;
a hash only nominates. `build_table` makes sure that no two n-grams of the index share a hash, and `find` compares the
words of every nominated window, so no answer rests on a window's hash.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posttrain.decontaminate.word_codes import Codes, Ints, mixed

Words = npt.NDArray[np.int32]
Hashes = Codes

UNKNOWN = -1
"""A word that no eval text has, or the end of a text: no window that matches can contain it."""

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_FEWEST_BYTES, _MOST_BYTES = 12, 22
"""A filter has eight bytes for each hash, as a power of two between these: a small one stays in the processor's cache."""
_SEVEN = np.uint64(7)


class HashCollision(RuntimeError):
    """Two different n-grams of the index have the same hash. Another salt gives other hashes."""


def salted(codes: Codes, salt: int) -> Codes:
    """The codes that windows are hashed from; other ones for another salt, and no two words get one."""
    return codes if not salt else mixed(codes ^ np.uint64(salt))


def hashes_of(codes: Codes, size: int) -> Hashes:
    """The hash of the `size` codes from each position on: windows of 1, 2, 4, … codes put together.

    h(c₁ … cₙ) = c₁ Mⁿ⁻¹ + … + cₙ₋₁ M + cₙ modulo 2⁶⁴, M = _MULTIPLIER.
    """
    if len(codes) < size:
        return np.zeros(0, np.uint64)
    result, done = np.zeros(len(codes), np.uint64), 0
    block, width = codes, 1
    while done < size:
        if size & width:
            rest = block[done:]
            result = result[: len(rest)] * _power(width) + rest if done else block
            done += width
        if done < size:
            block = block[:-width] * _power(width) + block[width:]
            width *= 2
    return result[: len(codes) - size + 1]


def hashes_at(codes: Codes, starts: Ints, size: int) -> Hashes:
    """The same, at some positions."""
    result = codes[starts]
    for step in range(1, size):
        result *= _MULTIPLIER
        result += codes[starts + step]
    return result


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(int(_MULTIPLIER), exponent, 1 << 64))


def known_run(words: Words) -> Ints:
    """For each position, how many known words follow without a break, itself included."""
    places = np.arange(len(words), dtype=np.int64)
    ends = np.where(words < 0, places, len(words))
    return np.minimum.accumulate(ends[::-1])[::-1] - places


class Filter:
    """One bit for each value of a hash's upper bits: most windows of the training text end here."""

    def __init__(self, hashes: Hashes) -> None:
        size = min(max((8 * len(hashes)).bit_length(), _FEWEST_BYTES), _MOST_BYTES)
        self._byte, self._bit = np.uint64(64 - size), np.uint64(64 - size - 3)
        is_there = np.zeros(8 << size, np.bool_)
        is_there[(hashes >> self._bit).view(np.int64)] = True
        self._bits = np.packbits(is_there, bitorder="little")

    def passing(self, hashes: Hashes) -> Ints:
        """The places of the hashes that may be among those of the table."""
        places = np.flatnonzero(self._bits.take((hashes >> self._byte).view(np.int64)))
        own = hashes[places]
        bits = self._bits[(own >> self._byte).view(np.int64)] >> ((own >> self._bit) & _SEVEN).astype(np.uint8)
        return places[(bits & 1).astype(np.bool_)]


WINDOWS_AT_ONCE = 1 << 20
"""Hashes of a long text that are held at once."""


def possible_starts(codes: Codes, size: int, beginnings: Filter) -> Ints:
    """Where windows of `size` words pass the filter."""
    found = [np.zeros(0, np.int64)]
    for begin in range(0, len(codes), WINDOWS_AT_ONCE):
        hashes = hashes_of(codes[begin : begin + WINDOWS_AT_ONCE + size - 1], size)
        found.append(beginnings.passing(hashes) + begin)
    return np.concatenate(found)


@dataclass(frozen=True)
class NgramTable:
    """Distinct n-grams of one size. `positions[offsets[k]:offsets[k + 1]]` are the places of n-gram k in the eval words."""

    size: int
    hashes: Hashes
    offsets: npt.NDArray[np.int32]
    positions: npt.NDArray[np.int32]

    @functools.cached_property
    def filter(self) -> Filter:
        """Made when first asked for: who builds an index looks nothing up in it."""
        return Filter(self.hashes)

    def find(self, codes: Codes, index_codes: Codes, index_words: Words, starts: Ints | None = None) -> tuple[Ints, Ints]:
        """(start, n-gram number) of the windows of `codes` that are n-grams of the index, compared word by word.

        `starts`: where a window may begin, if not everywhere.
        """
        if starts is None:
            hashes = hashes_of(codes, self.size)
            starts = self.filter.passing(hashes)
            own = hashes[starts]
        else:
            starts = starts[starts + self.size <= len(codes)]
            own = hashes_at(codes, starts, self.size)
            passing = self.filter.passing(own)
            starts, own = starts[passing], own[passing]
        found = np.minimum(np.searchsorted(self.hashes, own), len(self.hashes) - 1)
        same = self.hashes[found] == own
        starts, found = starts[same], found[same]
        exact = np.ones(len(starts), np.bool_)
        positions = self.positions[self.offsets[found]]
        for step in range(self.size):
            exact &= codes[starts + step] == index_codes[index_words[positions + step]]
        return starts[exact], found[exact]


def ascending(hashes: Hashes) -> Ints:
    """The order of ascending hashes, equal ones as they stand: `np.argsort(hashes, kind="stable")` in half the time.

    The place goes into the lowest bits of the hash, and numbers are sorted.
    """
    low = np.uint64((1 << max(len(hashes) - 1, 1).bit_length()) - 1)
    order = (np.sort((hashes & ~low) | np.arange(len(hashes), dtype=np.uint64)) & low).view(np.int64)
    own = hashes[order]
    # Where the upper bits of two hashes are the same, the lower ones may not ascend.
    return order if (own[1:] >= own[:-1]).all() else np.argsort(hashes, kind="stable")


def build_table(size: int, starts: Ints, hashes: Hashes, index_words: Words) -> NgramTable:
    """The table of the windows of `size` words at `starts`, which have these `hashes`.

    Raises HashCollision where a hash is not one n-gram's own.
    """
    order = ascending(hashes)
    own, positions = hashes[order], starts[order].astype(np.int32)
    first = np.flatnonzero(np.concatenate([[True], own[1:] != own[:-1]])) if len(own) else np.zeros(0, np.int64)
    offsets = np.append(first, len(own))
    again = np.ones(len(own), np.bool_)  # only an n-gram that stands in several places can be two
    again[first] = False
    second = np.flatnonzero(again)
    representative = positions[first[np.searchsorted(first, second, side="right") - 1]]
    for step in range(size):
        if not np.array_equal(index_words[positions[second] + step], index_words[representative + step]):
            raise HashCollision(f"two {size}-grams share a hash")
    return NgramTable(size, own[first], offsets.astype(np.int32), positions)


def build_tables(flat: Words, offsets: Ints, ngram_size: int, codes: Codes) -> dict[int, NgramTable]:
    """Size → table: all n-grams of the texts with at least n words, and each shorter text as a whole under its own length."""
    lengths = np.diff(offsets)
    own = codes[flat]
    tables: dict[int, NgramTable] = {}
    for size in range(1, ngram_size + 1):
        if size == ngram_size:
            last = np.zeros(len(flat) + 1, np.int64)  # a window may begin where it ends within its text
            long = lengths >= size
            np.add.at(last, offsets[:-1][long], 1)
            np.add.at(last, offsets[1:][long] - size + 1, -1)
            starts = np.flatnonzero(np.cumsum(last[:-1]))
            hashes = hashes_of(own, size)[starts]
        else:
            starts = offsets[:-1][lengths == size]
            hashes = hashes_of(own[starts[:, None] + np.arange(size)].ravel(), size)[::size]
        if len(starts):
            tables[size] = build_table(size, starts, hashes, flat)
    return tables
