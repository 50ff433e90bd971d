"""A text in pieces for a page: what is shared is marked, long stretches in between are left out, invisible characters shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from posttrain.decontaminate.normalize import spans

Piece = tuple[Literal["text", "mark", "gap", "hidden"], str]
"""`gap` holds the number of characters left out, `hidden` the code point of a character that a reader would not see."""

AROUND = 400
"""Characters kept on either side of what is marked, and at the beginning of a text."""

LONGEST = 12_000
"""Characters of one text on a page. A row may hold a book."""

_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\U000e0000-\U000e007f]"
)
"""Control, zero-width and direction characters: they can make a text look like another one."""


def pieces(text: str, marked: Sequence[tuple[int, int]], full: bool = False) -> list[Piece]:
    """The text with the words of the spans [start, end) marked; `full` leaves nothing out.

    "the cat sat down", [(1, 3)] → text "the ", mark "cat sat", text " down"
    """
    found = _marked(text, marked)
    return [shown for piece in (found if full else _shortened(found)) for shown in _with_hidden(piece)]


def excerpt(text: str, marked: Sequence[tuple[int, int]]) -> str:
    """A long text shortened around what is marked, ` … ` where something is left out; a short one as it is."""
    return "".join(" … " if kind == "gap" else part for kind, part in _shortened(_marked(text, marked)))


def _marked(text: str, marked: Sequence[tuple[int, int]]) -> list[Piece]:
    found: list[Piece] = []
    place = 0
    for begin, end in _characters(text, marked):
        found += [("text", text[place:begin]), ("mark", text[begin:end])]
        place = end
    found.append(("text", text[place:]))
    return [piece for piece in found if piece[1]]


def _characters(text: str, marked: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans of words as spans of characters, in order, without overlap; what is beyond the text is left out."""
    if not marked:
        return []
    words, found = spans(text), list[tuple[int, int]]()
    for start, end in sorted(marked):
        end = min(end, len(words))
        if start >= end:
            continue
        begin, stop = words[start][1], words[end - 1][2]
        if found and begin <= found[-1][1]:
            begin, stop = found[-1][0], max(stop, found[-1][1])
            found.pop()
        found.append((begin, stop))
    return found


def _shortened(found: list[Piece]) -> list[Piece]:
    short: list[Piece] = []
    left = LONGEST
    for n, (kind, text) in enumerate(found):
        if left <= 0:
            short.append(("gap", str(sum(len(rest) for _, rest in found[n:]))))
            break
        if kind == "text" and len(text) > 3 * AROUND:
            tail = AROUND if n < len(found) - 1 else 0
            kept = [(kind, text[:AROUND]), ("gap", str(len(text) - AROUND - tail)), (kind, text[len(text) - tail:])]
            short += [piece for piece in kept if piece[1]]
            left -= AROUND + tail
        else:
            short.append((kind, text[:left]))
            if len(text) > left:
                short.append(("gap", str(len(text) - left)))
            left -= len(text)
    return short


def _with_hidden(piece: Piece) -> list[Piece]:
    kind, text = piece
    if kind == "gap":
        return [piece]
    shown: list[Piece] = []
    place = 0
    for hit in _HIDDEN.finditer(text):
        shown += [(kind, text[place:hit.start()]), ("hidden", f"U+{ord(hit[0]):04X}")]
        place = hit.end()
    return [p for p in [*shown, (kind, text[place:])] if p[1]]
