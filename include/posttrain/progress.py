"""How far a stage is, in the log: a line every few seconds, with the rate and the time that the rest will take."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """`filter: 3 of 19 shards, 7,498 of 46,968 rows, 475 rows/s, 83 s left`. `parts` and `unit` count what the rows come in, if
    anything. The last line is written in any case; of what was done within a second, nothing is."""

    def __init__(self, what: str, rows: int, parts: int = 0, unit: str = "shards") -> None:
        self.what, self.rows, self.parts, self.unit = what, rows, parts, unit
        self.done_parts = self.done_rows = 0
        self._started = self._spoke = time.monotonic()

    def add(self, rows: int) -> None:
        """Count a part with so many rows."""
        self.done_parts += 1
        self.done_rows += rows
        now = time.monotonic()
        last = self.done_rows >= self.rows and self.done_parts >= self.parts
        if now - self._spoke < SECONDS_BETWEEN_LINES and not (last and now - self._started >= 1):
            return
        self._spoke = now
        rate = self.done_rows / max(now - self._started, 1e-9)
        left = (self.rows - self.done_rows) / rate if rate else 0.0
        parts = f"{self.done_parts} of {self.parts} {self.unit}, " if self.parts else ""
        log.info("%s: %s%s of %s rows, %s rows/s, %.0f s left", self.what, parts, f"{self.done_rows:,}", f"{self.rows:,}",
                 f"{rate:,.0f}", left)
