"""Which rows are kept: rows that one can read, Jaccards that one can redo by hand."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain.duplicates.candidates import Index, build_index, candidate_pairs
from posttrain.duplicates.clusters import CLUSTER_SCHEMA, VERDICTS, Decision, cluster_table, find_clusters
from posttrain.duplicates.decide import decide
from posttrain.duplicates.fingerprints import fingerprint, joined
from posttrain.duplicates.settings import Duplicates, NearDuplicates, source_ranks
from posttrain.duplicates.store import WordStore, write_words
from posttrain.duplicates.texts import compared_texts
from posttrain.schema import Message, SFTExample

WORDS = NearDuplicates(shingle_words=1)
"""The Jaccard of plain sets of words: 8 words in common, 1 of its own on each side → 8 / 10."""


def rows(*texts: str) -> list[SFTExample]:
    """One SFT row a text: prompt and answer apart at " | "."""
    split = [text.split(" | ") for text in texts]
    return [SFTExample(id=str(n), source="s", category="general", skill="general", language="en", license="MIT",
                       messages=tuple(Message("user" if k % 2 == 0 else "assistant", turn) for k, turn in enumerate(turns)))
            for n, turns in enumerate(split)]


def decide_rows(examples: list[SFTExample], wanted: Duplicates, priorities: list[int] | None = None) -> Decision:
    compared = [compared_texts(example, wanted) for example in examples]
    words = [row.words for row in compared]
    return decide(fingerprint(compared, wanted), priorities or [0] * len(compared), wanted, lambda ns: [words[n] for n in ns])


def names(decision: Decision) -> list[str]:
    return [VERDICTS[verdict] for verdict in decision.verdict]


# ---------------------------------------------------------------- near duplicates

EIGHT = "a b c d e f g h"


def test_exactly_at_the_threshold_is_a_near_duplicate() -> None:
    found = decide_rows(rows(f"{EIGHT} x", f"{EIGHT} y"), Duplicates(near=WORDS))
    assert names(found) == ["kept", "near_duplicate"]
    assert found.kept_row.tolist() == [0, 0] and found.jaccard.tolist() == [1.0, 0.8]


def test_just_below_the_threshold_both_stay() -> None:
    found = decide_rows(rows(f"{EIGHT} x", f"{EIGHT} y z"), Duplicates(near=WORDS))  # 8 / 11
    assert names(found) == ["kept", "kept"] and found.cluster.tolist() == [-1, -1]


def test_one_changed_word_of_sixty_in_runs_of_three() -> None:
    """60 words make 58 runs; the changed word spoils 3 of them: 55 / 61 = .902."""
    one = [f"w{n}" for n in range(60)]
    two = [*one[:30], "other", *one[31:]]
    found = decide_rows(rows(" ".join(one), " ".join(two)), Duplicates(near=NearDuplicates()))
    assert names(found) == ["kept", "near_duplicate"] and found.jaccard[1] == pytest.approx(55 / 61)


def test_korean_words_and_chinese_characters() -> None:
    korean = "오늘 점심 으로 무엇 을 먹을지 아직 정하지 못했다"  # nine words; the last one differs below
    chinese = "今天中午吃什么好呢"  # nine characters; the last one differs below
    examples = rows(korean, korean.replace("못했다", "않았다"), chinese, chinese.replace("呢", "吗"))
    found = decide_rows(examples, Duplicates(near=WORDS))
    assert names(found) == ["kept", "near_duplicate", "kept", "near_duplicate"]
    assert found.jaccard[[1, 3]].tolist() == [0.8, 0.8]


def test_the_source_of_higher_priority_is_kept() -> None:
    ranks = source_ranks(Duplicates(priority=("gold",)), ["web", "gold"])
    assert ranks == {"gold": 0, "web": 1}
    found = decide_rows(rows(f"{EIGHT} x", f"{EIGHT} y"), Duplicates(near=WORDS), [ranks["web"], ranks["gold"]])
    assert names(found) == ["near_duplicate", "kept"] and found.kept_row.tolist() == [1, 1]


A, B, C, D = "a b c d e f g h i", "b c d e f g h i j", "c d e f g h i j k", "d e f g h i j k l"
"""Neighbours share 8 / 10; A and C, B and D 7 / 11."""


def test_nothing_falls_over_two_steps() -> None:
    """B falls to A. C is near B only, and B is not kept: C stays."""
    found = decide_rows(rows(A, B, C), Duplicates(near=WORDS))
    assert names(found) == ["kept", "near_duplicate", "kept"]
    assert found.cluster.tolist() == [0, 0, 0], "one cluster may keep two rows"


def test_a_row_that_fell_takes_nobody_with_it() -> None:
    found = decide_rows(rows(A, B, C, D), Duplicates(near=WORDS))
    assert names(found) == ["kept", "near_duplicate", "kept", "near_duplicate"] and found.kept_row.tolist() == [0, 0, 2, 2]


def test_the_nearest_kept_row_stands_for_a_dropped_one() -> None:
    """The third row shares 9 / 11 with the first and 9 / 10 with the second; these two share 8 / 11."""
    found = decide_rows(rows("a b c d e f g h i p", "b c d e f g h i j", "a b c d e f g h i j"), Duplicates(near=WORDS))
    assert names(found) == ["kept", "kept", "near_duplicate"] and (found.kept_row[2], found.jaccard[2]) == (1, 0.9)


def test_the_middle_one_first_takes_both() -> None:
    found = decide_rows(rows(A, B, C), Duplicates(near=WORDS), [1, 0, 1])
    assert names(found) == ["near_duplicate", "kept", "near_duplicate"] and found.kept_row.tolist() == [1, 1, 1]


def test_other_kinds_of_rows_and_rows_without_words_are_left_alone() -> None:
    wanted = Duplicates(near=WORDS)
    compared = [compared_texts(example, wanted) for example in rows(f"{EIGHT} x", f"{EIGHT} y", "", " ")]
    compared[1] = replace(compared[1], group=b"rlvrrlvr")
    found = decide(fingerprint(compared, wanted), [0] * 4, wanted, lambda ns: [compared[n].words for n in ns])
    assert names(found) == ["kept", "kept", "kept", "duplicate_conversation"]


def test_a_source_that_is_left_out_neither_falls_nor_takes() -> None:
    examples = rows(f"{EIGHT} x", f"{EIGHT} y", f"{EIGHT} z", f"{EIGHT} Y")
    examples = [replace(example, source="passages") if n in (0, 1, 3) else example for n, example in enumerate(examples)]
    found = decide_rows(examples, Duplicates(near=NearDuplicates(shingle_words=1, leave_out=("passages",))))
    assert names(found) == ["kept", "kept", "kept", "duplicate_conversation"]


def test_off_means_off() -> None:
    same = rows("Hi | Hello", "hi | hello", f"{EIGHT} x", f"{EIGHT} y")
    assert names(decide_rows(same, Duplicates(conversations=False))) == ["kept"] * 4
    assert names(decide_rows(same, Duplicates())) == ["kept", "duplicate_conversation", "kept", "kept"]


# ---------------------------------------------------------------- all three together


def test_exact_then_prompt_then_near() -> None:
    examples = rows(
        f"{EIGHT} | x",   # 0 kept
        f"{EIGHT} | X",   # 1 the conversation of 0
        f"{EIGHT} | q r s t u v w z",   # 2 the prompt of 0
        "a b c d e f g | h y",   # 3 near 0, 8 / 10
        "A b c d e f g | H y",   # 4 the conversation of 3, which is near 0
        "a b c d e f g | n o p q r s t u",   # 5 the prompt of 3, which is near 0
    )
    found = decide_rows(examples, Duplicates(prompts=True, near=WORDS))
    assert names(found) == ["kept", "duplicate_conversation", "duplicate_prompt", "near_duplicate", "duplicate_conversation",
                            "duplicate_prompt"]
    assert found.kept_row.tolist() == [0] * 6, "what stands for a dropped row is kept"
    assert np.nan_to_num(found.jaccard, nan=-1).tolist() == [1, 1, -1, 0.8, 0.8, -1]
    counted = {name: found.facts[name] for name in VERDICTS[:-1]}
    assert counted == {"kept": 1, "duplicate_conversation": 2, "duplicate_prompt": 2, "near_duplicate": 1}


def test_the_table_of_clusters() -> None:
    examples = rows(f"{EIGHT} x", "alone", f"{EIGHT} y", f"{EIGHT} X")
    found = decide_rows(examples, Duplicates(near=WORDS), [1, 0, 0, 0])
    table = cluster_table(found, pa.array(["r0", "r1", "r2", "r3"]), pa.array(["web", "web", "gold", "gold"]))
    assert table.schema == CLUSTER_SCHEMA
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        (0, "r2", "gold", True, None, "r2", 1.0),
        (0, "r0", "web", False, "duplicate_conversation", "r2", 0.8),
        (0, "r3", "gold", False, "near_duplicate", "r2", 0.8),
    ]


def test_clusters_join_over_any_number_of_steps() -> None:
    assert find_clusters(5, np.array([[0, 2], [2, 3]])).tolist() == [0, -1, 0, 0, -1]
    assert find_clusters(4, np.array([[3, 2], [2, 1]])).tolist() == [-1, 1, 1, 1]
    assert find_clusters(2, np.empty((0, 2), np.int64)).tolist() == [-1, -1]


def test_no_rows_at_all() -> None:
    found = decide_rows([], Duplicates(prompts=True, near=NearDuplicates()))
    assert len(found.verdict) == 0 and found.facts["kept"] == 0


# ---------------------------------------------------------------- any rows

TEXTS = st.lists(st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=12).map(" ".join), max_size=25)


def jaccard(one: str, two: str) -> float:
    return len({*one.split()} & {*two.split()}) / len({*one.split()} | {*two.split()})


@settings(deadline=None, max_examples=60, derandomize=True)
@given(TEXTS, st.lists(st.integers(0, 2), min_size=25, max_size=25), st.integers(0, 25))
def test_every_dropped_row_has_a_kept_one_and_no_near_pair_is_left(texts: list[str], priorities: list[int], cut: int) -> None:
    """128 bands of 4 miss no pair worth counting; the estimate loses 3 in 100,000 pairs at .8, hence the same draw every time."""
    wanted = Duplicates(near=NearDuplicates(shingle_words=1, permutations=512, bands=128))
    priorities = priorities[: len(texts)]
    found = decide_rows(rows(*texts), wanted, priorities)
    order = sorted(range(len(texts)), key=lambda n: (priorities[n], n))
    kept = [n for n in range(len(texts)) if found.keep[n]]
    for n in range(len(texts)):
        stands = int(found.kept_row[n])
        assert found.keep[stands] and order.index(stands) <= order.index(n)
        assert found.jaccard[n] == pytest.approx(jaccard(texts[n], texts[stands])) and found.jaccard[n] >= 0.8
    assert all(jaccard(texts[a], texts[b]) < 0.8 for a in kept for b in kept if a < b)

    compared = [compared_texts(example, wanted) for example in rows(*texts)]
    parts = joined([fingerprint(compared[:cut], wanted), fingerprint(compared[cut:], wanted)])
    again = decide(parts, priorities, wanted, lambda ns: [compared[n].words for n in ns])
    assert again.verdict.tolist() == found.verdict.tolist() and again.kept_row.tolist() == found.kept_row.tolist()


# ---------------------------------------------------------------- large buckets, texts on disk


def one_bucket(count: int) -> Index:
    return build_index(np.ones((count, 128), np.uint32), np.zeros(count, np.uint64), np.arange(count), NearDuplicates())


def test_a_large_bucket_costs_a_multiple_of_its_rows() -> None:
    standing = np.ones(5000, dtype=bool)
    pairs, left_out = candidate_pairs(one_bucket(5000), standing, NearDuplicates())
    assert len(pairs) == sum(5000 - 1 - n for n in range(16)) and left_out == 21 * (4984 * 4983 // 2)
    first, _ = candidate_pairs(one_bucket(5000), standing, NearDuplicates(), first_only=True)
    assert first.tolist() == [[0, n] for n in range(1, 5000)]


def test_a_small_bucket_is_compared_in_full_among_the_rows_that_stand() -> None:
    standing = np.arange(140) % 2 == 0
    pairs, left_out = candidate_pairs(one_bucket(140), standing, NearDuplicates())
    assert len(pairs) == 70 * 69 // 2 and left_out == 0 and (pairs % 2 == 0).all() and (pairs[:, 0] < pairs[:, 1]).all()


def test_texts_come_back_by_row_number_over_shards(tmp_path: Path) -> None:
    shards = [["하나 둘", "", "three"], [], ["네 번째 \ud800"]]
    for n, texts in enumerate(shards):
        write_words(str(tmp_path / f"{n}"), texts)
    store = WordStore.of(str(tmp_path / f"{n}") for n in range(3))
    assert store(np.array([0, 2, 3])) == ["하나 둘", "three", "네 번째 \ud800"]
    assert store(np.array([1])) == [""] and store(np.array([], dtype=np.int64)) == []


def test_verification_in_other_processes_changes_nothing(tmp_path: Path) -> None:
    wanted = Duplicates(near=NearDuplicates())
    texts = [" ".join(f"{n // 3}w{k}" if k != n % 3 else f"x{n}" for k in range(60)) for n in range(600)]
    compared = [compared_texts(example, wanted) for example in rows(*texts)]
    write_words(str(tmp_path / "words"), (row.words for row in compared))
    prints, store = fingerprint(compared, wanted), WordStore.of([str(tmp_path / "words")])
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        apart = decide(prints, np.zeros(600), wanted, store, pool.map)
    here = decide(prints, np.zeros(600), wanted, store)
    assert (apart.verdict == here.verdict).all() and (apart.jaccard == here.jaccard).all() and here.facts["near_duplicate"] == 400
