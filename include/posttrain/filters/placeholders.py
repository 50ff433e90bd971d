"""Placeholders that nobody filled, and sentences in which a model speaks of itself."""

from __future__ import annotations

import re

from posttrain import recipe
from posttrain.filters.view import RowView

_BRACES = re.compile(r"(?<![\\\w}{^_$])\{\{\s*(?:[A-Za-z][A-Za-z_. ]{1,40}[A-Za-z]|[가-힣][가-힣_. ]{0,40})\s*\}\}(?!\})")
_BLANK = re.compile(
    r"(?<!\w)\[(?:your|insert|enter|company|(?:recipient|sender)(?:['’]s)?)(?: [a-z'’/]+){1,6}\]"
    r"|<(?:your|insert)(?: [a-z'’/]+){1,6}>|(?<!\w)\[(?:이름|성함|회사명|회사 이름|날짜|주소|수신인|받는 사람)\]", re.IGNORECASE)
_CODE = ("```", "{%", "{{#", "{{/", "jinja", "handlebars", "mustache", "angular", "vue", "django", "liquid", "template", "html",
         "템플릿")
"""Where one of these stands in the row, braces are most likely what the conversation is about."""

MARKS = ("{{", "[your ", "[insert ", "[enter ", "[company ", "[recipient", "[sender", "<your ", "<insert ", "[이름]", "[성함]",
         "[회사명]", "[회사 이름]", "[날짜]", "[주소]", "[수신인]", "[받는 사람]")


def has_placeholder(row: RowView, settings: recipe.Filter) -> str | None:
    """`{{name}}`, `{{이름}}`, `[Your Name]`, `[회사명]` in any turn, unless the conversation is about templates or holds code."""
    found = _BRACES.search(row.text) or _BLANK.search(row.text)
    if found is None:
        return None
    text = row.text.lower()
    return None if any(sign in text for sign in _CODE) else f"the placeholder {found[0]!r}"


_BEGINNINGS = ("as", "being", "i am", "i'm", "i’m", "just")
_MODELS = ("an ai", "a machine learning", "an artificial intelligence", "a large", "a text-based ai", "an ai-based", "a language")
_MODELS_KO = ("모델", "어시스턴트", "챗봇")
_ENDINGS_KO = ("이에요", "예요", "이라 ", "이기 때문에", "이므로", "이라서", "로서", "로써", "으로서", "입니다", "인 저")
_I_KO = ("저는 ai", "나는 ai", "저는 인공지능", "나는 인공지능", "저는 인공 지능", "나는 인공 지능")
MODEL_PHRASES = re.compile(
    rf"\b(?:{'|'.join(_BEGINNINGS)}) (?:{'|'.join(_MODELS)})(?: text-based)?(?: large)?(?: language)?"
    r" (?:model|assistant|chatbot)\b"
    r"|\bas an (?:ai|artificial intelligence),|\bas an ai (?:i |developed |created |trained )"
    r"|\b(?:i am|i['’]m)(?: just)? an (?:ai|artificial intelligence)(?=[,.;!])"
    rf"|(?:ai|인공지능|인공 지능|언어) ?(?:언어 ?)?(?:{'|'.join(_MODELS_KO)})(?:{'|'.join(_ENDINGS_KO)})"
    rf"|(?:{'|'.join(_I_KO)}) ?(?:언어 ?모델|어시스턴트|비서|챗봇)?"
    r"(?:이기 때문에|이므로|이라서|(?:으)?로서|라서|입니다|이에요|예요)",
    re.IGNORECASE | re.ASCII,
)
MODEL_MARKS = (
    *(f"{beginning} {model}" for beginning in _BEGINNINGS for model in _MODELS),
    *(model + ending for model in _MODELS_KO for ending in _ENDINGS_KO), *_I_KO,
)


def speaks_as_a_model(row: RowView, settings: recipe.Filter) -> str | None:
    """ "As an AI language model", "AI 언어 모델로서" in an answer: the phrase of another model's training."""
    for answer in row.answers:
        if found := MODEL_PHRASES.search(answer):
            return f"the answer says {found[0]!r}"
    return None
