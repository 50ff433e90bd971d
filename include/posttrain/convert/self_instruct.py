"""Self-Instruct tasks: {instruction, instances: [{input, output}]} → one conversation an instance."""

from __future__ import annotations

from typing import Any

from posttrain.convert.alpaca import instruction_of
from posttrain.convert.draft import Draft
from posttrain.convert.fields import list_of, object_of, text_of
from posttrain.convert.turns import question_answer
from posttrain.schema import UnreadableRow


def convert_self_instruct(row: Any) -> list[Draft]:
    """Instruction and input of every instance, answered by its output."""
    fields = object_of(row)
    instances = list_of(fields, "instances")
    if not instances:
        raise UnreadableRow("no_assistant_turn", "instances", "the task has no instance")
    drafts = []
    for n, instance in enumerate(instances):
        if not isinstance(instance, dict):
            raise UnreadableRow("wrong_type", f"instances[{n}]", f"{type(instance).__name__} instead of an object")
        question = instruction_of({"instruction": fields.get("instruction"), "input": instance.get("input")})
        drafts.append(Draft(messages=question_answer(question, text_of(instance, "output"))))
    return drafts
