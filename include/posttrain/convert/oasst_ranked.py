"""OASST answers ranked by people: {instruction, input, history, output: [best, …, worst]} → one pair, best over worst."""

from __future__ import annotations

from typing import Any

from posttrain.convert.alpaca import earlier_turns, instruction_of
from posttrain.convert.draft import Draft
from posttrain.convert.fields import as_text, list_of, object_of
from posttrain.convert.preference import pair_draft
from posttrain.schema import Message, UnreadableRow


def convert_oasst_ranked(row: Any) -> list[Draft]:
    """The first answer is chosen, the last one rejected: the widest margin that the ranking gives."""
    fields = object_of(row)
    answers = [as_text(answer, f"output[{n}]") for n, answer in enumerate(list_of(fields, "output"))]
    if len(answers) < 2:
        raise UnreadableRow("missing_field", "output[1]", "a ranking needs two answers")
    prompt = (*earlier_turns(fields), Message("user", instruction_of(fields)))
    chosen, rejected = Message("assistant", answers[0]), Message("assistant", answers[-1])
    return [pair_draft((*prompt, chosen), (*prompt, rejected))]
