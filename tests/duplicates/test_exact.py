"""Exact duplicates: which of the rows with one digest is kept."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from posttrain.duplicates.exact import exact_digests, first_occurrences


def digests(letters: str) -> np.ndarray:
    """One digest a letter; "-" is a row with nothing to compare."""
    return exact_digests(None if letter == "-" else letter.encode() * 16 for letter in letters)


def test_the_first_row_is_kept_where_priorities_are_equal() -> None:
    keep, first = first_occurrences(digests("abacb"), [0, 0, 0, 0, 0])
    assert keep.tolist() == [True, True, False, True, False]
    assert first.tolist() == [0, 1, 0, 3, 1]


def test_a_source_of_higher_priority_wins_though_it_comes_later() -> None:
    keep, first = first_occurrences(digests("aba"), [1, 0, 0])
    assert keep.tolist() == [False, True, True] and first.tolist() == [2, 1, 2]


def test_rows_with_nothing_to_compare_are_nobodys_duplicate() -> None:
    keep, first = first_occurrences(digests("--a-"), [0, 0, 0, 0])
    assert keep.all() and first.tolist() == [0, 1, 2, 3]


def test_rows_that_are_out_already_stand_for_nobody() -> None:
    keep, first = first_occurrences(digests("aaa"), [0, 0, 0], np.array([False, True, True]))
    assert keep.tolist() == [False, True, False] and first.tolist() == [0, 1, 1]


def test_no_rows() -> None:
    keep, first = first_occurrences(exact_digests([]), [])
    assert keep.shape == first.shape == (0,)


@given(st.lists(st.tuples(st.sampled_from("abcd-"), st.integers(0, 3))))
def test_agrees_with_a_dictionary_filled_in_order_of_priority(rows: list[tuple[str, int]]) -> None:
    letters, priorities = "".join(letter for letter, _ in rows), [priority for _, priority in rows]
    seen: dict[str, int] = {}
    wanted = list(range(len(rows)))
    for n in sorted(range(len(rows)), key=lambda n: (priorities[n], n)):
        if letters[n] != "-":
            wanted[n] = seen.setdefault(letters[n], n)
    keep, first = first_occurrences(digests(letters), priorities)
    assert first.tolist() == wanted and keep.tolist() == [n == first for n, first in enumerate(wanted)]
