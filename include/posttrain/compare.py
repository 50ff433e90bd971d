"""compare: an own mixture beside a published one, source by source: rows here, rows there, and how many are the same.

Published names carry an owner (`ai2-adapt-dev/oasst1_converted`), recipe names do not: what stands after the last slash
counts. RLVR rows are compared by verifier, because the published sets name nothing else.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from posttrain.schema import Example, Kind, PreferencePair, RLVRExample, kind_of


@dataclass(frozen=True)
class SourceLine:
    """One source of a mixture. `same`: rows whose texts stand on both sides, counted as often as both have them."""

    kind: str
    source: str
    here: int
    there: int
    same: int

    @property
    def difference(self) -> int:
        """Rows here minus rows there."""
        return self.here - self.there


@dataclass
class Side:
    """What one mixture holds: rows by source, and by source and text."""

    rows: Counter[tuple[Kind, str]]
    texts: Counter[tuple[Kind, str, bytes]]


def compare_mixtures(here: Iterable[Example], there: Iterable[Example]) -> list[SourceLine]:
    """A line for every source of either side, by kind, then by rows there; only kinds that the published side has."""
    published = read_side(there, frozenset())
    kinds = {kind for kind, _ in published.rows}
    known = frozenset(published.rows)
    own = read_side((example for example in here if kind_of(example) in kinds), known)
    same: Counter[tuple[Kind, str]] = Counter()
    for (kind, source, _), count in (own.texts & published.texts).items():
        same[(kind, source)] += count
    keys = sorted(own.rows.keys() | published.rows.keys(), key=lambda key: (key[0], -published.rows[key], key[1]))
    return [SourceLine(*key, own.rows[key], published.rows[key], same[key]) for key in keys]


def read_side(examples: Iterable[Example], known: frozenset[tuple[Kind, str]]) -> Side:
    """Rows and texts by source. An own row goes by its source, or by its published source where only that one is known."""
    side = Side(Counter(), Counter())
    for example in examples:
        kind = kind_of(example)
        name = source_name(example, kind, known)
        side.rows[(kind, name)] += 1
        side.texts[(kind, name, text_hash(example))] += 1
    return side


def source_name(example: Example, kind: Kind, known: frozenset[tuple[Kind, str]]) -> str:
    """The name that the example counts under."""
    if isinstance(example, RLVRExample):
        return example.verifier
    own = example.source.rpartition("/")[2]
    published = (example.published_source or "").rpartition("/")[2]
    if not published or (known and (kind, published) not in known):
        return own
    return own if (kind, own) in known else published


def text_hash(example: Example) -> bytes:
    """8 bytes over roles and stripped texts: at a million rows a side, a false match has a chance of about 10^-7."""
    digest = hashlib.blake2b(digest_size=8)
    sides = (example.chosen, example.rejected) if isinstance(example, PreferencePair) else (example.messages,)
    for messages in sides:
        digest.update(b"\x02")
        for message in messages:
            digest.update(f"\x01{message.role}\x00{message.content.strip()}".encode())
    if isinstance(example, RLVRExample):
        digest.update(b"\x03" + example.ground_truth.encode())
    return digest.digest()
