"""Quotas: at most so many rows of a category or a language in a split, drawn by the seed over all its sources alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from posttrain.mix.choice import Picks
from posttrain.mix.order import by_rank
from posttrain.mix.pool import Pool
from posttrain.recipe import Mix


def apply_quotas(picks: Picks, pool: Pool, settings: Mix, seed: int, split: str) -> tuple[Picks, Picks, list[dict[str, Any]]]:
    """(kept, over the quota, what each quota dropped). A row needs room in the quota of its category and of its language.

    A row that one quota drops takes no room in the other.
    """
    if not (settings.quotas or settings.language_quotas) or split not in settings.quota_splits:
        return picks, picks.take(np.empty(0, dtype=np.int64)), []
    quotas = [("category", name, rows) for name, rows in sorted(settings.quotas.items())]
    quotas += [("language", name, rows) for name, rows in sorted(settings.language_quotas.items())]
    columns = {"category": pool.category, "language": pool.language}
    # Per pick the number of its quota in `quotas`, or -1.
    own = {field: np.full(len(picks), -1, dtype=np.int64) for field in columns}
    for number, (field, name, _) in enumerate(quotas):
        own[field][columns[field].is_one_of({name})[picks.rows]] = number
    order = by_rank(seed, f"quota {split}", pool.digest[picks.rows], picks.repeats)
    room, dropped = [rows for _, _, rows in quotas], [0] * len(quotas)
    keep = np.ones(len(picks), dtype=bool)
    for position, category, language in zip(order.tolist(), own["category"][order].tolist(), own["language"][order].tolist(),
                                            strict=True):
        mine = [number for number in (category, language) if number >= 0]
        full = [number for number in mine if room[number] == 0]
        keep[position] = not full
        for number in full[:1]:
            dropped[number] += 1
        if not full:
            for number in mine:
                room[number] -= 1
    facts = [{"split": split, field: name, "quota": rows, "dropped": dropped[number]}
             for number, (field, name, rows) in enumerate(quotas)]
    return picks.take(np.flatnonzero(keep)), picks.take(np.flatnonzero(~keep)), facts
