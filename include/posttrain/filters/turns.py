"""Turns: empty messages, unknown roles, order."""

from __future__ import annotations

from posttrain import recipe
from posttrain.schema import Example, PreferencePair, RLVRExample, UnreadableRow, all_messages, check_turns


def has_empty_message(example: Example, settings: recipe.Filter) -> str | None:
    if not settings.empty:
        return None
    messages = all_messages(example)
    if not messages:
        return "there is no turn at all"
    empty = next((n for n, m in enumerate(messages) if not (m.content or "").strip()), None)
    return None if empty is None else f"turn {empty} ({messages[empty].role}) is empty"


def has_turn_problem(example: Example, settings: recipe.Filter, *, reason: str) -> str | None:
    """Roles and alternation by `schema.check_turns`, of every side that is there. `reason` picks the complaint."""
    sides = [example.chosen, example.rejected] if isinstance(example, PreferencePair) else [example.messages]
    for messages in sides:
        if messages or not isinstance(example, PreferencePair):
            try:
                check_turns(messages, answered=not isinstance(example, RLVRExample))
            except UnreadableRow as problem:
                return (problem.detail or problem.field) if problem.reason == reason else None
    return None
