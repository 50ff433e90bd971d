"""Personal data: e-mail addresses, telephone numbers, Korean resident-registration numbers; found, masked."""

from __future__ import annotations

import datetime
import heapq
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from posttrain import recipe
from posttrain.filters.view import RowView, fold
from posttrain.schema import Example, Message, PreferencePair, SFTExample

Kind = Literal["email", "phone", "resident_number"]
MASKS: dict[str, str] = {"email": "[EMAIL]", "phone": "[PHONE]", "resident_number": "[RESIDENT_NUMBER]"}
"""What stands in the place of each kind after masking."""

FORMS_SHOWN = 3
"""Pieces of personal data whose form a detail gives; the others are counted."""

_LOCAL_PART = re.compile(r"(?<![A-Za-z0-9._%+/-])[A-Za-z0-9_%+][A-Za-z0-9._%+-]{0,63}\Z")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9-])")
_NOBODYS_DOMAIN = re.compile(
    r"@(?:[a-z0-9-]+\.)*(?:example\.(?:com|org|net|edu)|[a-z0-9-]+\.(?:example|test|invalid|localhost))\Z", re.IGNORECASE)
"""Reserved for documentation (RFC 2606): such an address is nobody's."""

_SEPARATORS = " .-\u2010\u2011\u2013"
_S, _D = f"[{re.escape(_SEPARATORS)}]", f"[{re.escape(_SEPARATORS[1:])}]"
_AREA = "0(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|50[0-9])"
_BEFORE, _AFTER = r"(?<![\w.+/=-])", rf"(?![\w/=]|{_D}\d|,\d)"
_INTERNATIONAL = re.compile(
    rf"\+(?<![\w.+/=-]\+)\d{{1,3}}{_S}?(?:\(\d{{1,4}}\){_S}?)?\d{{1,4}}(?:{_S}?\d{{2,4}}){{1,4}}{_AFTER}", re.ASCII,
)
_LOCAL = re.compile(
    rf"{_BEFORE}(?:"
    rf"(?:00)?82{_D}10{_D}\d{{4}}{_D}\d{{4}}|"  # Korea from abroad, without the plus
    rf"01[016789](?P<s>{_S}?)\d{{3,4}}(?P=s)\d{{4}}|\(01[016789]\){_S}?\d{{3,4}}{_S}?\d{{4}}"  # Korea, mobile
    rf"|(?:\({_AREA}\){_S}?|{_AREA}{_D})\d{{3,4}}{_D}\d{{4}}"  # Korea, by area and over the internet
    rf"|(?:1{_D})?(?:\([2-9]\d\d\){_S}?|[2-9]\d\d{_D})[2-9]\d\d{_D}\d{{4}}"  # North America
    rf"){_AFTER}",
    re.ASCII,
)
_NOBODYS_PHONE = re.compile(r"555\D?\d{4}\Z|\A\W*(?:1\W?)?\(?8(?:00|33|44|55|66|77|88)\b", re.ASCII)
"""North America's exchange for fiction, and its toll-free numbers: hotlines and shops."""
_NAMED = re.compile("주민|등록번호|resident|registration|\\brrn\\b", re.IGNORECASE)
_RESIDENT = re.compile(r"(?<![\w.])(\d\d)(\d\d)(\d\d)( ?[-\u2010\u2011\u2013] ?|)([1-8])(\d{6})(?!\w|\.\d)", re.ASCII)

_FULL_WIDTH = {wide: wide - 0xFEE0 for wide in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B),
                                                *map(ord, "＠（）＋－．"))}
"""Full-width digits, letters and the signs of addresses and numbers → ASCII, one character each."""
_WIDE = ("＠", *map(chr, range(0xFF10, 0xFF1A)))

_LOCAL_MARKS = ("(000)", "0000000000", "000 000 0000", "000 0000 0000", *(f"000{s}0000" for s in _SEPARATORS[1:]))
MARKS: dict[str, tuple[str, ...]] = {
    "email": ("@", _WIDE[0]),
    "phone": ("+0", *_LOCAL_MARKS, *_WIDE[1:]),
    "resident_number": (*_WIDE[1:], "0000000000000", *(f"{left}{dash}{right}" for left in ("000000", "000000 ")
                                            for dash in "-\u2010\u2011\u2013" for right in ("0000000", " 0000000"))),
}
"""Kind → substrings of the folded text of which one stands in every row that holds such a thing (ASCII digits are 0)."""
ALL_MARKS = tuple(mark for marks in MARKS.values() for mark in marks)
_FOLDED_MARKS = {kind: [mark.encode() for mark in marks] for kind, marks in MARKS.items()}


def holds_personal_data(row: RowView, settings: recipe.Filter) -> str | None:
    """Personal data of the kinds that the recipe names. The detail gives its form and not the data: `phone 000-0000-0000`."""
    kinds = tuple(kind for kind in settings.personal_data_kinds if any(mark in row.folded for mark in _FOLDED_MARKS[kind]))
    texts = [message.content or "" for message in row.messages]
    found = ((kind, text, start, end) for text in texts for kind, start, end in find(text, kinds))
    shown = [f"{kind} {form(text[start:end])}" for kind, text, start, end in itertools.islice(found, FORMS_SHOWN)]
    left = sum(1 for _ in found)
    return ", ".join(shown) + (f" and {left} more" if left else "") or None


def form(data: str) -> str:
    """Every digit as 0 and every letter as x: "hong@naver.com" → "xxxx@xxxxx.xxx"."""
    return "".join(["0" if c.isdigit() else "x" if c.isalpha() else c for c in data])


def find(text: str, kinds: tuple[str, ...]) -> Iterator[tuple[str, int, int]]:
    """(kind, start, end) of every piece of personal data, in order. Of two that overlap, the first, else the longer."""
    if not text.isascii() and any(sign in text for sign in _WIDE):
        text = text.translate(_FULL_WIDTH)
    end = 0
    for item in _merged(*(_FINDERS[kind](text) for kind in kinds)):
        if item[1] >= end:
            yield item
            end = item[2]


def _merged(*found: Iterator[tuple[str, int, int]]) -> Iterator[tuple[str, int, int]]:
    """What several patterns find, each from the beginning of the text to its end, in one order."""
    return heapq.merge(*found, key=lambda item: (item[1], -item[2]))


def mask(example: Example, kinds: tuple[str, ...]) -> Example:
    """The example with MASKS in the place of personal data, in every turn and in a pair's prompt; id and provenance stay.

    An RLVR row's ground truth is left as it is: the verifier needs it.
    """
    if isinstance(example, PreferencePair):
        return replace(example, prompt=mask_text(example.prompt, kinds), chosen=_mask_turns(example.chosen, kinds),
                       rejected=_mask_turns(example.rejected, kinds))
    masked = replace(example, messages=_mask_turns(example.messages, kinds))
    return replace(masked, trace=mask_text(masked.trace, kinds)) if isinstance(masked, SFTExample) and masked.trace else masked


def mask_text(text: str, kinds: tuple[str, ...]) -> str:
    masked, begin = io.StringIO(), 0
    for kind, start, end in find(text, kinds):
        masked.write(text[begin:start])
        masked.write(MASKS[kind])
        begin = end
    masked.write(text[begin:])
    return masked.getvalue() if begin else text


def _mask_turns(messages: tuple[Message, ...], kinds: tuple[str, ...]) -> tuple[Message, ...]:
    return tuple(Message(m.role, mask_text(m.content, kinds) if m.content else m.content) for m in messages)


# ---------------------------------------------------------------- the three kinds


def _emails(text: str) -> Iterator[tuple[str, int, int]]:
    at = text.find("@")
    while at >= 0:
        local, domain = _LOCAL_PART.search(text, max(at - 65, 0), at), _DOMAIN.match(text, at + 1)
        if local and domain and not _NOBODYS_DOMAIN.search("@" + domain[0]) and local[0] != "git":
            yield "email", local.start(), domain.end()
        at = text.find("@", at + 1)


def _phones(text: str) -> Iterator[tuple[str, int, int]]:
    """Korean and North American numbers, and any international one of 8 to 15 digits (E.164)."""
    folded = fold(text)
    patterns = [pattern for marks, pattern in ((("+0",), _INTERNATIONAL), (_LOCAL_MARKS, _LOCAL))
                if any(mark.encode() in folded for mark in marks)]
    yield from _merged(*(_numbers(pattern, text) for pattern in patterns))


def _numbers(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, int, int]]:
    for found in pattern.finditer(text):
        digits = sum(c.isdigit() for c in found[0])
        if 8 <= digits <= 15 and not _NOBODYS_PHONE.search(found[0]):
            yield "phone", found.start(), found.end()


def _resident_numbers(text: str) -> Iterator[tuple[str, int, int]]:
    """Thirteen digits whose first six are a date of birth.

    With the hyphen the form says what it is, and numbers given out since October 2020 end in six random digits. Without
    it, the check digit must be right and the text speak of such numbers: the result of a sum may look like one.
    """
    named = _NAMED.search(text) is not None
    for found in _RESIDENT.finditer(text):
        year, month, day, hyphen, sex, rest = found.groups()
        born = _date((1900 if sex in "1256" else 2000) + int(year), int(month), int(day))
        if born and (hyphen or (named and has_check_digit(year + month + day + sex + rest))):
            yield "resident_number", found.start(), found.end()


def has_check_digit(number: str) -> bool:
    """Whether the 13th digit fits the first twelve: 11 − (Σ digit × weight mod 11), of a foreigner's number 13 −, mod 10.

    900101-1234568: 9·2 + 0·3 + 0·4 + 1·5 + 0·6 + 1·7 + 1·8 + 2·9 + 3·2 + 4·3 + 5·4 + 6·5 = 124, 124 mod 11 = 3, 11 − 3 = 8.
    """
    total = sum(int(digit) * weight for digit, weight in zip(number, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), strict=False))
    return ((13 if number[6] in "5678" else 11) - total % 11) % 10 == int(number[12])


def _date(year: int, month: int, day: int) -> datetime.date | None:
    try:
        return datetime.date(year, month, day)
    except ValueError:
        return None


_FINDERS = {"email": _emails, "phone": _phones, "resident_number": _resident_numbers}
