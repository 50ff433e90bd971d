"""Exact duplicates: the same normalised conversation within and across sources."""

from __future__ import annotations

import hashlib
import unicodedata

from posttrain.filters.rules import Drop
from posttrain.schema import Example, Message, PreferencePair, kind_of


def check_duplicate(example: Example, seen: set[bytes]) -> Drop | None:
    """Drop an example whose normalised conversation is in `seen`; else remember it there (16 bytes each)."""
    digest = conversation_digest(example)
    if digest in seen:
        return Drop("duplicates", "duplicate_conversation", "the same conversation was kept before")
    seen.add(digest)
    return None


def conversation_digest(example: Example) -> bytes:
    """16 bytes over kind, roles and texts; NFC, letter case and runs of white space do not count.

    The kind is part of it: the SFT row and the RLVR row of one question are two different uses.
    """
    digest = hashlib.blake2b(kind_of(example).encode(), digest_size=16)
    sides = [example.chosen, example.rejected] if isinstance(example, PreferencePair) else [example.messages]
    for messages in sides:
        digest.update(b"\x02")
        for message in messages:
            digest.update(f"\x01{message.role}\x00{_normalise(message)}".encode())
    return digest.digest()


def _normalise(message: Message) -> str:
    return " ".join(unicodedata.normalize("NFC", message.content or "").casefold().split())
