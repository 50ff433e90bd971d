"""The standard row {id, messages: [{role, content}]}, as Tülu 3 publishes it, and its near relatives."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of
from posttrain.convert.in_columns import Conversations, ids_of, per_value, texts_if_any, turns_of_columns
from posttrain.convert.turns import conversation_of, turns_of
from posttrain.schema import UnreadableRow, check_turns

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,4})?")


def convert_messages(row: Any) -> list[Draft]:
    """`messages` (or `conversation`, `conversations`); content may be a text or a list of parts. The row's id is kept."""
    fields = object_of(row)
    messages = conversation_of(fields, "messages", "conversation", "conversations")
    raw_id = fields.get("id")
    return [Draft(
        messages=messages,
        raw_id=raw_id if isinstance(raw_id, str) and raw_id.strip() else None,
        language=language_of(fields),
    )]


def read_messages(table: pa.Table) -> Conversations:
    """`convert_messages` for the columns of a batch."""
    found = turns_of_columns(table, "messages", "conversation", "conversations")
    codes = [column for name in ("lang", "language") if (column := texts_if_any(table, name)) is not None]
    language = [per_value(column, lambda value: value if _LANGUAGE.fullmatch(value) else None) for column in codes]
    return replace(found, raw_id=ids_of(table), language=pc.coalesce(*language) if language else None)


def convert_arena_answers(row: Any) -> list[Draft]:
    """Arena-Hard's model answers: {uid, model, messages} whose answers stand in an object, {"answer": text}."""
    fields = object_of(row)
    turns = fields.get("messages")
    if not isinstance(turns, list):
        raise UnreadableRow("missing_field" if turns is None else "wrong_type", "messages")
    plain = [_plain(turn, f"messages[{n}]") for n, turn in enumerate(turns)]
    messages = turns_of(plain, "messages")
    check_turns(messages)
    return [Draft(messages=messages)]


def _plain(turn: Any, field: str) -> Any:
    if not (isinstance(turn, dict) and isinstance(turn.get("content"), dict)):
        return turn
    if "answer" not in turn["content"]:
        raise UnreadableRow("missing_field", f"{field}.content.answer")
    return turn | {"content": turn["content"]["answer"]}


def language_of(row: dict[str, Any]) -> str | None:
    """The row's own language code, from `lang` or `language`; names such as "English" are no codes."""
    for name in ("lang", "language"):
        value = row.get(name)
        if isinstance(value, str) and _LANGUAGE.fullmatch(value):
            return value
    return None
