"""Why the asking ends."""

from __future__ import annotations


class TeacherError(RuntimeError):
    """The teacher cannot be used: wrong key, unknown model, endpoint down. Answered requests are in the journal."""


class CostCeilingReached(TeacherError):
    """The next request could cost more than the recipe's `teacher.max_cost` leaves."""
