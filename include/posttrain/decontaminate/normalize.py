"""Text → words: the one normaliser that the eval index and every training turn go through.

    "The  Eiffel\\nTower: isn't it 3.5 km?"   the eiffel tower isn t it 3 5 km
    "Ｆｕｌｌ－ｗｉｄｔｈ　ＡＢＣ"                  full width abc
    "두 수의 합이 10이다."                      두 수의 합이 10이다
    "今天 AI 很好"                             今 天 ai 很 好

NFKC, lower case; a word is a run of letters, digits and the marks on them, so punctuation, line wrapping and
spacing do not count. Scripts that are written without spaces (Chinese, Japanese, Thai, Lao, Burmese, Khmer) give
one token a character. Korean words stay as they are written, particles included.
"""

from __future__ import annotations

import functools
import re
import unicodedata

NORMALISER = f"words-1/unicode-{unicodedata.unidata_version}"
"""Raise the number whenever `words` would give other tokens. An index says which normaliser made it."""

_ASCII_WORD = re.compile(r"[a-z0-9]+")
_PLAIN_WORD = re.compile(r"[^\W_]+")
_SPECIAL = re.compile("[^\x00-\xac\xae-\u02ff\u0370-\u0482\u048a-\u0590\u2010-\u2029\u20a0-\u20cf\u2100-\u2bff\uac00-\ud7a3]")
"""Anything but Latin, Greek, Cyrillic, Hangul and symbols: marks, invisible characters or a spaceless script may be there."""

_INVISIBLE = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff"
"""Soft hyphen, zero-width and direction marks: they split a word for a machine and not for a reader."""

_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff"
)
_SPACELESS_BEYOND = "\U00020000-\U0003134f"


def words(text: str) -> list[str]:
    """The tokens of a text, in order."""
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
    if not _SPECIAL.search(folded):
        return _PLAIN_WORD.findall(folded)
    invisible, character, word = _patterns()
    return word.findall(character.sub(r" \g<0> ", invisible.sub("", folded)))


@functools.cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """What vanishes, a character of a spaceless script with its marks, and a word with its marks.

    Python's \\w leaves out combining marks, which would cut Telugu or Arabic words at every vowel sign.
    """
    marks = "".join(c for c in map(chr, range(0x300, 0x10000)) if unicodedata.category(c) in ("Mn", "Mc"))
    spaceless = "".join(c for c in map(chr, range(0x0E00, 0x10000)) if re.match(f"(?!_)[{_SPACELESS}]", c) and c.isalnum())
    return (
        re.compile(f"[{_INVISIBLE}]"),
        re.compile(rf"(?:[{spaceless}]|[{_SPACELESS_BEYOND}])[{marks}]*"),
        re.compile(rf"[^\W_]+(?:[{marks}]+[^\W_]*)*"),
    )
