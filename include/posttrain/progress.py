"""How far a stage is, in the log: a line every few seconds, with the rate and the time that the rest will take."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """`filter: 3 of 19 shards, 7,498 of 46,968 rows, 475 rows/s, 83 s left`. `parts` and `unit` count what the rows come in, if
    anything. `rows` is None where nobody knows how many will come: then the time that is left is told by `size`, the bytes of
    the files that they stand in (`decontaminate: 7,473 rows, 62 % of 1.2 MB, …`), or else by the parts.

    The last line of what has parts or a size is written in any case; of other rows that took less than a second, none is.
    """

    def __init__(self, what: str, rows: int | None, parts: int = 0, unit: str = "shards", size: int = 0) -> None:
        self.what, self.rows, self.parts, self.unit, self.size = what, rows, parts, unit, size
        self.done_parts = self.done_rows = self.done_size = 0
        self._started = self._spoke = time.monotonic()

    def add(self, rows: int, size: int = 0) -> None:
        """Count a part with so many rows and bytes."""
        self.done_parts += 1
        self.done_rows += rows
        self.done_size += size
        now = time.monotonic()
        seconds = max(now - self._started, 1e-9)
        counts = ((self.done_rows, self.rows), (self.done_size, self.size or None), (self.done_parts, self.parts))
        done, of = next((done, of) for done, of in counts if of is not None)
        last = done >= of and self.done_parts >= self.parts
        if now - self._spoke < SECONDS_BETWEEN_LINES and not (last and (self.parts or self.size or seconds >= 1)):
            return
        self._spoke = now
        parts = f"{self.done_parts} of {self.parts} {self.unit}, " if self.parts else ""
        total = "" if self.rows is None else f" of {self.rows:,}"
        share = f", {100 * self.done_size / self.size:.0f} % of {self.size / 1e6:.1f} MB" if self.size else ""
        log.info("%s %s%s%s rows%s, %s rows/s, %.0f s left", self.what, parts, f"{self.done_rows:,}", total, share,
                 f"{self.done_rows / seconds:,.0f}", seconds * (of - done) / done if done else 0.0)
