"""Shingles: the sets of word n-grams that near duplicates share. Hashed for the search, exact for the verdict.

Both read texts whose words are apart by one space (`texts.ComparedTexts.words`). A text with fewer words than a shingle
has one shingle, all of its words; a text without words has none and is nobody's near duplicate.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Hashes = npt.NDArray[np.uint64]
Offsets = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

LONGEST = 1_000_000
"""Characters of a text that the search looks at. What is proposed is then verified on the whole text."""
ROWS_AT_ONCE = 256
BYTES_AT_ONCE = 1 << 18
"""Rows are hashed together until they hold so many bytes: the arrays of eight times that size stay in the processor's cache."""

_GOLDEN = 0x9E3779B97F4A7C15
_SPACE, _END = 0x20, 0x0A


def batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The texts in order, in pieces of at most ROWS_AT_ONCE rows and about BYTES_AT_ONCE characters."""
    begin = size = 0
    for n, text in enumerate(texts):
        size += min(len(text), LONGEST)
        if n + 1 - begin == ROWS_AT_ONCE or size >= BYTES_AT_ONCE:
            yield texts[begin : n + 1]
            begin, size = n + 1, 0
    if begin < len(texts):
        yield texts[begin:]


def shingle_numbers(texts: Sequence[str], size: int) -> list[Ints]:
    """The distinct shingles of each text as ascending numbers. Within one call equal numbers are equal words, and no hashes.

    "a b a b" and "b a c" with size 2 → [ab, ba] and [ba, ac], for three different numbers ab, ba and ac.
    """
    encoded = pa.array([text.encode("utf-8", "surrogatepass") for text in texts], pa.large_binary())
    lists = pc.split_pattern(encoded, pattern=" ")
    words = lists.flatten().dictionary_encode()
    codes, padding = words.indices.to_numpy().astype(np.int64), len(words.dictionary)
    ends = lists.offsets.to_numpy()[1:].astype(np.int64)
    empty = np.array([not text for text in texts], dtype=bool)
    first_words = np.concatenate(([0], ends[:-1]))
    first, last, offsets = _windows(first_words, ends - 1, size, empty)
    numbers, limit = codes[first], padding + 1
    for n in range(1, size):
        if limit * (padding + 1) >= 1 << 63:
            known, numbers = np.unique(numbers, return_inverse=True)
            limit = len(known)
        follower = np.where(first + n <= last, codes[np.minimum(first + n, len(codes) - 1)], padding)
        numbers, limit = numbers * (padding + 1) + follower, limit * (padding + 1)
    return [_distinct(numbers[begin:end]) for begin, end in zip(offsets, offsets[1:], strict=False)]


def _distinct(numbers: Ints) -> Ints:
    ascending = np.sort(numbers)
    return ascending[np.concatenate(([True], ascending[1:] != ascending[:-1]))] if len(ascending) else ascending


def _windows(first_words: Ints, last_words: Ints, size: int, empty: npt.NDArray[np.bool_]) -> tuple[Ints, Ints, Ints]:
    """First and last word of every shingle of every text, and where each text's shingles begin."""
    counts = np.where(empty, 0, np.maximum(last_words - first_words + 2 - size, 1))
    offsets = np.concatenate(([0], np.cumsum(counts)))
    first = np.repeat(first_words - offsets[:-1], counts) + np.arange(offsets[-1])
    return first, np.minimum(first + size - 1, np.repeat(last_words, counts)), offsets


def shingle_hashes(texts: Sequence[str], size: int) -> tuple[Hashes, Offsets]:
    """A 64-bit hash of every shingle of every text: (hashes, offsets), text n has hashes[offsets[n] : offsets[n + 1]].

    A polynomial over the bytes, modulo 2**64, from running sums: every shingle costs the same, however long its words are.
    The same on every machine and in every process. Repeated shingles stay in: a minimum does not mind.
    """
    encoded = [text[:LONGEST].encode("utf-8", "surrogatepass") for text in texts]
    lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
    text = np.frombuffer(b"\n".join([*encoded, b""]), dtype=np.uint8)
    table, powers, inverses = _byte_codes(), *_powers(max(len(text), 1).bit_length())
    sums = np.zeros(len(text) + 1, dtype=np.uint64)
    np.cumsum(table[text] * powers[: len(text)], out=sums[1:])

    word_ends = np.flatnonzero((text == _SPACE) | (text == _END))
    word_starts = np.concatenate(([0], word_ends[:-1] + 1))
    last_words = np.searchsorted(word_ends, np.cumsum(lengths + 1) - 1)
    first_words = np.concatenate(([0], last_words[:-1] + 1))
    first, last, offsets = _windows(first_words, last_words, size, lengths == 0)
    starts, ends = word_starts[first], word_ends[last]
    return mixed((sums[ends] - sums[starts]) * inverses[starts]), offsets.astype(np.uint64)


def mixed(values: Hashes) -> Hashes:
    """Every bit of a value spread over all bits (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@functools.cache
def _byte_codes() -> Hashes:
    """One number for every byte value, so that no two texts differ by small digits only."""
    return mixed(np.arange(1, 257, dtype=np.uint64) * np.uint64(_GOLDEN))


@functools.lru_cache(maxsize=2)
def _powers(bits: int) -> tuple[Hashes, Hashes]:
    """The first 2**bits powers of an odd number, and of its inverse modulo 2**64."""
    inverse = pow(_GOLDEN, -1, 1 << 64)
    powers, inverses = np.ones(1 << bits, dtype=np.uint64), np.ones(1 << bits, dtype=np.uint64)
    for n in range(bits):
        half = 1 << n
        powers[half : 2 * half] = powers[:half] * np.uint64(pow(_GOLDEN, half, 1 << 64))
        inverses[half : 2 * half] = inverses[:half] * np.uint64(pow(inverse, half, 1 << 64))
    return powers, inverses
