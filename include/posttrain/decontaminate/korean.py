"""Korean words → their stems, by the morphemes that Kiwi (kiwipiepy) finds, its model installed with it.

    정수의 합이 10이고 있었습니다   정수 합 10 있    stem: the word as it stands, up to its particles and endings

A Korean word is analysed by itself, not in its sentence: the same word has the same stem wherever it stands, which
an exact comparison needs, and each is analysed once. Kiwi's lists of names and of titles are not loaded: they keep
long names in one piece, and cost two thirds of its start and half of its memory.
"""

from __future__ import annotations

import functools
import re
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kiwipiepy import Kiwi

HANGUL = "\u1100-\u11ff\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7fb"
"""Syllables and their letters, for a character class. NFKC turns every other form of them into these."""

LONGEST_WORD = 64
"""A longer run of letters without a space is no word, and has no stem."""

_BEFORE = re.compile(f"[^{HANGUL}]*")

_ENDS = ("J", "E", "XSV", "XSA", "VCP", "VX")
"""Particles, endings, the 하 and 되 that make a verb of a noun, the copula, auxiliaries: what may follow a stem."""


def analyser() -> str:
    """Name and version of what reads Korean words: another version may read other stems."""
    return f"kiwi-{version('kiwipiepy')}-{version('kiwipiepy_model')}"


@functools.cache
def _kiwi() -> Kiwi:
    from kiwipiepy import Kiwi

    return Kiwi(num_workers=1, load_default_dict=False, load_multi_dict=False)


@functools.lru_cache(maxsize=1 << 17)
def morphemes(word: str) -> tuple[tuple[str, str, int], ...]:
    """(form, tag, first character) of the morphemes of a word; none for what is longer than LONGEST_WORD."""
    if len(word) > LONGEST_WORD:
        return ()
    return tuple((token.form, token.tag, token.start) for token in _kiwi().tokenize(word))


@functools.lru_cache(maxsize=1 << 17)
def stem(word: str) -> str:
    """The word up to its particles and endings, as it is written (했다 gives 했); a word that is nothing else stays whole."""
    end, last = len(word), len(word)
    for form, tag, start in reversed(morphemes(word)):
        if not (tag.startswith(_ENDS) or (form, tag) == ("들", "XSN")):
            last = start
            break
        end = start if start < end else end
    else:
        return word
    # An ending that begins in the syllable of the stem cannot be taken off it.
    return word[: max(end, last + 1, len(before_hangul(word)))]


def before_hangul(word: str) -> str:
    """What stands before the first Hangul of a word (AI of AI가); a stem always begins with it."""
    return _BEFORE.match(word)[0]  # type: ignore[index]  # it matches the empty text
