"""What the asking has cost, what the requests on the way may cost, and the ceiling on both."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from posttrain.recipe import Teacher as TeacherSettings
from posttrain.teacher.errors import CostCeilingReached, TeacherError
from posttrain.teacher.journal import Record

ASSUMED_COMPLETION_TOKENS = 1024
"""What a completion is taken to cost, against the ceiling, until the first one has come."""


class Books:
    """Requests, tokens and US dollars of one teacher, for all of its threads. `journal`: where its answers lie."""

    def __init__(self, settings: TeacherSettings, journal: str) -> None:
        self.counts: Counter[str] = Counter()
        self.spent = 0.0
        self._settings, self._journal = settings, journal
        self._changed = threading.Condition()
        self._reserved = 0.0
        self._counted: set[str] = set()
        self._longest_completion = 0

    def _price(self, prompt_tokens: int, completion_tokens: int) -> float:
        s = self._settings
        return (prompt_tokens * s.cost_per_million_prompt_tokens + completion_tokens * s.cost_per_million_completion_tokens) / 1e6

    def reserve(self, characters: int, stop: threading.Event) -> float:
        """Set money aside for a request: it may cost a token every two characters and the longest completion so far.

        Waits for requests on the way where the ceiling leaves too little. Raises CostCeilingReached where none is on the way.
        """
        ceiling = self._settings.max_cost
        with self._changed:
            while True:
                if stop.is_set():
                    raise TeacherError("stopped")
                if ceiling is None:
                    return 0.0
                amount = self._price(characters // 2, self._longest_completion or ASSUMED_COMPLETION_TOKENS)
                if self.spent + self._reserved + amount <= ceiling:
                    self._reserved += amount
                    return amount
                if self._reserved <= 1e-12:  # nothing is on the way that could turn out cheaper
                    raise CostCeilingReached(
                        f"teacher.max_cost is ${ceiling:g}: ${self.spent:.4f} are spent and the next request may cost "
                        f"${amount:.4f}. What was answered is in {self._journal}; raise teacher.max_cost to go on"
                    )
                self._changed.wait()

    def release(self, amount: float) -> None:
        with self._changed:
            self._reserved -= amount
            self._changed.notify_all()

    def count(self, name: str) -> None:
        with self._changed:
            self.counts[name] += 1

    def enter(self, record: Record, prefix: str) -> None:
        """Count an answer once. What the journal holds was paid for by this stage as well: it counts against the ceiling."""
        with self._changed:
            if record.key in self._counted:
                return
            self._counted.add(record.key)
            self.counts["from_journal" if prefix else "requests"] += 1
            self.counts[f"{prefix}prompt_tokens"] += record.prompt_tokens
            self.counts[f"{prefix}completion_tokens"] += record.completion_tokens
            self.spent += self._price(record.prompt_tokens, record.completion_tokens)
            self._longest_completion = max(self._longest_completion, record.completion_tokens)

    def usage(self) -> dict[str, Any]:
        """What was asked and spent, in tokens and US dollars; answers found in the journal are counted apart."""
        count = self.counts
        return {
            "connection": self._settings.connection,
            "model": self._settings.model,
            "requests": count["requests"],
            "retries": count["retries"],
            "gave_up": count["gave_up"],
            "prompt_tokens": count["prompt_tokens"],
            "completion_tokens": count["completion_tokens"],
            "cost": round(self._price(count["prompt_tokens"], count["completion_tokens"]), 6),
            "from_journal": {
                "requests": count["from_journal"],
                "prompt_tokens": count["journal_prompt_tokens"],
                "completion_tokens": count["journal_completion_tokens"],
                "cost": round(self._price(count["journal_prompt_tokens"], count["journal_completion_tokens"]), 6),
            },
            "journal": self._journal,
        }
