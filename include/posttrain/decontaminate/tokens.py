"""Texts → words as 64-bit codes, many texts at once: `normalize.words`, hashed. The bytes are read in segments.py."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posttrain.decontaminate import korean
from posttrain.decontaminate.normalize import Stem, words
from posttrain.decontaminate.segments import Segments
from posttrain.decontaminate.word_codes import Codes, Ints, codes_of

CHARACTERS_AT_ONCE = 1_000_000
"""Texts are read in parts of about this size: what is made of a part stays in the processor's cache."""


@dataclass(frozen=True)
class Tokens:
    """The words of text k are `codes[bounds[k]:bounds[k + 1]]`."""

    codes: Codes
    bounds: Ints
    unread: npt.NDArray[np.bool_]
    """Korean words whose stem was not looked up: their code is that of how they begin (`beginning`)."""

    def of(self, text: int) -> Codes:
        """The words of one text."""
        return self.codes[self.bounds[text] : self.bounds[text + 1]]

    def text_of(self, places: Ints) -> Ints:
        """Which text each word belongs to."""
        return np.searchsorted(self.bounds, places, side="right") - 1

    def with_unread(self) -> list[int]:
        """The texts that have an unread word."""
        return np.unique(self.text_of(np.flatnonzero(self.unread))).tolist()


def tokenise(texts: Sequence[str], stem: Stem = korean.stem) -> Tokens:
    """The words of all texts."""
    tokens = unread(texts)
    for k in tokens.with_unread():
        tokens.of(k)[:] = codes_of(words(texts[k], stem))
    return Tokens(tokens.codes, tokens.bounds, np.zeros(len(tokens.codes), np.bool_))


def unread(texts: Sequence[str]) -> Tokens:
    """The words of all texts, without looking up the stems of Korean words."""
    return joined(_tokens(texts))


def _tokens(texts: Sequence[str]) -> Iterator[Tokens]:
    for part in parts(texts):
        own = texts[part]
        if len(own[-1]) <= CHARACTERS_AT_ONCE:
            yield Tokens(*Segments(own).words())
            continue
        if len(own) > 1:
            yield Tokens(*Segments(own[:-1]).words())
        pieces = joined(Tokens(*Segments([piece]).words()) for piece in pieces_of(own[-1]))
        yield Tokens(pieces.codes, np.array([0, len(pieces.codes)]), pieces.unread)


def korean_words(texts: Sequence[str]) -> list[list[str]]:
    """The words that `unread` leaves unread, as they are written: a list for each text."""
    found: list[list[str]] = []
    for text in texts:
        own: list[str] = []
        pieces = list(pieces_of(text))
        for part in parts(pieces):
            words, number = Segments(pieces[part]).korean_words()
            own += map(words.__getitem__, number.tolist())
        found.append(own)
    return found


_CUT = re.compile(r"(?<=[^\s\u00adc])[ \n]|(?<=[\u4e00-\u9fff])(?=[\u4e00-\u9fff])")
"""Where no word, no soft hyphen with its line break, no mark and no \\frac 12 is cut: before a space, and between two Chinese
characters."""


def pieces_of(text: str) -> Iterator[str]:
    """A long text in pieces of about CHARACTERS_AT_ONCE, which have its words one after the other."""
    begin = 0
    while len(text) - begin > CHARACTERS_AT_ONCE and (cut := _CUT.search(text, begin + CHARACTERS_AT_ONCE)):
        yield text[begin : cut.start()]
        begin = cut.start()
    yield text[begin:] if begin else text


def piece_with(text: str, word: int) -> tuple[str, int, int, int]:
    """(piece, its words, the character and the word that it begins with) of the piece of a text in which a word stands."""
    begin = first = 0
    for piece in pieces_of(text):
        words_of_piece = len(unread([piece]).codes)
        if word < first + words_of_piece:
            return piece, words_of_piece, begin, first
        begin, first = begin + len(piece), first + words_of_piece
    raise IndexError(f"the text has {first} words, and none at {word}")


def joined(of_parts: Iterable[Tokens]) -> Tokens:
    """The tokens of all texts from those of some."""
    found = [Tokens(np.zeros(0, np.uint64), np.zeros(1, np.int64), np.zeros(0, np.bool_))]
    end = 0
    for own in of_parts:
        found.append(Tokens(own.codes, own.bounds[1:] + end, own.unread))
        end += len(own.codes)
    return Tokens(*(np.concatenate(arrays) for arrays in zip(*((t.codes, t.bounds, t.unread) for t in found), strict=True)))


def parts(texts: Sequence[str]) -> Iterator[slice]:
    """Runs of texts of about CHARACTERS_AT_ONCE."""
    begin = characters = 0
    for end, text in enumerate(texts, start=1):
        characters += len(text)
        if characters >= CHARACTERS_AT_ONCE or end == len(texts):
            yield slice(begin, end)
            begin, characters = end, 0
