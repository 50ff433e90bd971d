"""The numbers of a text, and how far those of two texts agree: what a paraphrase keeps and another exercise does not.

    "He pays $1,200 for three dozen, a third of 3,600."      1200 36 1/3 3600
    "두 수의 합이 10이고 3분의 2가 1만 5천이다"                    2 10 2/3 15000

Digits with thousands separators and decimals, fractions (2/3, ½, \\frac{2}{3}, two-thirds, 3분의 2), English number words
(twenty-five, two hundred, half, twice; three dozen is 36, half an hour 30), Korean ones before a counter and digits before
만, 억. A unit or a percent sign is not part of a number: "50 %", "50 percent" and "$50" hold 50. "one" is left out, which is
mostly a pronoun.

    agreement(x, y) = W(x ∩ y) / (W(x ∪ y) + 2)        of multisets; W adds up w(v) of their numbers
    w(v) = ln(1 + (PRIOR + N) / (1 + df(v)))           N eval texts have a number, df(v) of them have v

so that 2 and 2 agree less than 11,600 and 11,600 do, and a single common number does not say much.

    reworded(x, y) = (wording + agreement) / 2         where the agreement is at least MIN_AGREEMENT, else 0

`wording` is the TF-IDF cosine without numbers and single letters (similarity.py).

Measured on an index of 33 eval sets: 157 paraphrases of GSM8K test questions by llm-decontaminator, against the 7,473 real
questions of GSM8K train. From .50 on it finds 98 % of the paraphrases and flags 18 rows, from .54 on 95 % and 7; the TF-IDF
cosine from .6 on finds 58 % and flags 41.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from posttrain.decontaminate import similarity
from posttrain.decontaminate.sparse_join import Kind, Nominating, Side, nominating, postings_of, scores_of, similar_pairs
from posttrain.decontaminate.word_counts import turn_counts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from posttrain.decontaminate.coverage import Match
    from posttrain.decontaminate.index import EvalIndex
    from posttrain.decontaminate.sparse_join import Floats, Ints

MIN_AGREEMENT = 0.45
"""Below it two texts hold other numbers: another exercise, whatever its wording."""

DAMPING = 2.0
"""What agreement divides by besides the numbers' own weight. w is about 1.5 for the most common number of a real index."""

PRIOR = 100
"""Texts that the index is thought to have besides: in an index of a few items, too, 24 is rarer than "every text has it" says."""

LONGEST = 24
"""Digits of a number. What is longer is a key or data, not a quantity."""

Element = tuple[float, int]
"""A value, and for the how many-th time it stands in the text: a multiset as a set."""


# ---------------------------------------------------------------- the numbers of a text

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


# ---------------------------------------------------------------- agreement with the texts of an index


@dataclass(frozen=True, eq=False)
class IndexNumbers:
    """The numbers of the eval texts. A text's row has a column for each of its elements, those of rare values first."""

    column: dict[Element, int]
    weight: dict[float, float]
    weight_of_unknown: float
    texts: Side
    postings: Nominating


@functools.lru_cache(maxsize=1)
def index_numbers(index: EvalIndex) -> IndexNumbers:
    """Made from the index's texts once a process."""
    own = [elements(text) for text in index.text.to_pylist()]
    df: dict[float, int] = {}
    for value, place in chain.from_iterable(own):
        df[value] = df.get(value, 0) + (place == 0)
    texts = sum(1 for found in own if found)
    weight = {value: float(np.log(1 + (PRIOR + texts) / (1 + count))) for value, count in df.items()}
    unknown = float(np.log(1 + PRIOR + texts))
    column = {element: n for n, element in enumerate(
        sorted({element for found in own for element in found}, key=lambda element: (df[element[0]], element)))}
    side = _side(own, column, weight, unknown)
    return IndexNumbers(column, weight, unknown, side, postings_of(nominating(side, AGREEMENT.depth * _need(side), AGREEMENT)))


def _side(texts: list[list[Element]], column: dict[Element, int], weight: dict[float, float], unknown: float) -> Side:
    from scipy.sparse import csr_matrix

    columns = [sorted(column[element] for element in found if element in column) for found in texts]
    pointers = np.concatenate([[0], np.cumsum([len(found) for found in columns])]).astype(np.int64)
    flat = np.fromiter(chain.from_iterable(columns), np.int32)
    by_column = np.zeros(len(column))
    for (value, _), n in column.items():
        by_column[n] = weight[value]
    size = np.array([sum(weight.get(value, unknown) for value, _ in found) for found in texts], np.float64)
    mass = by_column[flat]
    return Side(csr_matrix((np.sqrt(mass), flat, pointers), shape=(len(texts), len(column))), mass, size)


def _damped(shared: Floats, turn: Floats, text: Floats) -> Floats:
    return shared / (turn + text - shared + DAMPING)


def _need(side: Side) -> Floats:
    return MIN_AGREEMENT * (side.size + DAMPING)


AGREEMENT = Kind(_damped, np.positive, depth=0.7)


def turn_numbers(index: EvalIndex, turns: list[str]) -> Side:
    """The numbers of the turns, weighted as the index says."""
    about = index_numbers(index)
    return _side([elements(turn) for turn in turns], about.column, about.weight, about.weight_of_unknown)


def agreements(index: EvalIndex, turns: list[str], turn: Ints, text: Ints) -> Floats:
    """The agreement of each given pair (turn, number of an eval text); 0 where one of them has no number."""
    return scores_of(turn_numbers(index, turns), index_numbers(index).texts, turn, text, AGREEMENT)


def reworded(index: EvalIndex, turns: list[str], floor: float) -> list[Match]:
    """Matches by `reworded`: texts whose numbers agree and whose words are similar."""
    if not turns or not len(index.flat):
        return []
    about, own = index_numbers(index), turn_numbers(index, turns)
    turn, text = similar_pairs(own, about.texts, _need(own), about.postings, AGREEMENT, MIN_AGREEMENT)
    return _reworded(index, turns, own, turn, text, floor)


def number_keys(text: str) -> list[str]:
    """The numbers of an eval text as an index elsewhere can hold them: "5.0#0", "5.0#1" where 5 stands twice."""
    return [_key(element) for element in elements(text)]


def nominating_numbers(index: EvalIndex, turns: list[str]) -> list[list[str]]:
    """For each turn the keys of which an eval text must have one to agree: look them up among `number_keys`."""
    about, own = index_numbers(index), turn_numbers(index, turns)
    chosen, matrix = own.nominating(_need(own)), own.matrix
    keys = [_key(element) for element in about.column]
    return [[keys[column] for column in matrix.indices[begin:end][chosen[begin:end]]]
            for begin, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)]


def score_nominated(index: EvalIndex, turns: list[str], nominated: list[list[int]], floor: float) -> list[Match]:
    """The matches by `reworded` among the eval texts (by number) that were nominated for each turn."""
    turn = np.repeat(np.arange(len(turns)), [len(texts) for texts in nominated])
    return _reworded(index, turns, turn_numbers(index, turns), turn, np.fromiter(chain.from_iterable(nominated), np.int64), floor)


def _key(element: Element) -> str:
    return f"{element[0]!r}#{element[1]}"


def _reworded(index: EvalIndex, turns: list[str], own: Side, turn: Ints, text: Ints, floor: float) -> list[Match]:
    """The items of those pairs that reach the floor."""
    about, counts = index_numbers(index), turn_counts(index, turns)
    words = similarity.side_of(index, "wording", counts)

    def score(turn: Ints, text: Ints) -> Floats:
        agreed = scores_of(own, about.texts, turn, text, AGREEMENT)
        alike = scores_of(words, similarity.texts_of(index, "wording"), turn, text, similarity.KINDS["wording"])
        return np.where(agreed >= MIN_AGREEMENT, np.round((agreed + alike) / 2, 9), 0.0)

    reached = score(turn, text) >= floor
    return similarity.matches_of(index, "reworded", counts, turn[reached], text[reached], score)
