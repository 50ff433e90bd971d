"""Duplicates in meaning: vectors whose cosines one can redo by hand, then the whole filter stage with a real, tiny model."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from posttrain.duplicates import semantic
from posttrain.duplicates.meaning import Meanings, read_texts
from posttrain.duplicates.semantic import cosines, find_semantic
from posttrain.duplicates.settings import SemanticDuplicates
from posttrain.schema import Message, PreferencePair, RLVRExample, SFTExample

SETTINGS = SemanticDuplicates(model="any/model")
FACTS = dict(source="s", category="general", skill="general", language="en", license="MIT")


def at(*degrees: float, group: list[int] | None = None, numbers: list[int] | None = None) -> Meanings:
    """Rows with one vector in the plane each: two rows 18 degrees apart have a cosine of .951, 19 degrees .946."""
    angles, count = np.radians(np.array(degrees)), len(degrees)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)[:, None].astype(np.float32)
    return Meanings(np.arange(count), vectors, np.array(group or [0] * count, np.uint64),
                    np.array(numbers or [0] * count, np.uint64))


def found(meanings: Meanings, settings: SemanticDuplicates = SETTINGS, priorities: list[int] | None = None) -> dict[int, int]:
    """Fallen row → the row that stands for it."""
    fallen = find_semantic([meanings], priorities or [0] * len(meanings), settings).fallen
    return dict(zip(fallen.rows.tolist(), fallen.kept.tolist(), strict=True))


def test_a_row_falls_to_a_kept_one_and_takes_nobody_with_it() -> None:
    """10 falls to 0; 20 is near 10 only, which is not kept; 37 falls to 20; 90 is alone."""
    assert found(at(0, 10, 20, 37, 90)) == {1: 0, 3: 2}
    one = find_semantic([at(0, 10)], [0, 0], SETTINGS).fallen
    assert one.cosine.tolist() == [round(math.cos(math.radians(10)), 6)]


def test_on_the_threshold_and_below() -> None:
    assert found(at(0, 18), with_threshold(math.floor(math.cos(math.radians(18)) * 1e6) / 1e6)) == {1: 0}
    assert found(at(0, 18), with_threshold(math.ceil(math.cos(math.radians(18)) * 1e6) / 1e6 + 1e-6)) == {}


def with_threshold(threshold: float) -> SemanticDuplicates:
    return SETTINGS.model_copy(update={"threshold": threshold})


def test_the_nearest_kept_row_stands_and_priority_decides() -> None:
    assert found(at(0, 30, 16)) == {2: 1}, "14 degrees from the second row, 16 from the first"
    assert found(at(0, 10), priorities=[1, 0]) == {0: 1}
    assert found(at(0, 10, 20), priorities=[1, 0, 1]) == {0: 1, 2: 1}


def test_rows_of_two_groups_are_never_compared() -> None:
    assert found(at(0, 0, 0, group=[1, 2, 1])) == {2: 0}


def test_other_numbers_spare_a_row_and_it_is_named() -> None:
    rows = at(0, 5, 10, 10, numbers=[1, 2, 2, 3])
    result = find_semantic([rows], [0] * 4, SETTINGS)
    assert (result.fallen.rows.tolist(), result.fallen.kept.tolist()) == ([2], [1])
    assert (result.spared.rows.tolist(), result.spared.kept.tolist()) == ([1, 3], [0, 0]) and result.other_numbers == 0
    assert result.spared.cosine.tolist() == [round(math.cos(math.radians(5)), 6), round(math.cos(math.radians(10)), 6)]
    result = find_semantic([rows], [0] * 4, SETTINGS.model_copy(update={"same_numbers": False}))
    assert result.fallen.rows.tolist() == [1, 2, 3] and not len(result.spared.rows) and result.other_numbers == 3


def test_of_pairs_both_sides_must_be_near_and_not_crosswise() -> None:
    def pair(chosen: float, rejected: float) -> np.ndarray:
        return np.array([[math.cos(a), math.sin(a)] for a in np.radians([chosen, rejected])], np.float32)

    vectors = np.stack([pair(0, 40), pair(5, 42), pair(0, 80), pair(40, 0), pair(0, 10), pair(10, 0)])
    score = cosines(vectors, vectors, np.zeros(5, np.int64), np.arange(1, 6))
    assert score[0] == round(math.cos(math.radians(5)), 6) and score[1] == round(math.cos(math.radians(40)), 6)
    assert score[2] == -1 and score[3] == round(math.cos(math.radians(30)), 6)
    assert cosines(vectors, vectors, np.array([4]), np.array([5])).tolist() == [-1], "the same answers the other way round"


def brute_force(meanings: Meanings, settings: SemanticDuplicates, priorities: list[int]) -> dict[int, tuple[int, float]]:
    kept: list[int] = []
    fallen = {}
    for row in sorted(range(len(meanings)), key=lambda n: (priorities[n], n)):
        scores = [(-round(float(meanings.vectors[row, 0].astype(float) @ meanings.vectors[k, 0].astype(float)), 6), place, k)
                  for place, k in enumerate(kept) if meanings.numbers[row] == meanings.numbers[k]]
        best = min(scores, default=(0.0, 0, -1))
        if -best[0] >= settings.threshold:
            fallen[row] = (best[2], -best[0])
        else:
            kept.append(row)
    return fallen


def crowd(count: int, seed: int) -> Meanings:
    """Rows about a tenth as many centres, in eight dimensions, of three kinds of numbers."""
    dice = np.random.default_rng(seed)
    vectors = dice.normal(size=(count // 10, 8))[dice.integers(count // 10, size=count)] + dice.normal(size=(count, 8)) * 0.2
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Meanings(np.arange(count), vectors[:, None].astype(np.float32), np.zeros(count, np.uint64),
                    dice.integers(3, size=count).astype(np.uint64))


@pytest.mark.parametrize("blocks", [(1_024, 16_384), (7, 5), (1, 1), (64, 3)])
def test_the_complete_search_is_brute_force_however_it_is_cut(blocks: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic, "ROWS_A_BLOCK", blocks[0])
    monkeypatch.setattr(semantic, "KEPT_AT_ONCE", blocks[1])
    meanings, priorities = crowd(300, 0), np.random.default_rng(1).integers(3, size=300).tolist()
    result = find_semantic([meanings], priorities, SETTINGS)
    fallen = {row: (kept, cosine) for row, kept, cosine in zip(*map(np.ndarray.tolist, (
        result.fallen.rows, result.fallen.kept, result.fallen.cosine)), strict=True)}
    assert fallen == brute_force(meanings, SETTINGS, priorities) and 50 < len(fallen) < 250
    kept = set(range(300)) - fallen.keys()
    order = sorted(kept, key=lambda n: (priorities[n], n))
    first = {}
    for place, row in enumerate(order):
        for other in order[:place]:
            if cosines(meanings.vectors, meanings.vectors, np.array([row]), np.array([other]))[0] >= 0.95:
                first.setdefault(row, other)
    assert dict(zip(result.spared.rows.tolist(), result.spared.kept.tolist(), strict=True)) == first and len(first) > 5


def test_cut_into_parts_it_is_the_same_search() -> None:
    whole = crowd(200, 3)
    parts = [Meanings(*(getattr(whole, name)[some] for name in ("rows", "vectors", "group", "numbers")))
             for some in (slice(0, 0), slice(0, 70), slice(70, 200))]
    one, two = find_semantic([whole], [0] * 200, SETTINGS), find_semantic(parts, [0] * 200, SETTINGS)
    assert (one.fallen.rows.tolist(), one.fallen.kept.tolist()) == (two.fallen.rows.tolist(), two.fallen.kept.tolist())


def test_above_the_limit_clusters_find_most_of_it_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic, "ROWS_A_CLUSTER", 100)
    meanings = crowd(1_000, 5)
    wanted = SETTINGS.model_copy(update={"complete_rows": 999})
    every, cut, again = (find_semantic([meanings], [0] * 1_000, s) for s in (SETTINGS, wanted, wanted))
    assert every.clusters == 0 and 10 <= cut.clusters <= 20 and cut.fallen.rows.tolist() == again.fallen.rows.tolist()
    assert cut.fallen.cosine.min() >= 0.95 and not set(cut.fallen.kept.tolist()) & set(cut.fallen.rows.tolist())
    exact = cosines(meanings.vectors, meanings.vectors, cut.fallen.rows, cut.fallen.kept)
    assert exact.tolist() == cut.fallen.cosine.tolist() and len(set(cut.fallen.rows.tolist())) == len(cut.fallen.rows)
    assert (meanings.numbers[cut.fallen.rows] == meanings.numbers[cut.fallen.kept]).all()
    assert not set(cut.fallen.rows.tolist()) & set(cut.spared.rows.tolist() + cut.spared.kept.tolist())
    shared = set(every.fallen.rows.tolist()) & set(cut.fallen.rows.tolist())
    assert len(shared) >= 0.95 * len(every.fallen.rows)


def test_clusters_of_very_few_rows() -> None:
    assert found(at(0, 0, 0), SETTINGS.model_copy(update={"complete_rows": 1})) == {1: 0, 2: 0}
    assert found(at(0, 90), SETTINGS.model_copy(update={"complete_rows": 1})) == {}


# ---------------------------------------------------------------- what is read of a row


def messages(*turns: str) -> tuple[Message, ...]:
    return tuple(Message("user" if n % 2 == 0 else "assistant", turn) for n, turn in enumerate(turns))


def test_what_the_model_reads_of_a_conversation_and_of_a_prompt() -> None:
    row = SFTExample(id="1", messages=messages("How  many\ncats?", "Two.", "And dogs?", "3 dogs"), **FACTS)
    read = read_texts(row, SETTINGS)
    assert read and read.sides == ("How many cats?\nTwo.\nAnd dogs?\n3 dogs",)
    prompt = read_texts(row, SETTINGS.model_copy(update={"what": "prompt"}))
    assert prompt and prompt.sides == ("How many cats?",) and prompt.group == read.group
    assert read_texts(replace(row, messages=messages(" ", "")), SETTINGS) is None


def test_numbers_are_those_of_the_question_however_they_are_spelled() -> None:
    def numbers(question: str, answer: str) -> bytes:
        read = read_texts(SFTExample(id="1", messages=messages(question, answer), **FACTS), SETTINGS)
        assert read
        return read.numbers

    assert numbers("Add 3 and 1,200.", "1203") == numbers("What are three and 1200 together?", "It is 1203, of 2 numbers.")
    assert numbers("Add 3 and 4.", "7") != numbers("Add 3 and 5.", "7")


def test_two_uses_of_one_text_are_two_groups() -> None:
    prompt, fine, bad = messages("Why?"), messages("Why?", "So."), messages("Why?", "No.")
    rows = [SFTExample(id="1", messages=fine, **FACTS),
            RLVRExample(id="2", messages=prompt, ground_truth="1", verifier="v", **FACTS),
            RLVRExample(id="3", messages=prompt, ground_truth="2", verifier="v", **FACTS),
            PreferencePair(id="4", prompt="Why?", chosen=fine, rejected=bad, **FACTS),
            PreferencePair(id="5", prompt="Why?", chosen=fine, rejected=(), **FACTS),
            PreferencePair(id="6", prompt="Why?", chosen=(), rejected=bad, **FACTS)]
    read = [read_texts(row, SETTINGS) for row in rows]
    assert len({one.group for one in read if one}) == 6
    assert [one.sides for one in read[3:] if one] == [("Why?\nSo.", "Why?\nNo."), ("Why?\nSo.",) * 2, ("Why?\nNo.",) * 2]
