"""Stanford Human Preferences: a post of Reddit with two comments of people; the better voted one is preferred."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, text_of
from posttrain.convert.preference import pair_draft
from posttrain.convert.rated_answers import number_of
from posttrain.convert.turns import question_answer
from posttrain.schema import UnreadableRow
from posttrain.section import Section

_NOBODY = re.compile(r"\s*\[(?:deleted|removed)\]\s*|.*\bI am a bot,? and this action\b.*", re.IGNORECASE | re.DOTALL)
"""What stands in the place of a person's comment: the mark of a deleted one, or the signature of Reddit's moderating bot."""


class ShpOptions(Section):
    """How clear a preference has to be."""

    min_ratio: float = Field(default=1.0, ge=1, description="least ratio of the two scores; the card names 2 as an example")


def convert_shp(row: Any, options: ShpOptions = ShpOptions()) -> list[Draft]:  # noqa: B008 (frozen)
    """{history, human_ref_A, human_ref_B, labels, score_A, score_B, score_ratio, domain}; `labels` 1: A is preferred, 0: B.

    Only comments of people count: deleted ones and those of bots give no pair. The label is the higher score by definition: a
    row where the two say the opposite is wrong in one of them, and refused. The domain is kept as a tag.
    """
    fields = object_of(row)
    prompt = text_of(fields, "history")
    answers = {side: text_of(fields, f"human_ref_{side}") for side in "AB"}
    for side, answer in answers.items():
        if _NOBODY.fullmatch(answer):
            raise UnreadableRow("not_human_answer", f"human_ref_{side}", answer.strip()[:80])
    label = fields.get("labels")
    if isinstance(label, bool) or label not in (0, 1):
        raise UnreadableRow("missing_field" if label is None else "wrong_type", "labels", f"{label!r} instead of 0 or 1")
    _check_scores(fields, label, options)
    chosen, rejected = ("A", "B") if label == 1 else ("B", "A")
    pair = pair_draft(question_answer(prompt, answers[chosen]), question_answer(prompt, answers[rejected]))
    domain = fields.get("domain")
    return [Draft(kind="preference", prompt=pair.prompt, chosen=pair.chosen, rejected=pair.rejected,
                  tags=(domain,) if isinstance(domain, str) and domain else ())]


def _check_scores(row: dict[str, Any], label: int, options: ShpOptions) -> None:
    """Refuse a tie, a ratio below the option, and scores that say the opposite of the label."""
    scores = [number_of(row[name], name) if row.get(name) is not None else None for name in ("score_A", "score_B")]
    a, b = scores
    if a is not None and a == b:
        raise UnreadableRow("tied_pair", "score_B", f"both have {a:g}")
    if a is not None and b is not None and (a > b) != (label == 1):
        raise UnreadableRow("rating_contradicts_order", "labels", f"{label}, but the scores are {a:g} (A) and {b:g} (B)")
    if options.min_ratio > 1:
        ratio = number_of(row["score_ratio"], "score_ratio") if row.get("score_ratio") is not None else _ratio(a, b)
        if ratio < options.min_ratio:
            raise UnreadableRow("margin_too_small", "score_ratio", f"{ratio:g}, {options.min_ratio:g} wanted")


def _ratio(a: float | None, b: float | None) -> float:
    if a is None or b is None:
        raise UnreadableRow("missing_field", "score_ratio")
    high, low = max(a, b), min(a, b)
    return high / low if low > 0 else float("inf")
