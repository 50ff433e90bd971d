"""Conversations that users had with chat models: WildChat and LMSYS-Chat-1M.

Which model answered, and whether a conversation is toxic or redacted, stand in columns of the row; a recipe's `where`
selects by them, e.g. `{model: gpt-4*, toxic: false, redacted: false}`.
"""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, optional_text
from posttrain.convert.languages import language_code
from posttrain.convert.turns import answered_conversation_of


def convert_wildchat(row: Any) -> list[Draft]:
    """{conversation_hash or conversation_id, model, conversation: [{role, content, …}], language: "English"}.

    The language's name becomes its code; the id is kept. Tags: the model, and `toxic` and `redacted` where they are true. A
    question without an answer at the end goes, with a note.
    """
    fields = object_of(row)
    messages, note = answered_conversation_of(fields, "conversation")
    return [Draft(messages=messages, raw_id=optional_text(fields, "conversation_hash", "conversation_id"),
                  language=language_code(optional_text(fields, "language") or ""), tags=_tags(fields), note=note)]


def _tags(row: dict[str, Any]) -> tuple[str, ...]:
    model = optional_text(row, "model")
    return (*([model] if model else []), *(name for name in ("toxic", "redacted") if row.get(name) is True))
