from __future__ import annotations

import numpy as np
import pytest

from posttrain.decontaminate import index as index_module
from posttrain.decontaminate.ngrams import UNKNOWN, HashCollision, build_table, known_run, window_hashes, word_codes


def test_known_run_counts_the_words_up_to_the_next_unknown_one() -> None:
    assert known_run(np.array([5, 3, UNKNOWN, 7, UNKNOWN], np.int32)).tolist() == [2, 1, 0, 1, 0]


def test_equal_windows_have_equal_hashes_and_others_do_not() -> None:
    words = np.array([1, 2, 3, 1, 2, 3, 2, 1], np.int32)
    hashes = dict((size, own.copy()) for size, own in window_hashes(words, word_codes(4, 0), 3))
    assert hashes[3][0] == hashes[3][3]
    assert len({*hashes[3][:6].tolist()}) == 5  # 123 231 312 (123) 232 321


def test_a_table_finds_words_not_hashes() -> None:
    """All windows get one hash here: what is found is still only what has the same words."""
    index_words = np.array([1, 2, 3], np.int32)
    same = np.zeros(8, np.uint64)
    table = build_table(3, np.array([0]), same, index_words)
    training = np.array([3, 2, 1, 1, 2, 3, 2, 1], np.int32)
    starts, numbers = table.find(training, np.arange(6), same, index_words)
    assert (starts.tolist(), numbers.tolist()) == ([3], [0])


def test_two_ngrams_with_one_hash_are_refused() -> None:
    index_words = np.array([1, 2, 2, 1], np.int32)
    with pytest.raises(HashCollision):
        build_table(2, np.array([0, 2]), np.zeros(4, np.uint64), index_words)


def test_the_index_takes_another_salt_where_hashes_collide(bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def colliding(size: int, salt: int) -> np.ndarray:
        return np.zeros(size, np.uint64) if salt < 2 else word_codes(size, salt)

    monkeypatch.setattr(index_module, "word_codes", colliding)
    bench.add_eval("eval", ["one two three four five six seven eight nine"])
    loaded = index_module.load_index(bench.index())
    assert loaded.codes.tolist() == word_codes(9, 2).tolist()
