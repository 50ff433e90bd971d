"""KTO: a conversation (or prompt and completion, or Alpaca's columns) with a label; only one side of a pair is known."""

from __future__ import annotations

from typing import Any

from posttrain.convert.alpaca import convert_alpaca
from posttrain.convert.draft import Draft
from posttrain.convert.fields import name_of, object_of, text_of
from posttrain.convert.turns import conversation_of, turns_of
from posttrain.schema import Message, UnreadableRow, check_turns


def convert_kto(row: Any) -> list[Draft]:
    """{messages, label}, {prompt, completion, label} or {instruction, input, output, kto_tag}: true is a chosen answer, false a
    rejected one.

    Prompt and completion are texts or lists of turns. LLaMA-Factory's name of the label is `kto_tag`.
    """
    fields = object_of(row)
    name = name_of(fields, "label", "kto_tag") or "label"
    label = fields.get(name)
    if not isinstance(label, bool):
        reason = "missing_field" if label is None else "wrong_type"
        raise UnreadableRow(reason, name, f"{label!r} instead of true or false")
    if "instruction" in fields and name_of(fields, "messages", "conversations") is None:
        turns = convert_alpaca(fields)[0].messages
    elif "completion" in fields and "messages" not in fields:
        turns = _part(fields, "prompt", "user") + _part(fields, "completion", "assistant")
        check_turns(turns)
    else:
        turns = conversation_of(fields, "messages", "conversations")
    prompt = next(m.content for m in turns if m.role == "user")
    return [Draft(kind="preference", prompt=prompt, chosen=turns if label else (), rejected=() if label else turns)]


def _part(row: dict[str, Any], name: str, role: str) -> tuple[Message, ...]:
    return turns_of(row[name], name) if isinstance(row.get(name), list) else (Message(role, text_of(row, name)),)
