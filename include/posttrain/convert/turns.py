"""Turns of a conversation from the spellings of published data: role names, key names, content as parts."""

from __future__ import annotations

from typing import Any

from posttrain.convert.fields import as_text, optional_text
from posttrain.schema import Message, UnreadableRow, check_turns

ROLE_ALIASES = {
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant", "bard": "assistant",
    "model": "assistant", "bot": "assistant",
    "system": "system", "developer": "system",
}
TOOL_ROLES = frozenset({
    "tool", "tools", "function", "tool_call", "tool_calls", "function_call", "observation", "tool_response", "ipython",
    "environment",
})
TOOL_PARTS = frozenset({"tool_call", "tool_calls", "tool_use", "tool_result", "function_call"})


def turns_of(value: Any, field: str) -> tuple[Message, ...]:
    """The turns of a list of {role, content} or {from, value}. Raises with the reason; does not check alternation."""
    if value is None:
        raise UnreadableRow("missing_field", field)
    if not isinstance(value, list):
        raise UnreadableRow("wrong_type", field, f"{type(value).__name__} instead of a list of turns")
    _refuse_tools(value, field)
    if value and all(isinstance(turn, str) for turn in value):  # LIMA: texts, the user first
        return tuple(Message(("user", "assistant")[n % 2], text) for n, text in enumerate(value))
    return tuple(_plain_turn(turn) or _turn(turn, f"{field}[{n}]") for n, turn in enumerate(value))


def conversation_of(row: dict[str, Any], *fields: str) -> tuple[Message, ...]:
    """The checked conversation under the first field that the row has, after the row's `system` text if it has one."""
    messages = _unchecked(row, fields)
    check_turns(messages)
    return messages


def answered_conversation_of(row: dict[str, Any], *fields: str) -> tuple[tuple[Message, ...], str | None]:
    """As `conversation_of`, without a question at the end that nobody answered; and the note that says so."""
    messages, note = without_open_question(_unchecked(row, fields))
    check_turns(messages)
    return messages, note


def without_open_question(messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], str | None]:
    """The turns up to the last answer. A conversation that has no answer at all is left as it is."""
    if len(messages) > 2 and messages[-1].role == "user" and messages[-2].role == "assistant":
        return messages[:-1], f"the last question has no answer and was left out: {messages[-1].content[:80]!r}"
    return messages, None


def differing_prompt(prompt: str | None, messages: tuple[Message, ...]) -> str | None:
    """A note where the text of a row's `prompt` column is not its first user turn, which is what is learnt."""
    first = next(m.content for m in messages if m.role == "user")
    if prompt is None or prompt.strip() == first.strip():
        return None
    return f"prompt is not the first user message: {prompt[:80]!r} and {first[:80]!r}"


def _unchecked(row: dict[str, Any], fields: tuple[str, ...]) -> tuple[Message, ...]:
    field = next((name for name in fields if row.get(name) is not None), fields[0])
    return with_system(turns_of(row.get(field), field), row)


def with_system(messages: tuple[Message, ...], row: dict[str, Any]) -> tuple[Message, ...]:
    """The turns after the system text of the row's `system` column, where it has one and the turns have none."""
    system = optional_text(row, "system")
    if system and system.strip() and not (messages and messages[0].role == "system"):
        return (Message("system", system), *messages)
    return messages


def question_answer(question: str, answer: str) -> tuple[Message, ...]:
    return (Message("user", question), Message("assistant", answer))


def _role(turn: dict[str, Any]) -> Any:
    role = turn.get("role")
    return role if role is not None else turn.get("from")


def _refuse_tools(turns: list[Any], field: str) -> None:
    """Tool calls are looked for first: a row that has them is refused for that, whatever else is wrong with it."""
    for n, turn in enumerate(turns):
        if not isinstance(turn, dict):
            continue
        role = _role(turn)
        called = turn.get("tool_calls") or turn.get("function_call") or _has_tool_parts(turn.get("content"))
        if called or (isinstance(role, str) and role.lower() in TOOL_ROLES):
            raise UnreadableRow("tool_call_turns", f"{field}[{n}]", str(role))


def _has_tool_parts(content: Any) -> bool:
    if not isinstance(content, list):
        return False
    types = (part.get("type") for part in content if isinstance(part, dict))
    return any(isinstance(name, str) and name in TOOL_PARTS for name in types)


def _plain_turn(turn: Any) -> Message | None:
    """The turn if nothing is wrong with it and its content is a text, as nearly always; else None."""
    if not isinstance(turn, dict):
        return None
    role = _role(turn)
    content = turn["content"] if "content" in turn else turn.get("value")
    known = ROLE_ALIASES.get(role.lower()) if isinstance(role, str) else None
    return Message(known, content) if known is not None and isinstance(content, str) else None


def _turn(turn: Any, field: str) -> Message:
    if not isinstance(turn, dict):
        raise UnreadableRow("wrong_type", field, f"{type(turn).__name__} instead of an object")
    role = _role(turn)
    if role is None:
        raise UnreadableRow("missing_field", f"{field}.role")
    known = ROLE_ALIASES.get(role.lower()) if isinstance(role, str) else None
    if known is None:
        raise UnreadableRow("unknown_role", f"{field}.role", repr(role))
    name = "content" if "content" in turn else "value"
    return Message(known, _content(turn.get(name), f"{field}.{name}"))


def _content(value: Any, field: str) -> str:
    """A text, or a list of parts {type, text or value}; reasoning parts are kept in think tags before the answer."""
    if value is None:
        raise UnreadableRow("missing_field", field, "null")
    if not isinstance(value, list):
        return as_text(value, field)
    texts = []
    for n, part in enumerate(value):
        where = f"{field}[{n}]"
        if not isinstance(part, dict):
            raise UnreadableRow("wrong_type", where, f"{type(part).__name__} instead of an object")
        text = as_text(part.get("text") if part.get("text") is not None else part.get("value"), where)
        if part.get("type") == "reasoning":
            text = f"<think>\n{text}\n</think>\n\n"
        elif part.get("type") != "text":
            raise UnreadableRow("wrong_type", f"{where}.type", repr(part.get("type")))
        texts.append(text)
    return "".join(texts)
