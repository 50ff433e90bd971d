"""The numbers of a text: what a paraphrase keeps and another exercise does not.

    "He pays $1,200 for three dozen, a third of 3,600."      1200 36 1/3 3600
    "두 수의 합이 10이고 3분의 2가 1만 5천이다"                    2 10 2/3 15000

Digits with thousands separators and decimals, fractions (2/3, ½, \\frac{2}{3}, two-thirds, 3분의 2), English number words
(twenty-five, two hundred, half, twice; three dozen is 36, half an hour 30), Korean ones before a counter and digits before
만, 억. A unit or a percent sign is not part of a number: "50 %", "50 percent" and "$50" hold 50. "one" is left out, which is
mostly a pronoun.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

LONGEST = 24
"""Digits of a number. What is longer is a key or data, not a quantity."""

Element = tuple[float, int]
"""A value, and for the how many-th time it stands in the text: a multiset as a set."""

_UNITS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19,
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}
_MULTIPLES = {"twice": 2, "double": 2, "doubled": 2, "doubles": 2, "thrice": 3, "triple": 3, "tripled": 3, "triples": 3,
              "quadruple": 4, "dozen": 12, "dozens": 12, "half": 0.5, "halves": 0.5, "quarter": 0.25}
_POWERS = {"dozen": 12, "hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_PARTS = {name: n for n, names in {2: "half halves", 3: "third thirds", 4: "quarter quarters fourth fourths", 5: "fifth fifths",
                                   6: "sixth sixths", 7: "seventh sevenths", 8: "eighth eighths", 9: "ninth ninths",
                                   10: "tenth tenths"}.items() for name in names.split()}
_KOREAN_NATIVE = {"두": 2, "세": 3, "네": 4, "다섯": 5, "여섯": 6, "일곱": 7, "여덟": 8, "아홉": 9, "열": 10, "스무": 20}
_KOREAN_POWERS = {"천": 1_000, "만": 10_000, "억": 100_000_000, "조": 1_000_000_000_000}
_COUNTERS = "수|정수|자연수|실수|개|명|마리|배|번|살|시간|시|권|병|대|장|송이|자루|사람|가지|달|주|줄|쌍|점|변|각|자리"


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_NUMBER = re.compile(rf"""
    \\[dt]?frac\s*\{{?(?P<top>\d+)\}}?\s*\{{?(?P<bottom>\d+)\}}?
  | (?P<bottom_ko>\d+)\s*분의\s*(?P<top_ko>\d+)
  | (?<![\w./])(?P<numerator>\d+)\s*/\s*(?P<denominator>\d+)(?![\d/])
  | (?<![a-z_])(?P<digits>\d{{1,3}}(?:(?:,|\{{,\}})\d{{3}})+(?!\d)(?:\.\d+)?|\d*\.?\d+)
    (?:\s*(?P<power_ko>{_any(_KOREAN_POWERS)})(?:\s*(?P<thousands_ko>\d+)\s*천)?|\s+(?P<power>{_any(_POWERS)})s?\b)?
  | \b(?P<half_hour>half(?:\s+an|-)\s*hour)\b
  | \b(?P<count>one|{_any(_UNITS)})
    (?:[\s-]+(?P<ones>one|two|three|four|five|six|seven|eight|nine)\b(?![\s-]+(?:{_any(_PARTS)})\b))?
    (?:[\s-]+(?P<times>{_any(_POWERS)})\b)?(?:[\s-]+(?P<part>{_any(_PARTS)})\b)?
  | \ba\s+(?P<one_part>{_any(_PARTS.keys() - _MULTIPLES.keys())})\b
  | \b(?P<multiple>{_any(_MULTIPLES)})\b
  | (?<![가-힣])(?P<native>{_any(_KOREAN_NATIVE)})(?=\s?(?:{_COUNTERS}))
  | (?P<half_ko>절반)
""", re.VERBOSE)


def numbers(text: str) -> list[float]:
    """The numbers of a text in order. A plain float is exact enough: equal spellings give equal floats."""
    folded = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).replace("\u2044", "/").lower()
    return [value for match in _NUMBER.finditer(folded) if (value := _value(match)) is not None]


def _value(match: re.Match[str]) -> float | None:
    found = {name: value for name, value in match.groupdict().items() if value is not None}
    if any(len(value) > LONGEST for value in found.values()):
        return None
    for top, bottom in (("top", "bottom"), ("top_ko", "bottom_ko"), ("numerator", "denominator")):
        if top in found:
            return float(found[top]) / float(found[bottom]) if float(found[bottom]) else None
    if "digits" in found:
        value = float(found["digits"].replace("{,}", "").replace(",", ""))
        value *= _POWERS.get(found.get("power", ""), 1) * _KOREAN_POWERS.get(found.get("power_ko", ""), 1)
        return value + 1_000 * float(found.get("thousands_ko", 0))
    if "count" in found:
        return _spelled(found)
    if "half_hour" in found:
        return 30.0
    if "one_part" in found:
        return 1 / _PARTS[found["one_part"]]
    if "multiple" in found:
        return float(_MULTIPLES[found["multiple"]])
    return float(_KOREAN_NATIVE[found["native"]]) if "native" in found else 0.5


def _spelled(found: dict[str, str]) -> float | None:
    """"twenty-five", "two thousand", "three quarters"; None for a bare "one"."""
    if found["count"] == "one" and len(found) == 1:
        return None
    value = float({"one": 1, **_UNITS}[found["count"]]) + {"one": 1, **_UNITS}.get(found.get("ones", ""), 0)
    return value * _POWERS.get(found.get("times", ""), 1) / _PARTS.get(found.get("part", ""), 1)


def elements(text: str) -> list[Element]:
    """The numbers as a multiset: (5.0, 0), (5.0, 1) where 5 stands twice."""
    seen: dict[float, int] = {}
    found = []
    for value in numbers(text):
        found.append((value, seen.get(value, 0)))
        seen[value] = found[-1][1] + 1
    return found
