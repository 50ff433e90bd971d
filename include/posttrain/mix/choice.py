"""How many rows of a source, and which: counts, proportions, caps, temperature, and more of a skill in focus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from posttrain.mix.order import Digests, Indices, by_rank
from posttrain.recipe import Amount, Mix, Temperature, amount_names

GAP = "gap"
"""The source of rows made for a skill in focus; it enters by `focus_proportion` where no amount names it."""


@dataclass(frozen=True)
class Picks:
    """Rows by their index in the pool, each with its repeat, counted from 0: shape (rows,) both."""

    rows: Indices
    repeats: Indices

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, positions: npt.NDArray) -> Picks:
        return Picks(self.rows[positions], self.repeats[positions])


def joined(picks: Sequence[Picks]) -> Picks:
    empty = np.empty(0, dtype=np.int64)
    return Picks(np.concatenate([empty, *(p.rows for p in picks)]), np.concatenate([empty, *(p.repeats for p in picks)]))


# ---------------------------------------------------------------- how many


def split_amounts(settings: Mix, split: str, has_gap_rows: bool) -> list[Amount]:
    """The amounts of a split; a split that the recipe uses at all also gets the rows made for the gaps, if there are any.

    Raises ValueError where a source stands twice.
    """
    amounts: list[Amount] = list(getattr(settings, split))
    names = amount_names(amounts)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"mix.{split}: source {twice!r} stands twice; give one amount for it")
    drawn = settings.temperature.get(split)  # type: ignore[call-overload]
    named = {amount.source for amount in amounts} | set(drawn.sources if drawn else ())
    if named and has_gap_rows and GAP not in named:
        amounts.append(Amount(source=GAP, proportion=float(settings.focus_proportion)))
    return amounts


def rows_wanted(amount: Amount, available: int) -> int:
    """The rows that an amount asks of `available`: 0.29 of 100 is 29, whatever floating point makes of it."""
    if amount.count is not None:
        return amount.count
    wanted = int(Fraction(str(amount.proportion)) * available)
    return wanted if amount.at_most is None else min(wanted, amount.at_most)


def temperature_rows(available: dict[str, int], drawn: Temperature) -> dict[str, int]:
    """Rows a source: total × n^(1/T) / Σ n^(1/T), whole by the largest remainder; the sum is `total` where it can be had.

    Sources of 1,000 and 10 rows, 100 rows in total: T = 1 gives 99 and 1, T = 2 gives 91 and 9, T → ∞ gives 50 and 50.
    A source at its limit (`max_repeats` × n) keeps the limit, and the others share the rest by the same rule.
    """
    limits = {name: drawn.total if drawn.max_repeats is None else int(Fraction(str(drawn.max_repeats)) * n)
              for name, n in sorted(available.items()) if n}
    shares: dict[str, float] = {}
    rest, left = drawn.total, dict.fromkeys(limits, 0)
    while left:
        largest = max(math.log(available[name]) for name in left)
        weights = {name: math.exp((math.log(available[name]) - largest) / drawn.temperature) for name in left}
        ideal = {name: rest * weight / sum(weights.values()) for name, weight in weights.items()}
        over = [name for name in left if ideal[name] > limits[name]]
        if not over:
            shares |= ideal
            break
        for name in over:
            shares[name] = limits[name]
            rest -= limits[name]
            del left[name]
    return {name: 0 for name in available} | _whole(shares, limits, drawn.total)


def _whole(shares: dict[str, float], limits: dict[str, int], total: int) -> dict[str, int]:
    """Round the shares so that they sum to `total`, or to what the limits leave of it."""
    rows = {name: min(math.floor(share + 1e-9), limits[name]) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: (-(shares[name] - rows[name]), name))
    missing = min(total, sum(limits.values())) - sum(rows.values())
    while missing > 0:
        for name in [name for name in by_remainder if rows[name] < limits[name]][:missing]:
            rows[name] += 1
            missing -= 1
    return rows


# ---------------------------------------------------------------- which


def choose(available: Indices, wanted: int, digests: Digests, seed: int, split: str) -> Picks:
    """`wanted` rows: 5 of 2 rows is each of them twice and one, drawn by the seed, a third time."""
    if not len(available):
        return joined([])
    repeats, rest = divmod(wanted, len(available))
    drawn = by_rank(seed, f"choose {split}", digests[available], repeats)[:rest]
    rows = np.concatenate([np.tile(available, repeats), available[drawn]])
    numbers = np.concatenate([np.repeat(np.arange(repeats), len(available)), np.full(rest, repeats)])
    return Picks(rows, numbers.astype(np.int64))


def more_of_focus(
    picks: Picks, available: Indices, in_focus: npt.NDArray[np.bool_], factor: float, digests: Digests, seed: int, split: str,
) -> Picks:
    """`factor` times as many rows of the skills in focus: first rows that were not taken yet, then repeats.

    `in_focus` marks rows of the pool. The other rows stay as they are, so that the split grows by what is added.
    """
    of_skill = in_focus[picks.rows]
    wanted = int(Fraction(str(factor)) * int(of_skill.sum()))
    # What `choose` takes of the skill is the beginning of what it takes when it is asked for more.
    return joined([picks.take(~of_skill), choose(available[in_focus[available]], wanted, digests, seed, split)])
