"""Step 1: what step 2 needs of the rows of a shard, as arrays; 48 bytes a row, and 4 more for every permutation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posttrain.duplicates.exact import Digests, exact_digests
from posttrain.duplicates.settings import Duplicates
from posttrain.duplicates.signatures import Signatures, signatures
from posttrain.duplicates.texts import ComparedTexts


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """n rows. conversation, prompt: (n, 2) digests; group: (n,) hashes; signature: (n, permutations), (n, 0) with near off."""

    conversation: Digests
    prompt: Digests
    group: npt.NDArray[np.uint64]
    signature: Signatures

    def __len__(self) -> int:
        return len(self.conversation)


def fingerprint(rows: list[ComparedTexts], settings: Duplicates) -> Fingerprints:
    """The arrays of some rows, in their order."""
    near = settings.near
    return Fingerprints(
        conversation=exact_digests(row.conversation for row in rows),
        prompt=exact_digests(row.prompt for row in rows),
        group=np.frombuffer(b"".join(row.group for row in rows), dtype="<u8").astype(np.uint64),
        signature=signatures([row.words for row in rows], near) if near else np.empty((len(rows), 0), np.uint32),
    )


def joined(parts: Iterable[Fingerprints]) -> Fingerprints:
    """The rows of all shards, one after the other."""
    parts = list(parts)
    return Fingerprints(
        conversation=np.concatenate([part.conversation for part in parts]),
        prompt=np.concatenate([part.prompt for part in parts]),
        group=np.concatenate([part.group for part in parts]),
        signature=np.concatenate([part.signature for part in parts]),
    )
