"""RLVR rows as Tülu 3 publishes them: {messages, ground_truth, dataset}; `dataset` names the verifier."""

from __future__ import annotations

import json
from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import name_of, number_text, object_of, text_of
from posttrain.convert.turns import turns_of, with_system
from posttrain.schema import UnreadableRow, check_turns

VERIFIER_OF = {"gsm8k": ("gsm8k", "math"), "math": ("math", "math"), "ifeval": ("ifeval", "precise_if")}
"""Published `dataset` in lower case → verifier and category."""


def convert_rlvr(row: Any) -> list[Draft]:
    """The prompt as published (worked examples included), ending with the user's turn."""
    fields = object_of(row)
    messages = with_system(turns_of(fields.get("messages"), "messages"), fields)
    check_turns(messages, answered=False)
    dataset = text_of(fields, "dataset", "verifier")
    if dataset.lower() not in VERIFIER_OF:
        raise UnreadableRow("unknown_verifier", "dataset", f"{dataset!r}; known: {', '.join(VERIFIER_OF)}")
    verifier, category = VERIFIER_OF[dataset.lower()]
    return [Draft(kind="rlvr", messages=messages, ground_truth=_ground_truth(fields), verifier=verifier, category=category)]


def _ground_truth(row: dict[str, Any]) -> str:
    if name_of(row, "ground_truth") is None:
        raise UnreadableRow("missing_field", "ground_truth")
    value = row["ground_truth"]
    if isinstance(value, list) and len(value) == 1:  # later releases publish a list of one
        value = value[0]
    if isinstance(value, dict):  # the ifeval verifier takes the constraint as JSON
        value = json.dumps(value, ensure_ascii=False, sort_keys=True)
    truth = number_text(value, "ground_truth").strip()
    if not truth:
        raise UnreadableRow("no_final_answer", "ground_truth", "an empty ground truth")
    return truth
