"""Broken encoding: replacement characters, control characters, text decoded with the wrong code page."""

from __future__ import annotations

import re

from posttrain import recipe
from posttrain.filters.view import RowView

# Tab, line feed and carriage return are text; so are form feed and vertical tab of old documents.
_BROKEN = re.compile("[\x00-\x08\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffd\ufffe\uffff\ud800-\udfff]")
KNOWN_GARBLE = ("ï¿½", "锟斤拷", "占쏙옙")
"""U+FFFD itself, encoded in UTF-8 and read as Latin-1, GBK and CP949."""

# The second to fourth byte of a UTF-8 sequence, 0x80–0xBF, read as Latin-1 or as Windows-1252.
_FURTHER = "\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122"
_GARBLED = re.compile(f"[\u00c2-\u00f4][{_FURTHER}]|\u00c3 ")
"""The first byte, 0xC2–0xF4, read so, with one that follows; "Ã " is "à" after its no-break space became a space."""

MARKS = (
    *(chr(c) for c in (*range(0x00, 0x09), *range(0x0E, 0x20), 0x7F, *range(0x80, 0x85), *range(0x86, 0xA0))),
    "\ufffd", "\ufffe", "\uffff", *KNOWN_GARBLE, "\u00c3 ",
    # How the letters of _GARBLED begin in UTF-8.
    *(bytes([0xC3, lead]) + further for lead in range(0x82, 0xB5)
      for further in (b"\xc2", b"\xc5", b"\xc6", b"\xcb", b"\xe2\x80", b"\xe2\x82", b"\xe2\x84")),
    # How lone surrogates begin in UTF-8 with "surrogatepass"; no other character does.
    *(bytes([0xED, lead]) for lead in range(0xA0, 0xC0)),
)


def has_broken_encoding(row: RowView, settings: recipe.Filter) -> str | None:
    """A replacement or control character in a turn, or mojibake: text that ftfy would decode once more ("Ã©" → "é")."""
    for n, message in enumerate(row.messages):
        text = message.content or ""
        found = _BROKEN.search(text)
        if found:
            return f"turn {n} ({message.role}) holds {ascii(found[0])}"
        garble = next((g for g in KNOWN_GARBLE if g in text), None) or mojibake(text)
        if garble:
            return f"turn {n} ({message.role}) holds {garble!r}"
    return None


def mojibake(text: str) -> str | None:
    """The first line that was decoded with the wrong code page, at most 60 characters of it."""
    found = _GARBLED.search(text)
    if not found:
        return None
    import ftfy

    while found:
        begin, end = text.rfind("\n", 0, found.start()) + 1, text.find("\n", found.start())
        line = text[begin:] if end < 0 else text[begin:end]
        if ftfy.is_bad(line) and ftfy.fix_encoding(line) != line:
            return line[max(found.start() - begin - 20, 0):][:60]
        found = _GARBLED.search(text, end) if end >= 0 else None
    return None
