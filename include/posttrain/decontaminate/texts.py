"""Which text of a row counts: the prompt of an eval item, the user turns of a training row.

Both sides go by the same table of prompt fields, so that a published eval file given as training data is found.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

PROMPT_FIELDS = (
    "prompt", "question", "problem", "instruction", "instructions", "text", "turns", "behavior", "input", "query",
    "messages", "conversations", "q", "c0",
)
"""The first of these that a row has (case ignored) is its prompt; c0 is the first column of a CSV file without header."""

CONTEXT_FIELDS = {"instruction": ("input", "instances"), "instructions": ("inputs",)}
"""Alpaca's and Self-Instruct's form: the input belongs to the instruction, so both are one text."""

CONVERSATION_FIELDS = ("messages", "conversations", "conversation", "prompt", "chosen", "rejected")
"""Lists of turns, in the order in which they are looked for in a training row; HH-RLHF has transcripts in their place."""

ANSWER_FIELDS = ("completion", "answer", "response", "output", "solution")
"""What stands beside a prompt as its answer, where every turn is compared."""

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
    known = _keys_of(tuple(item))
    for name in PROMPT_FIELDS:
        if name in known and (text := text_of(item[known[name]])):
            return {name: "\n".join([text, *_contexts(item, name)])}
    return {}


def _contexts(item: dict[str, Any], name: str) -> list[str]:
    """What belongs to the prompt of this name: the input, or that of Self-Instruct's first instance."""
    found = [_value(item, field) for field in CONTEXT_FIELDS.get(name, ())]
    inputs = [_value(value[0], "input") if isinstance(value, list) and value and isinstance(value[0], dict) else value
              for value in found]
    return [text for value in inputs if (text := text_of(value))]


def user_turns(row: Any) -> list[tuple[int, str]]:
    """The user turns of a training row in any published form, each with its place in the conversation.

    `[(0, text)]` for a row with a plain text or prompt; empty where the row has no text that could be compared.
    """
    return turns_of_row(row, USER_ROLES)


def turns_of_row(row: Any, roles: tuple[str, ...] | None) -> list[tuple[int, str]]:
    """The turns of these roles; None is every turn, with the answer of a row that is a prompt and its answer.

    A row in no known form is compared by all texts that it holds, as one turn: what cannot be told apart must not slip through.
    """
    if isinstance(row, dict):
        known = _keys_of(tuple(row))
        for name in CONVERSATION_FIELDS:
            if name in known and (turns := _turns_of(row[known[name]], roles)):
                return turns
        tree = enumerate(_tree(_value(row, "prompt")))
        if turns := [(n, text) for n, (role, text) in tree if text and (roles is None or role in roles)]:
            return turns
        history = _value(row, "history")
        pairs = [pair for pair in history if isinstance(pair, list) and pair] if isinstance(history, list) else []
    else:
        pairs = []
    before = [(2 * n + k, text_of(part)) for n, pair in enumerate(pairs) for k, part in enumerate(pair[:1 if roles else 2])]
    last = [(2 * len(pairs), next(iter(eval_texts(row).values()), ""))]
    if roles is None and isinstance(row, dict):
        last += [(2 * len(pairs) + 1, text_of(_value(row, name))) for name in ANSWER_FIELDS]
    found = [(place, text) for place, text in [*before, *last] if text]
    everything = "" if found else "\n".join(_all_texts(row))
    return [(0, everything)] if everything else found


def _tree(node: Any) -> Iterator[tuple[Any, str]]:
    """(role, text) of the messages of an Open Assistant tree, {text, role, replies: [the same]}: each before its replies."""
    waiting = [node] if isinstance(node, dict) and "text" in node else []
    while waiting:
        own = waiting.pop()
        yield own.get("role"), text_of(own.get("text"))
        replies = own.get("replies")
        waiting += [reply for reply in reversed(replies if isinstance(replies, list) else []) if isinstance(reply, dict)]


def _turns_of(value: Any, roles: tuple[str, ...] | None) -> list[tuple[int, str]]:
    if isinstance(value, str):
        if "Human:" not in value:
            return []
        turns = [(n, m[2].strip()) for n, m in enumerate(_TRANSCRIPT_TURN.finditer(value)) if m[1] == "Human" or not roles]
        return [(n, text) for n, text in turns if text]
    if not isinstance(value, list):
        return []
    found = [
        (n, text_of(turn.get("content", turn.get("value")))) for n, turn in enumerate(value)
        if isinstance(turn, dict) and (role := turn.get("role") or turn.get("from")) and (roles is None or role in roles)
    ]
    return [(n, text) for n, text in found if text]


def _all_texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value.strip()] if value.strip() else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in inner for text in _all_texts(part)]


def text_of(value: Any) -> str:
    """The text of a field: a string, a number, a list of texts (one a line), or the user turns of a list of messages."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list):
        turns = [text for _, text in _turns_of(value, USER_ROLES)]
        parts = turns or [text_of(part.get("text", part.get("value")) if isinstance(part, dict) else part) for part in value]
        return "\n".join(part for part in parts if part)
    return ""


def _value(row: dict[str, Any], name: str) -> Any:
    return row[name] if name in row else row.get(_keys_of(tuple(row)).get(name.lower()))


@functools.lru_cache(maxsize=1024)
def _keys_of(keys: tuple[Any, ...]) -> dict[str, Any]:
    """Name in small letters → the key of a row that has these keys; a key that is written so goes before one with capitals."""
    named = [key for key in keys if isinstance(key, str)]
    return {key.lower(): key for key in reversed(named)} | {key: key for key in named if key == key.lower()}
