"""MinHash signatures by rensa: k numbers a row; the share in which two rows agree estimates the Jaccard of their shingles.

rensa gets 64-bit hashes that are made here, so that its own hash of texts, which may differ between machines, plays no part.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import rensa

from posttrain.duplicates.settings import NearDuplicates
from posttrain.duplicates.shingles import batches, shingle_hashes

Signatures = npt.NDArray[np.uint32]
"""(n, permutations)."""

NO_SHINGLE = np.uint32(0xFFFFFFFF)
"""Fills the signature of a text without words."""

SEED = 1
"""Of the hash functions. Two runs must agree on it; another seed finds the same duplicates but for the last per cent."""


def signatures(texts: Sequence[str], settings: NearDuplicates) -> Signatures:
    """(n, permutations) signatures of texts whose words are apart by one space; all NO_SHINGLE where there is no word.

    A row's signature depends on its own text only: not on its neighbours, the shard, the process or the machine.
    """
    size = settings.permutations
    found = np.empty((len(texts), size), dtype=np.uint32)
    begin = 0
    for batch in batches(texts):
        hashes, offsets = shingle_hashes(batch, settings.shingle_words)
        matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, size, SEED)
        values = itertools.chain.from_iterable(matrix.to_rows())  # the matrix has no buffer that NumPy could take
        found[begin : begin + len(batch)] = np.fromiter(values, np.uint32, len(batch) * size).reshape(-1, size)
        begin += len(batch)
    return found
