"""PandaLM: two models' responses and three annotators' votes (0 tie, 1, 2) → a pair where two of three agree."""

from __future__ import annotations

from collections import Counter
from typing import Any

from posttrain.convert.alpaca import instruction_of
from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, text_of
from posttrain.convert.preference import pair_draft
from posttrain.convert.turns import question_answer
from posttrain.schema import UnreadableRow

ANNOTATORS = ("annotator1", "annotator2", "annotator3")


def convert_pandalm(row: Any) -> list[Draft]:
    """The response that most annotators prefer is chosen; a tie by majority and a three-way split give no pair."""
    fields = object_of(row)
    prompt = instruction_of(fields)
    sides = [question_answer(prompt, text_of(fields, name)) for name in ("response1", "response2")]
    better = _majority(fields)
    models = str(fields.get("cmp_key") or "").split("_")
    models = models if len(models) == 2 else [None, None]
    chosen, rejected = (0, 1) if better == 1 else (1, 0)
    return [pair_draft(sides[chosen], sides[rejected], models[chosen], models[rejected])]


def _majority(row: dict[str, Any]) -> int:
    votes = [row.get(name) for name in ANNOTATORS]
    for name, vote in zip(ANNOTATORS, votes, strict=True):
        if vote is None:
            raise UnreadableRow("missing_field", name)
        if isinstance(vote, bool) or vote not in (0, 1, 2):
            raise UnreadableRow("wrong_type", name, f"{vote!r} instead of 0, 1 or 2")
    vote, count = Counter(votes).most_common(1)[0]
    if count < 2:
        raise UnreadableRow("no_agreed_label", ANNOTATORS[0], f"votes {votes}")
    if vote == 0:
        raise UnreadableRow("tied_pair", ANNOTATORS[0], f"votes {votes}")
    return int(vote)
