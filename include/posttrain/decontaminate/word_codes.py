"""A word as a number of 64 bits.

A word of at most eight bytes has a code of its own, since every step can be undone; longer ones are compared byte by byte when
an index is built (`Segments.spell`), so that no two words of an index share a code.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from posttrain.decontaminate import korean

Codes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

MIXER = np.uint64(0x9E3779B97F4A7C15)
LANE = 8
LONGEST = 64
"""Bytes of a word that are read as numbers; a longer one is hashed by BLAKE2."""

_HALF = np.uint64(32)


class SharedCode(RuntimeError):
    """Two different words have the same code."""


def beginning(word: str) -> int:
    """What all words with one stem have in common, as a code: what stands before the Hangul, else the first syllable."""
    return word_code(korean.before_hangul(word) or word[0])


def codes_of(tokens: Sequence[str]) -> Codes:
    """The codes of words as strings."""
    return np.array([word_code(token) for token in tokens], np.uint64)


@functools.lru_cache(maxsize=1 << 17)
def word_code(word: str) -> int:
    """The code of one word: its bytes as little-endian numbers of 64 bits, each mixed into the next."""
    data = word.encode("utf-8", "surrogatepass")
    if len(data) > LONGEST:
        return long_code(data)
    code = 0
    for begin in range(0, len(data), LANE):
        code = (_mixed_number(code) + int.from_bytes(data[begin : begin + LANE], "little")) % (1 << 64)
    return _mixed_number(code)


def _mixed_number(code: int) -> int:
    code = code * int(MIXER) % (1 << 64)
    return (code ^ code >> 32) * int(MIXER) % (1 << 64)


def mixed(codes: Codes) -> Codes:
    """Multiply, fold the upper half into the lower, multiply: each step can be undone, and 0 stays 0."""
    codes = codes * MIXER
    codes ^= codes >> _HALF
    codes *= MIXER
    return codes


def long_code(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def ranges(begins: Ints, counts: Ints) -> Ints:
    """begin, begin + 1, … of each range, `counts` of them."""
    return np.arange(int(counts.sum())) + np.repeat(begins - (np.cumsum(counts) - counts), counts)
