"""Provenance: answers that name another assistant or its maker."""

from __future__ import annotations

import re

from posttrain import recipe
from posttrain.schema import Example, all_messages

KEYWORDS = (
    "OpenAI", "Open AI", "ChatGPT", "Chat GPT", "GPT-3", "GPT3", "GPT 3", "GPT-4", "GPT4", "GPT 4", "GPT-3.5", "GPT3.5",
    "GPT 3.5", "BingChat", "Bing Chat", "LAION", "Open Assistant", "OpenAssistant",
)
"""The 18 strings of open-instruct v0.3.0 (`should_be_filtered_by_keyword`)."""

# Unescaped as there: the dot of "3.5" is any character, so that "GPT345" goes and Korean "OpenAI를" stays.
_KEYWORD = re.compile(r"\b(" + "|".join(KEYWORDS) + r")\b", re.IGNORECASE)


def names_another_assistant(example: Example, settings: recipe.Filter) -> str | None:
    """A provenance rule on assistant turns only (both sides of a pair): honest text about these companies goes too."""
    if not settings.keywords:
        return None
    for message in all_messages(example):
        if message.role == "assistant" and (found := _KEYWORD.search(message.content or "")):
            return f"the answer says {found[0]!r}"
    return None
