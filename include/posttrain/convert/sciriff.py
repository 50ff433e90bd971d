"""SciRIFF: {dataset, id, messages} of the training mix, or {id, input, output} of the tasks themselves."""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, optional_text, text_of
from posttrain.convert.messages import convert_messages
from posttrain.convert.turns import question_answer


def convert_sciriff(row: Any) -> list[Draft]:
    """The conversation, or the task and its answer, under its own id."""
    fields = object_of(row)
    if fields.get("messages") is not None or "input" not in fields:
        return convert_messages(fields)
    messages = question_answer(text_of(fields, "input"), text_of(fields, "output"))
    return [Draft(messages=messages, raw_id=optional_text(fields, "id"))]
