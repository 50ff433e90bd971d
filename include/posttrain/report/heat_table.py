"""Contamination per eval and source, as decontaminate counted it, in the shape of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

COLUMNS = ("eval", "source", "items", "contaminated", "share", "removed_rows", "over_limit")


@dataclass(frozen=True)
class ContaminationTable:
    """`rows`: one per eval and source that overlap. `shares`: (eval, source) → share of the eval's items that are covered."""

    rows: list[dict[str, Any]]
    evals: list[str]
    sources: list[str]
    shares: dict[tuple[str, str], float]


def contamination_table(facts: list[dict[str, Any]]) -> ContaminationTable:
    """`facts`: objects with the keys COLUMNS, one a cell of the table, as they stand in the manifest."""
    rows = [row | {"over_limit": "yes" if row["over_limit"] else "no"} for row in facts if row["contaminated"]]
    return ContaminationTable(
        rows=rows, evals=sorted({row["eval"] for row in rows}), sources=sorted({row["source"] for row in rows}),
        shares={(row["eval"], row["source"]): row["share"] for row in rows},
    )
