"""WebInstruct: {question, answer, source, …}, questions and answers found on the web."""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, optional_text, text_of
from posttrain.convert.turns import question_answer

STACK_EXCHANGE = {"stackexchange": "CC-BY-SA-4.0", "mathstackexchange": "CC-BY-SA-4.0"}
"""Licence of what users of Stack Exchange write; the rest (`socratic`) has the licence that the source states."""


def convert_web_instruct(row: Any) -> list[Draft]:
    """Question and answer; rows from Stack Exchange keep that site's licence."""
    fields = object_of(row)
    return [Draft(messages=question_answer(text_of(fields, "question"), text_of(fields, "answer")),
                  license=STACK_EXCHANGE.get(optional_text(fields, "source") or ""))]
