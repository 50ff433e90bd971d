"""A table of word n-grams: which positions of the eval texts begin with these n words. Exact, made of flat arrays.

Words are numbers (their rank in the index's vocabulary). A window of words has a 64-bit hash, computed for all
windows of a batch at once; a hash only nominates. `build_table` makes sure that no two n-grams of the index share
a hash, and `find` compares the words of every nominated window, so no answer rests on a hash.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.int32]
Hashes = npt.NDArray[np.uint64]

UNKNOWN = -1
"""A word that no eval text has, or the end of a text: no window that matches can contain it."""

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_FILTER_BITS = 24


class HashCollision(RuntimeError):
    """Two different n-grams of the index have the same hash. Another salt gives other hashes."""


def word_codes(vocabulary_size: int, salt: int) -> Hashes:
    """A well-mixed 64-bit code for each word number (splitmix64)."""
    with np.errstate(over="ignore"):
        z = (np.arange(1, vocabulary_size + 1, dtype=np.uint64) + np.uint64(salt) * np.uint64(0x632BE59BD9B4E019)) * _MULTIPLIER
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def window_hashes(words: Words, codes: Hashes, longest: int) -> Iterator[tuple[int, Hashes]]:
    """(length, hash of the window of that length at each position) for lengths 1 … longest; the array is reused.

    Windows that run over the end or over an UNKNOWN word have a meaningless hash: mask them with `known_run`.
    """
    own = codes[np.maximum(words, 0)] if len(codes) else np.zeros(len(words), np.uint64)
    hashes = own.copy()
    yield 1, hashes
    for length in range(2, longest + 1):
        hashes *= _MULTIPLIER
        hashes[: max(0, len(words) - length + 1)] += own[length - 1 :]
        yield length, hashes


def known_run(words: Words) -> Ints:
    """For each position, how many known words follow without a break, itself included."""
    places = np.arange(len(words), dtype=np.int64)
    ends = np.where(words < 0, places, len(words))
    return np.minimum.accumulate(ends[::-1])[::-1] - places


@dataclass(frozen=True)
class NgramTable:
    """Distinct n-grams of one size. `positions[offsets[k]:offsets[k + 1]]` are the places of n-gram k in the eval words."""

    size: int
    hashes: Hashes
    offsets: Ints
    positions: Ints
    filter: npt.NDArray[np.bool_]
    """One flag for each value of a hash's upper bits: most windows of the training text end here."""

    def find(self, words: Words, starts: Ints, hashes: Hashes, index_words: Words) -> tuple[Ints, Ints]:
        """(start, n-gram number) of those windows of `words` that are n-grams of the index, compared word by word."""
        shift = np.uint64(64 - _filter_bits(len(self.filter)))
        own = hashes[starts]
        maybe = self.filter[own >> shift]
        starts, own = starts[maybe], own[maybe]
        found = np.minimum(np.searchsorted(self.hashes, own), len(self.hashes) - 1)
        same = self.hashes[found] == own
        starts, found = starts[same], found[same]
        reach = np.arange(self.size)
        exact = (words[starts[:, None] + reach] == index_words[self.positions[self.offsets[found]][:, None] + reach]).all(axis=1)
        return starts[exact], found[exact]


def build_table(size: int, starts: Ints, hashes: Hashes, index_words: Words) -> NgramTable:
    """The table of the windows of `size` words at `starts`. Raises HashCollision where a hash is not one n-gram's own."""
    own = hashes[starts]
    order = np.argsort(own, kind="stable")
    own, positions = own[order], starts[order].astype(np.int64)
    first = np.flatnonzero(np.concatenate([[True], own[1:] != own[:-1]])) if len(own) else np.zeros(0, np.int64)
    offsets = np.append(first, len(own)).astype(np.int64)
    representative = np.repeat(positions[first], np.diff(offsets))
    for step in range(size):
        if not np.array_equal(index_words[positions + step], index_words[representative + step]):
            raise HashCollision(f"two {size}-grams share a hash")
    return with_filter(size, own[first], offsets, positions)


def with_filter(size: int, hashes: Hashes, offsets: Ints, positions: Ints) -> NgramTable:
    bits = min(_FILTER_BITS, max(10, (16 * len(hashes)).bit_length()))
    flags = np.zeros(1 << bits, np.bool_)
    flags[hashes >> np.uint64(64 - bits)] = True
    return NgramTable(size, hashes, offsets, positions, flags)


def _filter_bits(length: int) -> int:
    return length.bit_length() - 1
