"""Which text of a row counts: the prompt of an eval item, the user turns of a training row.

Both sides go by the same table of prompt fields, so that a published eval file given as training data is found.
"""

from __future__ import annotations

import re
from typing import Any

PROMPT_FIELDS = (
    "prompt", "question", "problem", "instruction", "instructions", "text", "turns", "behavior", "input", "query",
    "messages", "conversations", "q", "c0",
)
"""The first of these that a row has (case ignored) is its prompt; c0 is the first column of a CSV file without header."""

CONTEXT_FIELDS = {"instruction": "input", "instructions": "inputs"}
"""Alpaca's form: the input belongs to the instruction, so both are one text."""

CONVERSATION_FIELDS = ("messages", "conversations", "conversation", "prompt", "chosen", "rejected")
"""Lists of turns, in the order in which they are looked for in a training row; HH-RLHF has transcripts in their place."""

_TRANSCRIPT_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant):(.*?)(?=\n\n(?:Human|Assistant):|\Z)", re.DOTALL)

USER_ROLES = ("user", "human", "prompter")


def eval_texts(item: Any, fields: tuple[str, ...] = ()) -> dict[str, str]:
    """The texts of an eval item that count, by field name; empty where there is none.

    `fields` are separate texts, whose scores are averaged; one that is absent, null or empty is left out, and the
    mean goes over the rest. Without `fields` it is the prompt, by PROMPT_FIELDS.
    """
    if isinstance(item, str):
        return {"text": item} if item.strip() else {}
    if not isinstance(item, dict):
        return {}
    if fields:
        found = {name: text_of(_value(item, name)) for name in fields}
        return {name: text for name, text in found.items() if text}
    for name in PROMPT_FIELDS:
        if text := text_of(_value(item, name)):
            context = text_of(_value(item, CONTEXT_FIELDS[name])) if name in CONTEXT_FIELDS else ""
            return {name: f"{text}\n{context}" if context else text}
    return {}


def user_turns(row: Any) -> list[tuple[int, str]]:
    """The user turns of a training row in any published form, each with its place in the conversation.

    `[(0, text)]` for a row with a plain text or prompt; empty where the row has no text that could be compared.
    """
    if isinstance(row, dict):
        for name in CONVERSATION_FIELDS:
            if turns := _user_turns(_value(row, name)):
                return turns
        history = _value(row, "history")
        asked = [text_of(pair[0]) for pair in history if isinstance(pair, list) and pair] if isinstance(history, list) else []
    else:
        asked = []
    last = next(iter(eval_texts(row).values()), "")
    return [(2 * n, text) for n, text in enumerate([*asked, last]) if text]


def _user_turns(value: Any) -> list[tuple[int, str]]:
    if isinstance(value, str):
        found = [(n, m[2].strip()) for n, m in enumerate(_TRANSCRIPT_TURN.finditer(value)) if m[1] == "Human"]
        return [(n, text) for n, text in found if text]
    if not isinstance(value, list):
        return []
    found = [
        (n, text_of(turn.get("content", turn.get("value"))))
        for n, turn in enumerate(value) if isinstance(turn, dict) and (turn.get("role") or turn.get("from")) in USER_ROLES
    ]
    return [(n, text) for n, text in found if text]


def text_of(value: Any) -> str:
    """The text of a field: a string, a number, a list of texts (one a line), or the user turns of a list of messages."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list):
        turns = [text for _, text in _user_turns(value)]
        parts = turns or [text_of(part.get("text", part.get("value")) if isinstance(part, dict) else part) for part in value]
        return "\n".join(part for part in parts if part)
    return ""


def _value(row: dict[str, Any], name: str) -> Any:
    if name in row:
        return row[name]
    return next((value for key, value in row.items() if isinstance(key, str) and key.lower() == name.lower()), None)
