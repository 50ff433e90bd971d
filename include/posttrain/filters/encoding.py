"""Broken encoding: replacement characters, control characters, text decoded with the wrong code page."""

from __future__ import annotations

import re

from posttrain import recipe
from posttrain.filters.view import RowView

# Tab, line feed and carriage return are text; so are form feed and vertical tab of old documents.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f\x80-\x84\x86-\x9f]")
_REPLACED = re.compile("[\ufffd\ufffe\uffff\ud800-\udfff]")
KNOWN_GARBLE = ("ï¿½", "锟斤拷", "占쏙옙")
"""U+FFFD itself, encoded in UTF-8 and read as Latin-1, GBK and CP949."""

_LEAD = re.compile("[\u00c2-\u00f4]")
"""The first byte of a longer UTF-8 sequence, read as Latin-1 or Windows-1252."""

MARKS = (
    *(chr(c) for c in (*range(0x00, 0x09), *range(0x0E, 0x20), 0x7F, *range(0x80, 0x85), *range(0x86, 0xA0))),
    "\ufffd", "\ufffe", "\uffff", *KNOWN_GARBLE, *(chr(c) for c in range(0xC2, 0xF5)),
)
SURROGATE_MARKS = tuple(bytes([0xED, lead]) for lead in range(0xA0, 0xC0))
"""How lone surrogates begin in UTF-8 with "surrogatepass"; no other character does."""


def has_broken_encoding(row: RowView, settings: recipe.Filter) -> str | None:
    """A replacement or control character in a turn, or mojibake: text that ftfy would decode once more ("Ã©" → "é")."""
    for n, message in enumerate(row.messages):
        text = message.content or ""
        found = _REPLACED.search(text) or _CONTROL.search(text)
        if found:
            return f"turn {n} ({message.role}) holds {ascii(found[0])}"
        garble = next((g for g in KNOWN_GARBLE if g in text), None) or mojibake(text)
        if garble:
            return f"turn {n} ({message.role}) holds {garble!r}"
    return None


def mojibake(text: str) -> str | None:
    """The first line that was decoded with the wrong code page, at most 60 characters of it."""
    if not _LEAD.search(text):
        return None
    import ftfy

    for line in text.split("\n"):
        if _LEAD.search(line) and ftfy.is_bad(line) and ftfy.fix_encoding(line) != line:
            return line[max(_LEAD.search(line).start() - 20, 0):][:60]
    return None
