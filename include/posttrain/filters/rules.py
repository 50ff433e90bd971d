"""The table of rules in the order of application, and the first rule that speaks against a row."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from posttrain import recipe
from posttrain.filters.keywords import names_another_assistant
from posttrain.filters.length import is_too_long, is_too_short
from posttrain.filters.simple import is_too_simple
from posttrain.filters.tokens import has_special_token
from posttrain.filters.turns import has_empty_message, has_turn_problem
from posttrain.schema import Example

Rule = Callable[[Example, recipe.Filter], str | None]
"""Looks at one example; returns what is wrong with it, or None."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Why one example is dropped: the rule, its reason (a key of schema.REASONS) and what was found."""

    rule: str
    reason: str
    detail: str


RULES: tuple[tuple[str, str, Rule], ...] = (
    ("keywords", "names_another_assistant", names_another_assistant),
    ("empty", "empty_message", has_empty_message),
    ("roles", "unknown_role", functools.partial(has_turn_problem, reason="unknown_role")),
    ("user_turn", "no_user_turn", functools.partial(has_turn_problem, reason="no_user_turn")),
    ("assistant_turn", "no_assistant_turn", functools.partial(has_turn_problem, reason="no_assistant_turn")),
    ("alternation", "roles_do_not_alternate", functools.partial(has_turn_problem, reason="roles_do_not_alternate")),
    ("too_simple", "too_simple", is_too_simple),
    ("special_tokens", "special_token", has_special_token),
    ("min_words", "too_short", is_too_short),
    ("max_words", "too_long", is_too_long),
)
"""(name, reason, rule) in the order of application; exact duplicates come last."""


def check_example(example: Example, settings: recipe.Filter) -> Drop | None:
    """The first rule that speaks against one example; duplicates are not looked at."""
    for name, reason, rule in RULES:
        detail = rule(example, settings)
        if detail is not None:
            return Drop(name, reason, detail)
    return None
