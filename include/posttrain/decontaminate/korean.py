"""Korean words → morphemes, by Kiwi (kiwipiepy), its model installed with it.

    정수의   정수|의        cut: the pieces as they stand in the word, so that together they are the word
    했다     했|다          하/었/다: a syllable that two morphemes share is not split
    곱하면   곱             roots: what it is about, without particles and endings

A run of Hangul is analysed by itself, not in its sentence: the same run is cut the same way wherever it stands, which
an exact comparison needs, and each is analysed once. Kiwi's lists of names and of titles are not loaded: they keep
long names in one piece, and cost two thirds of its start and half of its memory.
"""

from __future__ import annotations

import functools
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kiwipiepy import Kiwi

HANGUL = "\u1100-\u11ff\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7fb"
"""Syllables and their letters, for a character class. NFKC turns every other form of them into these."""

LONGEST_RUN = 64
"""A longer run without a space is no word; it is cut at every LONGEST_RUN characters before it is analysed."""

_ROOTS = ("NNG", "NNP", "NNB", "NR", "NP", "VV", "VA", "XR", "MAG")
"""Nouns, numerals, verbs, adjectives, roots and adverbs. Not particles (J…), endings (E…), suffixes
(XS…), auxiliaries (VX), the copula (VCP, VCN), determiners and interjections. Kiwi marks irregular verbs as VV-I, VV-R."""


def analyser() -> str:
    """Name and version of what cuts Korean words: another version may cut another way."""
    return f"kiwi-{version('kiwipiepy')}-{version('kiwipiepy_model')}"


@functools.cache
def _kiwi() -> Kiwi:
    from kiwipiepy import Kiwi

    return Kiwi(num_workers=1, load_default_dict=False, load_multi_dict=False)


@functools.lru_cache(maxsize=1 << 17)
def morphemes(run: str) -> tuple[tuple[str, str, int], ...]:
    """(form, tag, first character) of the morphemes of a run."""
    found = []
    for begin in range(0, len(run), LONGEST_RUN):
        tokens = _kiwi().tokenize(run[begin : begin + LONGEST_RUN])
        found += [(token.form, token.tag, begin + token.start) for token in tokens]
    return tuple(found)


@functools.lru_cache(maxsize=1 << 17)
def cut(run: str) -> tuple[str, ...]:
    """The run in pieces, one a morpheme; morphemes that begin in one syllable are one piece."""
    if len(run) == 1:
        return (run,)
    places = sorted({0, len(run), *(start for _, _, start in morphemes(run) if 0 < start < len(run))})
    return tuple(run[begin:end] for begin, end in zip(places, places[1:], strict=False))


@functools.lru_cache(maxsize=1 << 17)
def roots(run: str) -> tuple[str, ...]:
    """The nouns and stems of a run. What follows a number or a foreign word (10이고, AI가) must come with `1` or `A` before
    it, which is left out again: alone, the particle would be a noun or a verb.

    A verb made of a noun and 하 or 되 counts as its noun: 곱하면 and 곱이 are about the same.
    """
    found = [(form, tag.partition("-")[0]) for form, tag, _ in morphemes(run)]
    return tuple(
        form[:-1] if tag in ("VV", "VA") and len(form) > 1 and form[-1] in "하되" else form
        for form, tag in found if tag in _ROOTS
    )
