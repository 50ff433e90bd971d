"""GSM8K: the last number of the completion, sign kept, must equal the ground truth.

The rule is open-instruct's (v0.3.0) with its fragile cases settled as follows:

    "12.0" against 12, "+7" against 7, "1.5e3" against 1500    equal: numbers are compared as numbers
    "5-3", "range 3-4", "x-3"                                  3, 4, 3: a hyphen after a digit, a letter or ")" is no sign
    "-$10", "−10" (U+2212)                                     -10
    "1,234,567"                                                1234567: a comma before exactly three digits groups
    "1,2"                                                      2: a list of digits is not merged into a number
    "3/4"                                                      3/4; in "2/3/2024" the last number is 2024
    "6개", "1,157,625원"                                       6, 1157625: a suffix does not matter
    "#### 6 …"                                                 the number after the last "####" wins over later numbers
    no number at all                                           the whole answer, compared as text, case ignored

Korean multipliers are not read: "100만" is 100.
"""

from __future__ import annotations

import re
from fractions import Fraction

from posttrain.verifiers.verdict import GroundTruthError, Verdict

_SIGN = r"(?:(?<![\dA-Za-z)])[-+−](?=[$₩€£]?[\d.])[$₩€£]?)?"
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?![\d])|\d+)"
_DECIMAL = rf"(?:{_DIGITS}(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d{{1,3}}(?![\dA-Za-z]))?"
_FRACTION = r"(?<![\d/.])\d+/\d+(?![\d/]|\.\d)"
_NUMBER = re.compile(rf"({_SIGN})({_FRACTION}|{_DECIMAL})")


def verify_gsm8k(completion: str, ground_truth: str) -> Verdict:
    """1 where the final number of the completion equals the ground truth ("1,000" or a solution ending in "#### 1,000")."""
    truth = find_number(ground_truth) or ground_truth.strip()
    if not truth:
        raise GroundTruthError("the ground truth of gsm8k is empty")
    answer = find_number(completion) or completion.strip() or None
    return Verdict(1.0 if answer is not None and _same(answer, truth) else 0.0, answer)


def find_number(text: str) -> str | None:
    """The number after the last "####", else the last number of the text, without commas, currency and plus sign."""
    head, marker, tail = text.rpartition("####")
    line = tail.split("\n", 1)[0] if marker else ""
    found = _NUMBER.search(line) or next(reversed(list(_NUMBER.finditer(text))), None)
    if not found:
        return None
    sign = "-" if found[1][:1] in ("-", "−") else ""
    return sign + found[2].replace(",", "")


def _same(answer: str, truth: str) -> bool:
    try:
        return Fraction(answer) == Fraction(truth)
    except (ValueError, ZeroDivisionError):
        return answer.lower() == truth.lower()
