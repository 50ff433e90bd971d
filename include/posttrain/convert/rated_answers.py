"""Several answers to one prompt, each with a score → the two that become a pair."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from posttrain.schema import UnreadableRow


def choose_pair(scores: Sequence[float], key: str, field: str, *, worst: bool = False, margin: float = 0.0) -> tuple[int, int]:
    """Positions of the chosen and the rejected answer: the first of the best, and one that is rated strictly lower.

    The rejected one is drawn among all lower ones by the hash of `key` (the prompt), so that a row gives the same pair
    wherever it stands; `worst` takes the last of the lowest instead. `margin` is the least difference of the two scores.
    Raises too_few_answers, tied_pair or margin_too_small.
    """
    if len(scores) < 2:
        raise UnreadableRow("too_few_answers", field, f"{len(scores)} rated")
    best = max(scores)
    lower = [n for n, score in enumerate(scores) if score < best]
    if not lower:
        raise UnreadableRow("tied_pair", field, f"all rated {best:g}")
    far = [n for n in lower if best - scores[n] >= margin]
    if not far:
        raise UnreadableRow("margin_too_small", field, f"{best - min(scores):g} between best and worst, {margin:g} wanted")
    rejected = max(far, key=lambda n: (-scores[n], n)) if worst else far[draw(key, len(far))]
    return scores.index(best), rejected


def draw(key: str, n: int) -> int:
    """A number below n that depends on the key alone."""
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:8]) % n


def number_of(value: Any, field: str) -> float:
    """A rating, a number or a number as text. Raises missing_field or wrong_type."""
    if value is None:
        raise UnreadableRow("missing_field", field)
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else float("nan")
    except (ValueError, OverflowError):
        number = float("nan")
    if number != number or number in (float("inf"), float("-inf")):
        raise UnreadableRow("wrong_type", field, f"{str(value)[:80]!r} instead of a number")
    return number
