from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.decontaminate import build_index
from posttrain.decontaminate.index import load_index
from posttrain.decontaminate.ngrams import (
    UNKNOWN,
    Filter,
    HashCollision,
    NgramTable,
    ascending,
    build_table,
    hashes_at,
    hashes_of,
    known_run,
)


def test_known_run_counts_the_words_up_to_the_next_unknown_one() -> None:
    assert known_run(np.array([5, 3, UNKNOWN, 7, UNKNOWN], np.int32)).tolist() == [2, 1, 0, 1, 0]


def test_equal_windows_have_equal_hashes_and_others_do_not() -> None:
    hashes = hashes_of(np.array([11, 12, 13, 11, 12, 13, 12, 11], np.uint64), 3)
    assert len(hashes) == 6
    assert hashes[0] == hashes[3]
    assert len(set(hashes.tolist())) == 5  # 11·12·13 twice


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20), st.integers(1, 13))
def test_windows_put_together_by_halves_are_those_put_together_word_by_word(codes: list[int], size: int) -> None:
    def by_word(window: list[int]) -> int:
        return functools.reduce(lambda value, code: (value * 0x9E3779B97F4A7C15 + code) % 2**64, window)

    own, starts = np.array(codes, np.uint64), range(max(0, len(codes) - size + 1))
    expected = [by_word(codes[k : k + size]) for k in starts]
    assert hashes_of(own, size).tolist() == expected
    assert hashes_at(own, np.array(starts, np.int64), size).tolist() == expected


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 7).map(lambda n: 2**63 + n % 2 + (n // 2 << 60)), max_size=40))
def test_hashes_are_sorted_as_a_stable_sort_does(hashes: list[int]) -> None:
    own = np.array(hashes, np.uint64)
    assert ascending(own).tolist() == np.argsort(own, kind="stable").tolist()


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, unique=True), st.lists(st.integers(0, 2**64 - 1)))
def test_the_filter_lets_every_hash_of_the_table_pass(own: list[int], others: list[int]) -> None:
    asked = np.array(own + others, np.uint64)
    passing = Filter(np.array(sorted(own), np.uint64)).passing(asked)
    assert set(own) <= set(asked[passing].tolist())


def test_a_table_finds_words_not_hashes() -> None:
    """A hash is claimed for other words here: what is found is still only what has the same words."""
    codes = np.array([101, 102, 103], np.uint64)
    claimed = hashes_of(np.array([103, 102, 101], np.uint64), 3)
    table = NgramTable(3, claimed, np.array([0, 1], np.int32), np.array([0], np.int32))
    starts, _ = table.find(np.array([103, 102, 101], np.uint64), codes, np.array([0, 1, 2], np.int32))
    assert starts.tolist() == []
    right = build_table(3, np.array([0]), hashes_of(codes, 3), np.array([0, 1, 2], np.int32))
    starts, numbers = right.find(np.array([9, 101, 102, 103], np.uint64), codes, np.array([0, 1, 2], np.int32))
    assert (starts.tolist(), numbers.tolist()) == ([1], [0])


def test_two_ngrams_with_one_hash_are_refused() -> None:
    with pytest.raises(HashCollision):
        build_table(2, np.array([0, 2]), np.zeros(2, np.uint64), np.array([1, 2, 2, 1], np.int32))


def test_the_index_takes_another_salt_where_hashes_collide(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    salted = build_index.salted
    monkeypatch.setattr(build_index, "salted", lambda codes, salt: codes * np.uint64(0) if salt < 2 else salted(codes, salt))
    bench.add_eval("eval", ["one two three four five six seven eight nine"])
    manifest = bench.index()
    monkeypatch.undo()
    index = load_index(manifest)
    assert index.salt == 2
    starts, _ = index.tables[8].find(index.tokens(["two three four five six seven eight nine"]).codes, index.codes, index.flat)
    assert starts.tolist() == [0]
