"""How far a stage is, in the log: a line every few seconds, with the rate and the time that the rest will take."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """`filter: 3 of 19 shards, 7,498 of 46,968 rows, 475 rows/s, 83 s left`. `parts` and `unit` count what the rows come in, if
    anything; `rows` is None where nobody knows how many will come: then the parts tell the time that is left.

    The last line of what has parts is written in any case; of other rows that took less than a second, none is.
    """

    def __init__(self, what: str, rows: int | None, parts: int = 0, unit: str = "shards") -> None:
        self.what, self.rows, self.parts, self.unit = what, rows, parts, unit
        self.done_parts = self.done_rows = 0
        self._started = self._spoke = time.monotonic()

    def add(self, rows: int) -> None:
        """Count a part with so many rows."""
        self.done_parts += 1
        self.done_rows += rows
        now = time.monotonic()
        seconds = max(now - self._started, 1e-9)
        done, of = (self.done_rows, self.rows) if self.rows is not None else (self.done_parts, self.parts)
        last = done >= of and self.done_parts >= self.parts
        if now - self._spoke < SECONDS_BETWEEN_LINES and not (last and (self.parts or seconds >= 1)):
            return
        self._spoke = now
        parts = f"{self.done_parts} of {self.parts} {self.unit}, " if self.parts else ""
        total = "" if self.rows is None else f" of {self.rows:,}"
        log.info("%s %s%s%s rows, %s rows/s, %.0f s left", self.what, parts, f"{self.done_rows:,}", total,
                 f"{self.done_rows / seconds:,.0f}", seconds * (of - done) / done if done else 0.0)
