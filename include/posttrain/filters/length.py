"""Length: too few or too many words."""

from __future__ import annotations

import re

from posttrain import recipe
from posttrain.schema import Example, PreferencePair

_HAN_OR_KANA = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")


def count_words(text: str | None) -> int:
    """Words between white space; where Chinese or Japanese is written without spaces, every character is one."""
    return sum(len(_HAN_OR_KANA.findall(word)) or 1 for word in (text or "").split())


def is_too_short(example: Example, settings: recipe.Filter) -> str | None:
    """Fewer words in the last answer than the recipe's min_words; a row without an answer (RLVR) has nothing to measure."""
    sides = [example.chosen, example.rejected] if isinstance(example, PreferencePair) else [example.messages]
    for messages in sides:
        if messages and messages[-1].role == "assistant" and (words := count_words(messages[-1].content)) < settings.min_words:
            return f"{words} words in the last answer, {settings.min_words} wanted"
    return None


def is_too_long(example: Example, settings: recipe.Filter) -> str | None:
    """More words in the whole conversation (of a pair: in the longer side) than the recipe's max_words."""
    sides = [example.chosen, example.rejected] if isinstance(example, PreferencePair) else [example.messages]
    words = max(sum(count_words(m.content) for m in messages) for messages in sides)
    return f"{words} words, {settings.max_words} allowed" if words > settings.max_words else None
