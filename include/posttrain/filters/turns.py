"""Turns: empty messages, unknown roles, order."""

from __future__ import annotations

import functools

from posttrain import recipe
from posttrain.filters.view import RowView
from posttrain.schema import Message, RLVRExample, UnreadableRow, check_turns


def has_empty_message(row: RowView, settings: recipe.Filter) -> str | None:
    """A turn of any role that is empty after stripping (open-instruct's `should_be_filtered_by_empty_message`)."""
    for n, message in enumerate(row.messages):
        if not message.content or message.content.isspace():
            return f"turn {n} ({message.role}) is empty"
    return None if row.messages else "there is no turn at all"


def has_turn_problem(row: RowView, settings: recipe.Filter, *, reason: str) -> str | None:
    """Roles and alternation by `schema.check_turns`, of every side that is there. `reason` picks the complaint."""
    if row.turn_problem is None:
        row.turn_problem = find_turn_problem(row)
    return row.turn_problem[1] if row.turn_problem[0] == reason else None


def find_turn_problem(row: RowView) -> tuple[str, str]:
    """Reason and detail of the first side with a problem; two empty texts where there is none."""
    answered = not isinstance(row.example, RLVRExample)
    for side in row.sides():
        found = _problem(tuple([m.role for m in side]), answered)
        if found[0]:
            return found
    return "", ""


@functools.lru_cache(maxsize=4096)
def _problem(roles: tuple[str, ...], answered: bool) -> tuple[str, str]:
    """Reason and detail of what `check_turns` says to turns with these roles; there are few different ones."""
    try:
        check_turns(tuple(Message(role, "") for role in roles), answered=answered)
    except UnreadableRow as problem:
        return problem.reason, problem.detail or problem.field
    return "", ""
