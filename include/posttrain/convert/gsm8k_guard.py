"""A guard against training on GSM8K's test split: hashes of its 1,319 questions, not the questions.

`gsm8k_test_questions.sha256` holds the first 8 bytes of the sha256 of each normalised question, sorted. With 2^64 possible
values, a false alarm among a million rows has a chance of about 10^-10.
"""

from __future__ import annotations

import functools
import hashlib
import unicodedata
from collections.abc import Iterable
from pathlib import Path

HASHES = Path(__file__).with_name("gsm8k_test_questions.sha256")
SHA256 = "d7214d83156dd09b160337d3b9a49b5a0fde0c295abbf3e86b3281fdb37e340b"
"""Of the file: another list of hashes is another version of this module, and so of what is converted with it."""
PREFIX_BYTES = 8


def normalize_question(text: str) -> str:
    """Lower case, NFKC, letters and digits only."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).lower() if c.isalnum())


def hash_questions(questions: Iterable[str]) -> bytes:
    """The content of the hash file for a list of questions."""
    return b"".join(sorted({_prefix(question) for question in questions}))


def is_test_question(text: str) -> bool:
    """Whether a prompt is a question of the test split, alone or after worked examples (`Question: … Answer:`)."""
    last = text.rpartition("Question:")[2].strip().removesuffix("Answer:")
    known = known_hashes()
    return _prefix(text) in known or (last != text and _prefix(last) in known)


def _prefix(question: str) -> bytes:
    return hashlib.sha256(normalize_question(question).encode()).digest()[:PREFIX_BYTES]


@functools.cache
def known_hashes() -> frozenset[bytes]:
    data = HASHES.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise RuntimeError(f"{HASHES} is not the file that this version was written for")
    return frozenset(data[n : n + PREFIX_BYTES] for n in range(0, len(data), PREFIX_BYTES))
