"""What the MATH data set says about a problem: its subject, kept as the row's skill, and its level, kept as a tag."""

from __future__ import annotations

from typing import Any

SUBJECTS = frozenset({
    "algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory", "prealgebra", "precalculus",
})


def subject_of(row: dict[str, Any]) -> str | None:
    """The subject from `type` or `subject`: Counting & Probability → counting_and_probability; None for any other word."""
    for name in ("type", "subject"):
        if isinstance(row.get(name), str):
            label = "_".join(row[name].lower().replace("&", "and").split())
            if label in SUBJECTS:
                return label
    return None


def level_tags(row: dict[str, Any]) -> tuple[str, ...]:
    """The level as a tag, `Level 5` whether it is published as that text or as 5; nothing where the row has none."""
    level = row.get("level")
    if isinstance(level, int) and not isinstance(level, bool) or isinstance(level, str) and level.strip().isdecimal():
        return (f"Level {str(level).strip()}",)
    return (level.strip(),) if isinstance(level, str) and level.strip() else ()
