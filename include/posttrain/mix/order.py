"""The order in which rows are chosen and shuffled: by hash, so that only seed, purpose, row and repeat decide.

A row is known by 16 bytes over kind, source and id, made once. Every order (the choice in a split, the shuffle of a split, the
quotas) is the order of a 64-bit hash of these bytes with a key of its own. Neither the order of the inputs, nor their cut into
files, nor the number of workers has a say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Digests = npt.NDArray[np.uint64]
"""Shape (rows, 2)."""
Indices = npt.NDArray[np.int64]


def digest_rows(kind: str, sources: Iterable[str], ids: Iterable[str]) -> Digests:
    """16 bytes a row over kind, source and id."""
    parts = [hashlib.blake2b(f"{kind}\0{source}\0{id_}".encode(), digest_size=16).digest()
             for source, id_ in zip(sources, ids, strict=True)]
    return as_digests(parts)


def as_digests(parts: list[bytes]) -> Digests:
    """Digests of 16 bytes each as an array of two numbers a row."""
    return np.frombuffer(b"".join(parts), dtype="<u8").reshape(-1, 2).astype(np.uint64)


def ranks(seed: int, purpose: str, digests: Digests, repeats: Indices | int = 0) -> npt.NDArray[np.uint64]:
    """A 64-bit number a row that looks drawn at random; another seed, purpose or repeat gives another one."""
    key = np.frombuffer(hashlib.blake2b(f"{seed}\0{purpose}".encode(), digest_size=16).digest(), dtype="<u8").astype(np.uint64)
    with np.errstate(over="ignore"):
        repeat = np.asarray(repeats).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return _mix64(_mix64(_mix64(digests[:, 0] ^ key[0]) ^ digests[:, 1] ^ key[1]) + repeat)


def by_rank(seed: int, purpose: str, digests: Digests, repeats: Indices | int = 0) -> Indices:
    """The positions of the rows in the order of their ranks; the digest decides where two ranks are equal."""
    return np.lexsort((digests[:, 1], digests[:, 0], ranks(seed, purpose, digests, repeats))).astype(np.int64)


def _mix64(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every bit of the input changes half of the output's bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
