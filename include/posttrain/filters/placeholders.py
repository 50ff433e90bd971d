"""Placeholders that nobody filled, and sentences in which a model speaks of itself."""

from __future__ import annotations

import re

from posttrain import recipe
from posttrain.filters.view import RowView

_BRACES = re.compile(r"(?<![\\\w}{^_$])\{\{\s*[A-Za-z][A-Za-z_. ]{1,40}[A-Za-z]\s*\}\}(?!\})")
_CODE = ("```", "{%", "{{#", "{{/", "jinja", "handlebars", "mustache", "angular", "vue", "django", "liquid", "template", "html",
         "템플릿")
"""Where one of these stands in the row, braces are most likely what the conversation is about."""

MARKS = ("{{",)


def has_placeholder(row: RowView, settings: recipe.Filter) -> str | None:
    """`{{name}}`, `{{ user name }}` in any turn, unless the conversation is about templates or holds code."""
    found = _BRACES.search(row.text)
    if found is None:
        return None
    text = row.text.lower()
    return None if any(sign in text for sign in _CODE) else f"the placeholder {found[0]!r}"


MODEL_PHRASES = re.compile(
    r"\b(?:as|being|i am|i'm|i’m) (?:just )?(?:an ai|an artificial intelligence|a large|a text-based ai|an ai-based|a language)"
    r"(?: text-based)?(?: large)?(?: language)? (?:model|assistant|chatbot)\b"
    r"|\bas an ai,|\bas an ai (?:i |developed |created |trained )"
    r"|(?:ai|인공지능|인공 지능|언어|대규모 언어) ?(?:언어 ?)?(?:모델|어시스턴트|챗봇)"
    r"(?:이기 때문에|이므로|이라서|로서|로써|으로서|입니다|인 저)"
    r"|(?:저는|나는) (?:ai|인공지능|인공 지능) ?(?:언어 ?모델|어시스턴트|비서|챗봇)?(?:이기 때문에|이므로|이라서|로서|라서)",
    re.IGNORECASE | re.ASCII,
)
MODEL_MARKS = ("an ai", "a language", "an artificial", "a large", "a text-based", "an ai-based", "모델", "어시스턴트", "챗봇",
               "인공지능", "인공 지능", "저는 ai", "나는 ai")


def speaks_as_a_model(row: RowView, settings: recipe.Filter) -> str | None:
    """ "As an AI language model", "AI 언어 모델로서" in an answer: the phrase of another model's training."""
    for answer in row.answers:
        if found := MODEL_PHRASES.search(answer):
            return f"the answer says {found[0]!r}"
    return None
