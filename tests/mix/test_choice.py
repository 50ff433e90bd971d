"""How many rows of a source, and which: numbers that one can redo by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain.mix.choice import choose, more_of_focus, rows_wanted, temperature_rows
from posttrain.mix.order import by_rank, digest_rows, ranks
from posttrain.recipe import Amount, Temperature


def drawn(total: int, temperature: float, max_repeats: float | None = None) -> Temperature:
    return Temperature(sources=("a",), total=total, temperature=temperature, max_repeats=max_repeats)


@pytest.mark.parametrize(("temperature", "rows"), [
    (1.0, {"a": 99, "b": 1}),      # 1000 : 10
    (2.0, {"a": 91, "b": 9}),      # √1000 : √10 = 31.6 : 3.16 = 10 : 1 → 90.9 and 9.1
    (1e9, {"a": 50, "b": 50}),
    (0.5, {"a": 100, "b": 0}),     # 10⁶ : 10² → 99.99 and .01
])
def test_temperature_flattens_the_shares(temperature: float, rows: dict[str, int]) -> None:
    assert temperature_rows({"a": 1_000, "b": 10}, drawn(100, temperature)) == rows


def test_what_a_source_cannot_give_goes_to_the_others() -> None:
    # Evenly 100 each; c gives at most 2 × 10, so that a and b share 280; then b is full at 2 × 60 and a has the rest.
    assert temperature_rows({"a": 1_000, "b": 60, "c": 10}, drawn(300, 1e9, max_repeats=2.0)) == {"a": 160, "b": 120, "c": 20}
    assert temperature_rows({"a": 10, "b": 5}, drawn(100, 1.0, max_repeats=1.0)) == {"a": 10, "b": 5}  # no more to be had
    assert temperature_rows({"a": 10, "b": 0}, drawn(4, 3.0)) == {"a": 4, "b": 0}


@given(st.dictionaries(st.text("abcdef", min_size=1), st.integers(0, 10**7), min_size=1), st.integers(0, 10**6),
       st.floats(0.05, 100), st.none() | st.floats(0.1, 5).map(lambda x: round(x, 1)))
def test_the_rows_sum_to_the_total_within_the_limits(sizes: dict[str, int], total: int, t: float, repeats: float | None) -> None:
    rows = temperature_rows(sizes, drawn(total, t, repeats))
    assert set(rows) == set(sizes) and all(n >= 0 and (sizes[name] or n == 0) for name, n in rows.items())
    limits = {name: n and (total if repeats is None else round(repeats * 10) * n // 10) for name, n in sizes.items()}
    assert all(rows[name] <= limits[name] for name in rows)
    assert sum(rows.values()) == min(total, sum(limits.values()))


@pytest.mark.parametrize(("amount", "rows"), [
    (Amount(source="s", proportion=1.0, at_most=3), 3), (Amount(source="s", proportion=0.2, at_most=3), 2),
    (Amount(source="s", proportion=5.0, at_most=12), 12), (Amount(source="s", count=12), 12),
])
def test_a_cap_is_a_number_of_rows(amount: Amount, rows: int) -> None:
    assert rows_wanted(amount, 10) == rows


DIGESTS = digest_rows("sft", ["s"] * 1_000, [f"id {n}" for n in range(1_000)])
ALL = np.arange(1_000)


@pytest.mark.parametrize("wanted", [0, 1, 999, 1_000, 1_001, 2_500])
def test_more_rows_are_the_same_rows_and_further_ones(wanted: int) -> None:
    fewer, more = choose(ALL, wanted, DIGESTS, 0, "sft"), choose(ALL, wanted + 300, DIGESTS, 0, "sft")
    taken = [set(zip(p.rows.tolist(), p.repeats.tolist(), strict=True)) for p in (fewer, more)]
    assert len(taken[0]) == wanted and len(taken[1]) == wanted + 300 and taken[0] < taken[1]


def test_focus_adds_rows_of_the_skill_and_leaves_the_others_alone() -> None:
    """100 of 1,000 rows teach the skill; of 500 chosen rows about 50 do. Half as many again: 75, none of them twice."""
    in_focus = ALL % 10 == 0
    picks = choose(ALL, 500, DIGESTS, 0, "sft")
    of_skill = int(in_focus[picks.rows].sum())
    more = more_of_focus(picks, ALL, in_focus, 1.5, DIGESTS, 0, "sft")
    assert int(in_focus[more.rows].sum()) == of_skill * 3 // 2 and not more.repeats.any()
    assert sorted(more.rows[~in_focus[more.rows]]) == sorted(picks.rows[~in_focus[picks.rows]])
    assert set(picks.rows) <= set(more.rows.tolist())
    # Four times as many is more than there is: every row of the skill at least once, and some again.
    often = more_of_focus(picks, ALL, in_focus, 4.0, DIGESTS, 0, "sft")
    skill_rows = often.rows[in_focus[often.rows]]
    assert len(skill_rows) == 4 * of_skill and set(skill_rows.tolist()) == set(range(0, 1_000, 10))


def test_ranks_look_drawn_at_random() -> None:
    """Of 1,000 rows half lie below the middle, whatever the purpose; another seed is another order."""
    for purpose in ("choose sft", "shuffle sft"):
        values = ranks(0, purpose, DIGESTS)
        assert 440 < int((values < 2**63).sum()) < 560 and len(set(values.tolist())) == 1_000
    assert (by_rank(0, "a", DIGESTS) != by_rank(1, "a", DIGESTS)).mean() > 0.9
    assert (by_rank(0, "a", DIGESTS) != by_rank(0, "a", DIGESTS, 1)).mean() > 0.9


@settings(max_examples=20)
@given(st.permutations(list(range(40))), st.integers(0, 5))
def test_an_order_does_not_depend_on_where_the_rows_stand(order: list[int], seed: int) -> None:
    straight = by_rank(seed, "p", DIGESTS[:40])
    assert np.array(order)[by_rank(seed, "p", DIGESTS[:40][order])].tolist() == straight.tolist()
