"""Contamination per eval and source, as decontaminate counted it, for the report as text."""

from __future__ import annotations

from typing import Any

COLUMNS = ("eval", "source", "items", "contaminated", "share", "removed_rows", "over_limit")


def contaminated_cells(facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cells with contaminated items. `facts`: objects with the keys COLUMNS, one a cell, as they stand in the manifest."""
    return [row | {"over_limit": "yes" if row["over_limit"] else "no"} for row in facts if row["contaminated"]]
