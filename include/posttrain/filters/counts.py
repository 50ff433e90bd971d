"""What the rules did, counted by rule and source, with a few examples of each: the filter's facts."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections import Counter
from typing import Any

from posttrain import recipe
from posttrain.filters.personal import MASKS, mask_text
from posttrain.filters.rules import RULES, Drop, action_of
from posttrain.filters.view import RowView
from posttrain.schema import Example

EXAMPLES = 10
"""Rows that are shown of each rule."""
SHOWN = 200
"""Characters of each turn that are shown."""
TURNS_SHOWN = 4
DUPLICATES = "duplicates"
AFTER_RULES = {DUPLICATES: "duplicate_conversation", "select": "not_chosen"}
"""What drops rows after the rules, with its (first) reason."""


class RuleCounts:
    """Counts per rule and source, and ten examples a rule: those whose hashed ids are least.

    Which rows these are does not depend on the order in which rows were counted, so that the counts of several workers
    can be merged in any order.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Counter[str]] = {}
        self._examples: dict[str, list[tuple[int, str]]] = {}  # a heap: minus the hash, the shown row as JSON

    def add(self, example: Example, found: Drop) -> None:
        """Count one row that a rule dropped or reported."""
        self.rows.setdefault(found.rule, Counter())[example.source] += 1
        kept = self._examples.setdefault(found.rule, [])
        digest = hashlib.blake2b(f"{example.source}\0{example.id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        rank = -int.from_bytes(digest)
        if len(kept) < EXAMPLES:
            heapq.heappush(kept, (rank, json.dumps(show(example, found))))
        elif rank >= kept[0][0]:
            heapq.heappushpop(kept, (rank, json.dumps(show(example, found))))

    def state(self) -> dict[str, Any]:
        """All of it as JSON, for another process or a later run."""
        return {"rows": {rule: dict(rows) for rule, rows in self.rows.items()}, "examples": self._examples}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> RuleCounts:
        """The inverse of `state`."""
        counts = cls()
        counts.rows = {rule: Counter(rows) for rule, rows in state["rows"].items()}
        counts._examples = {rule: [(rank, shown) for rank, shown in kept] for rule, kept in state["examples"].items()}
        return counts

    def merge(self, other: RuleCounts) -> None:
        """Add what another worker counted."""
        for rule, rows in other.rows.items():
            self.rows.setdefault(rule, Counter()).update(rows)
            self._examples[rule] = sorted(self._examples.get(rule, []) + other._examples[rule])[-EXAMPLES:]  # sorted: a heap

    def facts(self, settings: recipe.Filter) -> dict[str, Any]:
        """{"rules": {rule: dropped rows}, "rule_details": {rule: {action, reason, rows, sources, examples}}}.

        `rules` has every rule that is on, with `duplicates` and `select`, in order. `rule_details` has those that spoke. Rows
        counted for a rule that reports or masks are rows that no rule drops; a duplicate among them may still go. An example
        is {id, source, detail, turns: ["role: text"]}.
        """
        after = {DUPLICATES: settings.duplicates.any, "select": settings.select is not None}
        actions = {rule.name: action_of(rule.name, settings) for rule in RULES}
        actions = {name: action for name, action in (actions | dict.fromkeys(AFTER_RULES, "drop")).items()
                   if action != "off" and after.get(name, True)}
        reasons = {rule.name: rule.reason for rule in RULES} | AFTER_RULES
        return {
            "rules": {name: sum(self.rows.get(name, Counter()).values()) if action == "drop" else 0
                      for name, action in actions.items()},
            "rule_details": {
                name: {
                    "action": action, "reason": reasons[name], "rows": sum(self.rows[name].values()),
                    "sources": dict(sorted(self.rows[name].items())),
                    "examples": [json.loads(shown) for _, shown in sorted(self._examples[name], reverse=True)],
                }
                for name, action in actions.items() if name in self.rows
            },
        }


def show(example: Example, found: Drop) -> dict[str, Any]:
    """A row as the report shows it: its id, what was found, and the beginning of its first turns, personal data masked."""
    messages = RowView(example).messages[:TURNS_SHOWN]
    turns = [f"{m.role}: {mask_text((m.content or '')[:5 * SHOWN], tuple(MASKS))[:SHOWN]}" for m in messages]
    return {"id": example.id, "source": example.source, "detail": printable(found.detail), "turns": [printable(t) for t in turns]}


def printable(text: str) -> str:
    """Lone surrogates escaped, so that it can be written as UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
