"""KTO: a conversation (or prompt and completion) with a label; only one side of a pair is known."""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, text_of
from posttrain.convert.turns import conversation_of, question_answer
from posttrain.schema import UnreadableRow


def convert_kto(row: Any) -> list[Draft]:
    """{messages, label} or {prompt, completion, label}: true is a chosen answer, false a rejected one."""
    fields = object_of(row)
    label = fields.get("label")
    if not isinstance(label, bool):
        reason = "missing_field" if label is None else "wrong_type"
        raise UnreadableRow(reason, "label", f"{label!r} instead of true or false")
    if "completion" in fields and "messages" not in fields:
        turns = question_answer(text_of(fields, "prompt"), text_of(fields, "completion"))
    else:
        turns = conversation_of(fields, "messages", "conversations")
    prompt = next(m.content for m in turns if m.role == "user")
    return [Draft(kind="preference", prompt=prompt, chosen=turns if label else (), rejected=() if label else turns)]
