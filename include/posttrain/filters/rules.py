"""The table of rules in the order of application, and what all of them say about one row."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from posttrain import recipe
from posttrain.filters import encoding, keywords, personal, placeholders, refusals, screen, tokens
from posttrain.filters.encoding import has_broken_encoding
from posttrain.filters.keywords import names_another_assistant
from posttrain.filters.language import is_in_another_language
from posttrain.filters.length import is_too_long, is_too_short
from posttrain.filters.personal import holds_personal_data
from posttrain.filters.placeholders import has_placeholder, speaks_as_a_model
from posttrain.filters.prompts import prompt_differs
from posttrain.filters.refusals import refuses
from posttrain.filters.repetition import repeats_itself
from posttrain.filters.simple import answers_in_one_word, is_too_simple
from posttrain.filters.tokens import has_special_token
from posttrain.filters.truncated import is_truncated
from posttrain.filters.turns import has_empty_message, has_turn_problem
from posttrain.filters.view import RowView
from posttrain.schema import Example

Rule = Callable[[RowView, recipe.Filter], str | None]
"""Looks at one row; returns what is wrong with it, or None."""


class FilterRule(NamedTuple):
    """One line of the table. `marks`: substrings of `RowView.folded`, of which one stands in every row that the rule speaks
    against; a row without any is not shown to the rule. `screen`: the same from the columns of a whole batch (see screen.py).
    Neither: the rule sees every row.
    """

    name: str
    reason: str
    rule: Rule
    marks: tuple[str | bytes, ...] | None = None
    screen: screen.Screen | None = None


RULES: tuple[FilterRule, ...] = (
    FilterRule("keywords", "names_another_assistant", names_another_assistant, keywords.MARKS),
    FilterRule("empty", "empty_message", has_empty_message, screen=screen.may_be_empty),
    FilterRule("roles", "unknown_role", functools.partial(has_turn_problem, reason="unknown_role"), screen=screen.has_odd_turns),
    FilterRule("user_turn", "no_user_turn", functools.partial(has_turn_problem, reason="no_user_turn"),
               screen=screen.has_odd_turns),
    FilterRule("assistant_turn", "no_assistant_turn", functools.partial(has_turn_problem, reason="no_assistant_turn"),
               screen=screen.has_odd_turns),
    FilterRule("alternation", "roles_do_not_alternate", functools.partial(has_turn_problem, reason="roles_do_not_alternate"),
               screen=screen.has_odd_turns),
    FilterRule("too_simple", "too_simple", is_too_simple),
    FilterRule("special_tokens", "special_token", has_special_token, tokens.MARKS),
    FilterRule("encoding", "broken_encoding", has_broken_encoding, encoding.MARKS),
    FilterRule("placeholders", "template_placeholder", has_placeholder, placeholders.MARKS),
    FilterRule("min_tokens", "too_short", is_too_short, screen=screen.may_be_short),
    FilterRule("max_tokens", "too_long", is_too_long, screen=screen.may_be_long),
    FilterRule("one_word_answers", "one_word_answer", answers_in_one_word),
    FilterRule("repetition", "repeats_itself", repeats_itself),
    FilterRule("language", "wrong_language", is_in_another_language),
    FilterRule("model_phrases", "speaks_as_a_model", speaks_as_a_model, placeholders.MODEL_MARKS),
    FilterRule("refusals", "refuses", refuses, refusals.MARKS),
    FilterRule("truncated", "truncated_answer", is_truncated),
    FilterRule("prompt_differs", "prompt_differs", prompt_differs, screen=screen.never),
    FilterRule("personal_data", "personal_data", holds_personal_data, personal.ALL_MARKS),
)
"""The rules in the order of application: keywords → empty → turns → quality; exact duplicates come after them.

A rule is switched by the recipe's field of its name; roles, turns and the two bounds on length are always on.
"""


@dataclass(frozen=True, slots=True)
class Drop:
    """What a rule found: its name, its reason (a key of schema.REASONS) and the detail."""

    rule: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say about one row: why it is dropped, what is only reported, and the row as it is kept."""

    drop: Drop | None
    reported: tuple[Drop, ...]
    example: Example


LONGEST_SEARCHED = 1_000_000
"""Bytes. A longer row is searched for marks in pieces of this length: a list of all of them might not fit into the memory."""


def action_of(rule: str, settings: recipe.Filter) -> str:
    """drop, report, mask or off: what the recipe has a rule do."""
    action = getattr(settings, rule, "drop")
    return action if isinstance(action, str) else "drop"


def prepare_screen(settings: recipe.Filter) -> Callable[[pa.ListArray], npt.NDArray[np.bool_]] | None:
    """A function from the conversations of a batch of SFT examples to the rows that some rule has to see.

    None where that is all of them: a rule of the recipe has neither marks nor a screen.
    """
    active = _active(settings)
    if any(rule.marks is None and rule.screen is None for rule in active):
        return None
    marks = [as_bytes(mark) for rule in active for mark in rule.marks or ()]
    search, screens = _search(marks), list(dict.fromkeys(rule.screen for rule in active if rule.screen))

    def seen(messages: pa.ListArray) -> npt.NDArray[np.bool_]:
        view = screen.BatchView(messages)
        found = screen.holds_mark(view, search, max(map(len, marks), default=1))
        for own in screens:
            found |= own(view, settings)
        return found

    return seen


def _active(settings: recipe.Filter) -> list[FilterRule]:
    return [rule for rule in RULES if action_of(rule.name, settings) != "off"]


def _search(marks: list[bytes]) -> Callable[[bytes, bool], list[tuple[int, int, int]]]:
    import ahocorasick_rs

    return ahocorasick_rs.BytesAhoCorasick(
        marks or [b"\xff"], implementation=ahocorasick_rs.Implementation.DFA,
    ).find_matches_as_indexes


def prepare_rules(settings: recipe.Filter) -> Callable[[Example], Verdict]:
    """The recipe's rules as one function over examples. It holds a search automaton: make one a process, not one a row.

    A row is dropped by the first rule that drops and speaks; what was reported before that does not count.
    """
    active = _active(settings)
    dropping = [action_of(rule.name, settings) == "drop" for rule in active]
    wanted = [(as_bytes(mark), n) for n, rule in enumerate(active) for mark in rule.marks or ()]
    owners = [n for _, n in wanted]
    overlap = max((len(mark) for mark, _ in wanted), default=1) - 1
    search = _search([mark for mark, _ in wanted])
    always = frozenset(n for n, rule in enumerate(active) if rule.marks is None)
    steps = [(rule.rule, rule.name, rule.reason, drops) for rule, drops in zip(active, dropping, strict=True)]
    usual = [steps[n] for n in sorted(always)]
    masks, kinds = settings.personal_data == "mask", settings.personal_data_kinds

    def judge(example: Example) -> Verdict:
        row = RowView(example)
        if len(row.folded) <= LONGEST_SEARCHED:
            found = [owners[hit[0]] for hit in search(row.folded, True)]
        else:
            parts = (row.folded[at : at + LONGEST_SEARCHED + overlap] for at in range(0, len(row.folded), LONGEST_SEARCHED))
            found = list({owners[hit[0]] for part in parts for hit in search(part, True)})
        chosen = [steps[n] for n in sorted(always.union(found))] if found else usual
        reported: list[Drop] = []
        for check, name, reason, drops in chosen:
            detail = check(row, settings)
            if detail is not None:
                if drops:
                    return Verdict(Drop(name, reason, detail), (), example)
                reported.append(Drop(name, reason, detail))
        if masks and any(drop.rule == "personal_data" for drop in reported):
            example = personal.mask(example, kinds)
        return Verdict(None, tuple(reported), example)

    return judge


def as_bytes(mark: Any) -> bytes:
    return mark if isinstance(mark, bytes) else mark.encode("utf-8")


_prepared = functools.lru_cache(maxsize=8)(lambda settings: prepare_rules(recipe.Filter.model_validate_json(settings)))


def check_example(example: Example, settings: recipe.Filter) -> Drop | None:
    """The first rule that drops one example; duplicates are not looked at."""
    return judge_example(example, settings).drop


def judge_example(example: Example, settings: recipe.Filter) -> Verdict:
    """`prepare_rules` for a single example; the prepared rules of the last few settings are kept."""
    return _prepared(settings.model_dump_json())(example)
