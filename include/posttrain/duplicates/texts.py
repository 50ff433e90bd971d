"""What of an example is compared: its normalised conversation, its prompt, and the words that near duplicates share."""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata
from dataclasses import dataclass

from posttrain.duplicates.settings import Duplicates
from posttrain.schema import Example, Message, PreferencePair, RLVRExample, kind_of
from posttrain.text_pieces import pieces, squeezed

_UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai and Lao, Tibetan, Burmese, Khmer
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"  # Japanese, Chinese
)
"""Scripts that put no space between words. Every character of theirs counts as a word; Korean has spaces and keeps its words."""

_UNSPACED_CHARACTER = re.compile(f"[{_UNSPACED}]")
_BEFORE_A_WORD = re.compile(f"[ {_UNSPACED}]")
_WORD = re.compile(f"[{_UNSPACED}]|[^ {_UNSPACED}]+")

_REJECTED = "\x15"
"""Stands before every word of a rejected answer: the pair A over B is no near duplicate of the pair B over A."""


def normalise(text: str | None) -> str:
    """NFC, no letter case, every run of white space one space, none at the ends."""
    text = text or ""
    folded = text.lower() if text.isascii() else unicodedata.normalize("NFC", text).casefold()
    return squeezed(folded)


def spaced(text: str) -> str:
    """A normalised text with a space around every character of a script without spaces, so that splitting at spaces gives words.

    `spaced("llm이란 大模型")` → `"llm이란 大 模 型"`.
    """
    if text.isascii() or not _UNSPACED_CHARACTER.search(text):
        return text
    return " ".join(words for piece in pieces(text, _BEFORE_A_WORD) if (words := " ".join(_WORD.findall(piece))))


@dataclass(frozen=True, slots=True)
class ComparedTexts:
    """One example as the duplicate search sees it; what the settings do not ask for is empty.

    conversation: 16 bytes over kind, roles and normalised texts; equal for exact duplicates.
    prompt: 16 bytes over kind and the normalised first user turn.
    words: all turns, normalised, words apart by one space; what near duplicates are measured on.
    group: 8 bytes; near duplicates are looked for among rows of one group only.
    """

    conversation: bytes
    prompt: bytes | None
    words: str
    group: bytes


NOTHING = ComparedTexts(bytes(16), None, "", bytes(8))


def compared_texts(example: Example, settings: Duplicates) -> ComparedTexts:
    """Normalise every turn of an example once and take all views from that.

    The kind is part of each: the SFT row and the RLVR row of one question are two different uses. RLVR rows with another
    ground truth or verifier are in another group: a problem with other numbers shares nearly all words and is another problem.
    Rows of sources that the search for near duplicates leaves out have no words to be compared by.
    """
    if not settings.any:
        return NOTHING
    kind = kind_of(example)
    normalised = [[(m.role, normalise(m.content)) for m in messages] for messages in sides_of(example)]
    prompt = _prompt(normalised) if settings.prompts else ""
    return ComparedTexts(
        conversation=_conversation(kind, normalised),
        prompt=_digest(f"{kind}\x00{prompt}", 16) if prompt else None,
        words=_words(normalised) if settings.near and example.source not in settings.near.leave_out else "",
        group=_group(group_of(example)),
    )


def sides_of(example: Example) -> list[tuple[Message, ...]]:
    """The conversations of an example: of a pair the chosen and the rejected one, else the only one."""
    return [example.chosen, example.rejected] if isinstance(example, PreferencePair) else [example.messages]


def group_of(example: Example) -> str:
    """Rows of different groups are two uses of one text: never near, nor semantic, duplicates."""
    kind = kind_of(example)
    return f"{kind}\x00{example.verifier}\x00{example.ground_truth}" if isinstance(example, RLVRExample) else kind


def conversation_digest(example: Example) -> bytes:
    """16 bytes over kind, roles and texts; NFC, letter case and runs of white space do not count."""
    return compared_texts(example, Duplicates()).conversation


def _prompt(sides: list[list[tuple[str, str]]]) -> str:
    """The first user turn; of a label on a rejected answer alone, that side's."""
    return next((text for role, text in sides[0] or sides[-1] if role == "user"), "")


def _conversation(kind: str, sides: list[list[tuple[str, str]]]) -> bytes:
    digest = hashlib.blake2b(kind.encode(), digest_size=16)
    for turns in sides:
        digest.update(b"\x02")
        for role, text in turns:
            digest.update(f"\x01{role}\x00{text}".encode("utf-8", "surrogatepass"))
    return digest.digest()


def _words(sides: list[list[tuple[str, str]]]) -> str:
    """The turns of the conversation, and of a pair's second side those that the first side has not."""
    first = sides[0]
    parts = [spaced(text) for _, text in first]
    for second in sides[1:]:
        shared = next((n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second)))
        parts += [_REJECTED + spaced(text).replace(" ", f" {_REJECTED}") for _, text in second[shared:] if text]
    return " ".join(part for part in parts if part)


@functools.lru_cache(maxsize=256)
def _group(text: str) -> bytes:
    return _digest(text, 8)


def _digest(text: str, size: int) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()

