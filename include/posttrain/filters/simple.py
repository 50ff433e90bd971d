"""Too simple: bare arithmetic, one word answered with one word."""

from __future__ import annotations

import re
import unicodedata

from posttrain import recipe
from posttrain.filters.length import count_words
from posttrain.schema import Example, conversation

_BARE = re.compile(
    r"(?:what(?:'s|\s+is)|how\s+much\s+is|calculate|compute|solve|work\s+out|add)?[\s:]*"
    r"\(?\d{1,2}(?:\s*[-+*/×x÷−·]\s*\d{1,2}){1,3}\)?\s*(?:=\s*\?*)?"
    r"\s*(?:[은는이가을를의]|값은|의\s*값은|은|는)?\s*(?:얼마\s*(?:인가요|입니까|예요|에요|야|지|니|일까요?)?|몇\s*(?:인가요|입니까|이에요|이야|일까요?)?"
    r"|뭐\s*(?:예요|에요|야|지|니)|무엇\s*(?:인가요|입니까|이니|일까요?)|계산\s*(?:하세요|해\s*줘|해\s*주세요|하시오|하라)|구하(?:세요|시오|라))?"
    r"\s*[?？.!=]*",
    re.IGNORECASE,
)


_ONE_WORD = re.compile(r"\W*[^\W\d_]+\W*")
"""Letters with punctuation around them; "x+2=4?" is no word."""


def is_too_simple(example: Example, settings: recipe.Filter) -> str | None:
    """Bare arithmetic of integers below 100 ("2+2?", "2+2는 얼마인가요?"), or one word answered with one word ("Hi!" "Hello!").

    Only conversations with a single user turn and without a system turn are looked at.
    """
    if not settings.too_simple:
        return None
    turns = conversation(example)
    if [m.role for m in turns] not in (["user"], ["user", "assistant"]):
        return None
    prompt = unicodedata.normalize("NFC", turns[0].content or "").strip()
    if _BARE.fullmatch(prompt):
        return f"bare arithmetic: {prompt[:80]!r}"
    if len(turns) == 2 and _ONE_WORD.fullmatch(prompt) and count_words(prompt) == 1 and count_words(turns[1].content) <= 1:
        return f"one word for one word: {prompt[:40]!r} → {(turns[1].content or '').strip()[:40]!r}"
    return None
