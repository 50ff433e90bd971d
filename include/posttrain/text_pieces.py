"""Long texts piece by piece: the list of all words of a line of 200 MB would take 2 GB and more."""

from __future__ import annotations

import re
from collections.abc import Iterator

PIECE = 1 << 20
"""Characters. A text that is not longer is one piece."""

_WHITE_SPACE = re.compile(r"\s")


def pieces(text: str, cut_before: re.Pattern[str] = _WHITE_SPACE) -> Iterator[str]:
    """The text in pieces of about PIECE characters, every one but the first beginning with a match of `cut_before`.

    With white space no word is cut: the words of the pieces, one after the other, are those of the text. Where nothing matches
    the rest is one piece, however long.
    """
    begin = 0
    while len(text) - begin > PIECE:
        found = cut_before.search(text, begin + PIECE)
        if found is None:
            break
        yield text[begin : found.start()]
        begin = found.start()
    yield text[begin:] if begin else text


def squeezed(text: str) -> str:
    """Every run of white space one space, none at the ends: `" ".join(text.split())`."""
    if len(text) <= PIECE:
        return " ".join(text.split())
    return " ".join(words for piece in pieces(text) if (words := " ".join(piece.split())))
