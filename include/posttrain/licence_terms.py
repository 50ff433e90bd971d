"""What a licence text asks for, as far as the licence gate needs to know: at mix and again at release.

    non_commercial   the text says so, or the recipe marks the source
    share_alike      what is made from the rows must carry the same licence
    unstated         nobody has said under which licence the rows are

The text is what the recipe or the row states. A part of a text joined by " AND " counts as much as the whole: rows made from
a seed carry the seed's licence and the teacher's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from posttrain.recipe import Mix

Term = Literal["non_commercial", "share_alike", "unstated"]
TERMS: tuple[Term, ...] = get_args(Term)

# "for commercial and non-commercial use" allows both.
_BOTH = re.compile(r"\bcommercial(?:ly)?\s*(?:and|or|&|/|as well as)\s*non[-\s]?commercial(?:ly)?", re.IGNORECASE)
# No \b around the short marks: "CC_BY_NC" is one word to a regular expression.
_NON_COMMERCIAL = re.compile(
    r"(?<![A-Za-z])NC(?![A-Za-z])|non[-\s]?commercial|not?\s+(?:for\s+)?commercial|research(?:\s+use|\s+purposes?)?[-\s]only"
    r"|academic(?:\s+use|\s+purposes?)?[-\s]only|비영리|비상업", re.IGNORECASE)
_SHARE_ALIKE = re.compile(
    r"(?<![A-Za-z])SA(?![A-Za-z])|share[-\s]?alike|(?<![A-Za-z])(?:A|L)?GPL(?![A-Za-z])|(?<![A-Za-z])GFDL|(?<![A-Za-z])ODbL"
    r"|CDLA-Sharing|동일\s*조건", re.IGNORECASE)
_UNSTATED = re.compile(
    r"\s*(?:none|no\s+licen[cs]e|not\s+(?:stated|specified|known|given|available)|unknown|unspecified|unstated|undisclosed|unclear"
    r"|n/?a|null|nan|미상|없음|\?+|-+|–|—)?\s*(?:$|[\s:;,.(])", re.IGNORECASE)


def terms_of(licence: str | None) -> frozenset[Term]:
    """The terms of a licence text: "CC BY-NC-SA 4.0" → non_commercial and share_alike, "none stated" → unstated, "MIT" → none.

    A text that begins with such a word is unstated whatever follows: "unknown (treated as non-commercial)" is both.
    """
    text = _BOTH.sub("commercial", licence or "")
    found: set[Term] = set()
    if _NON_COMMERCIAL.search(text):
        found.add("non_commercial")
    if _SHARE_ALIKE.search(text):
        found.add("share_alike")
    if any(not part.strip() or _begins_unstated(part) for part in text.split(" AND ")):
        found.add("unstated")
    return frozenset(found)


def _begins_unstated(text: str) -> bool:
    match = _UNSTATED.match(text)
    return match is not None and match.group().strip(" \t:;,.(") != ""


def allowed_terms(settings: Mix) -> frozenset[Term]:
    """The terms that the recipe allows."""
    choices: dict[Term, bool] = {"non_commercial": settings.allow_non_commercial, "share_alike": settings.allow_share_alike,
                                 "unstated": settings.allow_unstated}
    return frozenset(term for term, allowed in choices.items() if allowed)


def refused_terms(licence: str | None, *, non_commercial: bool, allowed: frozenset[Term]) -> list[Term]:
    """The terms of a row that the recipe does not allow. `non_commercial`: the recipe marks the row's source."""
    found = terms_of(licence) | ({"non_commercial"} if non_commercial else frozenset())
    return [term for term in TERMS if term in found and term not in allowed]
