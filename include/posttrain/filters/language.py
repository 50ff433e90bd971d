"""The language of a row against the declared one."""

from __future__ import annotations

import functools
import re

from posttrain import recipe
from posttrain.filters.view import RowView

FEWEST_BYTES = 200
"""Shorter conversations are not judged: CLD2 was made for pages of 200 bytes and more."""
MOST_CHARACTERS = 1_000
"""So many characters from the beginning are judged, which is enough and bounds the time."""

SURE_SIGNS = {"en": " the ", "ko": "니다"}
"""Language → a string that shows that some of the text is in it; such a row is not given to the model."""

_SAME = {"zh-Hant": "zh", "iw": "he", "jw": "jv", "no": "nb", "sr-ME": "sr", "hr": "sh", "bs": "sh", "sr": "sh", "ms": "id",
         "in": "id", "tl": "fil"}
"""Codes that mean the same language, or languages that a short text does not tell apart."""

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+", re.DOTALL)


def is_in_another_language(row: RowView, settings: recipe.Filter) -> str | None:
    """CLD2 is sure of the text's languages, and the row's declared language is none of the (at most three) that it finds.

    A translation exercise therefore passes in either of its languages. Code blocks and addresses are left out.
    """
    if len(row.folded) < FEWEST_BYTES:
        return None
    declared = row.example.language
    sign = SURE_SIGNS.get(declared)
    if sign and sign in row.text:
        return None
    return language_complaint(row.text, declared)


def language_complaint(text: str, declared: str) -> str | None:
    import pycld2

    if main_language(declared) not in _known():
        return None  # "und", "multilingual", or a language that the model does not have
    text = _CODE.sub(" ", text[:MOST_CHARACTERS]) if "`" in text or "http" in text else text[:MOST_CHARACTERS]
    if len(text.encode("utf-8", "surrogatepass")) < FEWEST_BYTES:
        return None
    try:
        reliable, _, found = pycld2.detect(text)
    except (pycld2.error, UnicodeEncodeError):
        reliable, _, found = pycld2.detect(_printable(text))
    codes = [(code, percent) for _, code, percent, _ in found if code != "un"]
    if not reliable or not codes or main_language(declared) in {main_language(code) for code, _ in codes}:
        return None
    return f"declared {declared}, looks like {', '.join(f'{code} ({percent} %)' for code, percent in codes)}"


def _printable(text: str) -> str:
    """Control characters and lone surrogates, which CLD2 refuses, as spaces."""
    return "".join([c if c.isprintable() else " " for c in text])


def main_language(code: str) -> str:
    """ "pt-BR" → "pt", "zh-Hant" → "zh", "Korean" → "ko"; what CLD2 does not know stays as it is, in lower case."""
    code = _names().get(code.upper(), code)
    code = _SAME.get(code, code.replace("_", "-").split("-")[0].lower())
    return _SAME.get(code, code)


@functools.cache
def _names() -> dict[str, str]:
    """The languages that CLD2 tells apart: name in capitals → code."""
    import pycld2

    codes = dict(pycld2.LANGUAGES)
    return {name.upper(): codes[name] for name in pycld2.DETECTED_LANGUAGES if name in codes}


@functools.cache
def _known() -> frozenset[str]:
    return frozenset(main_language(name) for name in _names())
