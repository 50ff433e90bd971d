"""What every verifier returns, and the error for a ground truth that no verifier can use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """`score` lies in 0..1; `extracted` is the answer that was read from the completion, None where none was found."""

    score: float
    extracted: str | None


Verifier = Callable[[str, str], Verdict]
"""`(completion, ground_truth) -> Verdict`. A wrong or unreadable completion scores 0; it is never an error."""


class GroundTruthError(ValueError):
    """The ground truth is not in the form that the verifier documents: a fault of the row, not of the completion."""
