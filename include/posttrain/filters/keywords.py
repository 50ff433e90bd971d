"""Provenance: answers that name another assistant or its maker."""

from __future__ import annotations

import re

from posttrain import recipe
from posttrain.filters.view import RowView

KEYWORDS = (
    "OpenAI", "Open AI", "ChatGPT", "Chat GPT", "GPT-3", "GPT3", "GPT 3", "GPT-4", "GPT4", "GPT 4", "GPT-3.5", "GPT3.5",
    "GPT 3.5", "BingChat", "Bing Chat", "LAION", "Open Assistant", "OpenAssistant",
)
"""The 18 strings of open-instruct v0.3.0 (`should_be_filtered_by_keyword`)."""

KOREAN_KEYWORDS = ("오픈AI", "오픈 AI", "오픈에이아이", "챗GPT", "챗 GPT", "챗지피티", "챗 지피티")
"""The same names in Korean spelling; only the form for Korean looks for them."""

_HANGUL = "\uac00-\ud7a3\u1100-\u11ff\u3131-\u318e"

# Unescaped as there: the dot of "3.5" is any character, so that "GPT345" goes and Korean "OpenAI를" stays.
FORMS: dict[str, re.Pattern[str]] = {
    "open_instruct": re.compile(r"\b(" + "|".join(KEYWORDS) + r")\b", re.IGNORECASE),
    "korean": re.compile(
        rf"(?<![^\W{_HANGUL}])(?:{'|'.join(KEYWORDS)})(?![^\W{_HANGUL}])|{'|'.join(KOREAN_KEYWORDS)}", re.IGNORECASE,
    ),
}
"""`open_instruct` is the published rule. In `korean` a Hangul letter beside a keyword is a boundary as well ("OpenAI를")."""

_STEMS = ("gpt", "openai", "open ai", "laion", "bingchat", "bing chat", "openassistant", "open assistant", "오픈", "챗")
_BEFORE_STEM = (0, 1, 2, 4, 5)
"""So many characters before a stem a keyword begins: `GPT`, `챗GPT`, `챗 GPT`, `ChatGPT`, `Chat GPT`."""
_ODD_LETTERS = ("\u0130", "\u0131", "\u017f", "\u212a")
"""Under IGNORECASE these equal i, i, s and k."""
MARKS = _STEMS + _ODD_LETTERS


def names_another_assistant(row: RowView, settings: recipe.Filter) -> str | None:
    """A provenance rule on assistant turns only (both sides of a pair): honest text about these companies goes too."""
    pattern = FORMS[settings.keyword_form]
    for answer in row.answers:
        if found := first_keyword(pattern, answer):
            return f"the answer says {found[0]!r}"
    return None


def first_keyword(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """`pattern.search(text)` for one of FORMS, at a tenth of the time: only where a keyword can begin is it tried."""
    lower = text.lower()
    if not text.isascii() and any(letter in text for letter in _ODD_LETTERS):
        return pattern.search(text)
    starts: set[int] = set()
    for stem in _STEMS:
        place = lower.find(stem)
        while place >= 0:
            starts.update(place - before for before in _BEFORE_STEM if before <= place)
            place = lower.find(stem, place + 1)
    return next((found for start in sorted(starts) if (found := pattern.match(text, start))), None)
