"""A guard against training on GSM8K's test split: hashes of its 1,319 questions, not the questions.

A question is found anywhere in a prompt: after worked examples, after an instruction, before "Let's think step by step".
Letter case, white space, punctuation and forms of a letter (NFKC) do not count. `gsm8k_test_questions.sha256` holds one
record a question, sorted: the length of the normalised question in bytes, a checksum of its first 24, and the first 8 bytes
of its sha256. With 2^64 possible values, a false alarm among a million rows has a chance of about 10^-10.
"""

from __future__ import annotations

import functools
import hashlib
import re
import struct
import unicodedata
import zlib
from collections.abc import Iterable
from pathlib import Path

HASHES = Path(__file__).with_name("gsm8k_test_questions.sha256")
SHA256 = "8195713c1f2a20d6ad048ef0012794a6c9a554630a09a0eec8130fbbecc0db40"
"""Of the file: another list of hashes is another version of this module, and so of what is converted with it."""
ANCHOR_BYTES = 24
"""So many bytes decide whether the whole question is compared. The shortest question has 53, and no two begin alike."""
HEAD_CHARACTERS, HEAD_WORDS = 96, 4
"""So much of a prompt is looked at where only its beginning counts: `Question: …`, `질문: …` and the question alone."""
SHORTEST_QUESTION = 53
"""Letters and digits."""
_NO_WORD = bytes(n for n in range(128) if not chr(n).isalnum())
_RECORD = struct.Struct(">HI8s")
_HANGUL_AND_ASCII = re.compile(r"[\x00-\x7f\uac00-\ud7a3]*")
_BETWEEN_WORDS = re.compile(r"[\W_]+")


def normalize_question(text: str) -> str:
    """Lower case, NFKC, letters and digits only."""
    return "".join(_words(text))


def hash_questions(questions: Iterable[str]) -> bytes:
    """The content of the hash file for a list of questions."""
    return b"".join(sorted({_record(normalize_question(question).encode()) for question in questions}))


def holds_test_question(text: str) -> bool:
    """Whether a question of the test split stands in the text, from the beginning of some word on."""
    known = known_questions()
    words = [word.encode("utf-8", "surrogatepass") for word in _words(text)]
    whole = b"".join(words)
    start = 0
    for word in words:
        for length, digest in known.get(zlib.crc32(whole[start : start + ANCHOR_BYTES]), ()):
            if _digest(whole[start : start + length]) == digest:
                return True
        start += len(word)
    return False


def begins_with_test_question(text: str) -> bool:
    """Whether the text begins with a question of the test split, alone or after a word or two and a colon.

    Every prompt of every source comes here, so that most are let go after their first letters: about a microsecond.
    """
    return len(text) >= SHORTEST_QUESTION and may_be_test_question(text[:HEAD_CHARACTERS]) and holds_test_question(text)


def may_be_test_question(beginning: str) -> bool:
    """Whether the first HEAD_CHARACTERS of a text are like those of one that begins with a question of the test split."""
    known = known_questions()
    if beginning.isascii():
        letters = beginning.lower().encode().translate(None, _NO_WORD)
        if zlib.crc32(letters[:ANCHOR_BYTES]) in known:
            return True
        if ":" not in beginning[:HEAD_CHARACTERS // 4]:
            return False
    elif _HANGUL_AND_ASCII.fullmatch(beginning) and _ascii_letters(beginning) < ANCHOR_BYTES:
        return False
    words = _BETWEEN_WORDS.split(_folded(beginning), HEAD_WORDS)
    words[HEAD_WORDS:] = ["".join(_BETWEEN_WORDS.split(rest)) for rest in words[HEAD_WORDS:]]
    encoded = [word.encode("utf-8", "surrogatepass") for word in words]
    head, start = b"".join(encoded), 0
    for word in encoded[:HEAD_WORDS]:
        if zlib.crc32(head[start : start + ANCHOR_BYTES]) in known:
            return True
        start += len(word)
    return False


def _ascii_letters(text: str) -> int:
    return len(text.encode("ascii", "ignore").translate(None, _NO_WORD))


def _words(text: str) -> list[str]:
    return _BETWEEN_WORDS.split(_folded(text))


def _folded(text: str) -> str:
    return (text if text.isascii() else unicodedata.normalize("NFKC", text)).lower()


def _digest(normalized: bytes) -> bytes:
    return hashlib.sha256(normalized).digest()[:8]


def _record(normalized: bytes) -> bytes:
    return _RECORD.pack(len(normalized), zlib.crc32(normalized[:ANCHOR_BYTES]), _digest(normalized))


@functools.cache
def known_questions() -> dict[int, list[tuple[int, bytes]]]:
    """Checksum of the first bytes → (length, hash) of the questions that begin so."""
    data = HASHES.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise RuntimeError(f"{HASHES} is not the file that this version was written for")
    known: dict[int, list[tuple[int, bytes]]] = {}
    for length, anchor, digest in _RECORD.iter_unpack(data):
        known.setdefault(anchor, []).append((length, digest))
    return known
