"""What the manifest of a mixture says about its amounts and rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from posttrain.mix.order import Indices
from posttrain.mix.pool import Pool
from posttrain.recipe import Amount


def describe(
    split: str, amount: Amount, available: int, taken: int, for_focus: int = 0, temperature: float | None = None,
) -> dict[str, Any]:
    """What an amount asked for and got. `upsampling` is rows taken per row available, above 1 only; `for_focus` of the taken
    rows were added for skills in focus; `count` of a source drawn at a temperature is what the temperature gives it."""
    asked: dict[str, Any] = {"count": amount.count} if amount.count is not None else {"proportion": amount.proportion}
    factor = round(taken / available, 4) if available and taken > available else 1.0
    options = {"at_most": amount.at_most, "temperature": temperature, "for_focus": for_focus or None,
               "prompts": None if amount.prompts == "any" else amount.prompts}
    return {"split": split, "source": amount.source, "available": available, "taken": taken, "upsampling": factor} | asked | {
        name: value for name, value in options.items() if value is not None}


def count_rows(split: str, pool: Pool, rows: Indices) -> list[dict[str, Any]]:
    """Rows of a split by source, category and skill."""
    return _count(split, pool, rows, ("source", "category", "skill"))


def count_languages(split: str, pool: Pool, rows: Indices) -> list[dict[str, Any]]:
    return _count(split, pool, rows, ("language",))


def _count(split: str, pool: Pool, rows: Indices, names: tuple[str, ...]) -> list[dict[str, Any]]:
    columns = [getattr(pool, name) for name in names]
    code = np.zeros(len(rows), dtype=np.int64)
    for column in columns:
        code = code * max(len(column.names), 1) + column.codes[rows]
    values, counts = np.unique(code, return_counts=True)
    lines = []
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        labels = {}
        for name, column in zip(reversed(names), reversed(columns), strict=True):
            value, own = divmod(value, max(len(column.names), 1))
            labels[name] = column.names[own]
        lines.append({"split": split} | {name: labels[name] for name in names} | {"rows": count})
    return lines
