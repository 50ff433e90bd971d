"""The numbers of a text, their agreement, and paraphrases that are found by it."""

from __future__ import annotations

import gzip
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain.decontaminate import similarity
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.decontaminate.numbers import (
    AGREEMENT,
    DAMPING,
    MIN_AGREEMENT,
    PRIOR,
    index_numbers,
    nominating_numbers,
    number_keys,
    reworded,
    score_nominated,
    turn_numbers,
)
from posttrain.decontaminate.sparse_join import scores_of
from posttrain.text_numbers import elements, numbers


@pytest.mark.parametrize(("text", "expected"), [
    ("He pays $1,200 for three dozen, a third of 3,600.", [1200, 36, 1 / 3, 3600]),
    ("Three quarters, three-fifths, ⅔, 2/3, \\frac{2}{3} and ½", [0.75, 0.6, 2 / 3, 2 / 3, 2 / 3, 0.5]),
    ("twenty-five, twenty five, two hundred, 3 million, 1.5 thousand", [25, 25, 200, 3_000_000, 1500]),
    ("half as many, twice the price, thrice, a pair of doubles", [0.5, 2, 3, 2]),
    ("50% and 50 percent, .5 hours, 0.50", [50, 50, 0.5, 0.5]),
    ("one of them, the first one", []),
    ("half an hour, two dozen, 3 dozen, a dozen, 2 halves", [30, 24, 36, 12, 2, 0.5]),
    ("one-third of the 30mph", [1 / 3, 30]),
    ("1{,}000 and 12,345.60; not a list 1,2,3", [1000, 12345.6, 1, 2, 3]),
    ("x2 and h_3 are names", []),
    ("a date 1/2/2024", [1, 2, 2024]),
    ("두 수의 합이 10이고 3분의 2가 1만 5천이다", [2, 10, 2 / 3, 15000]),
    ("사과 세 개와 배 다섯 개, 절반, 세상", [3, 5, 0.5]),
    ("5/0 is no number", []),
    ("9" * 400, []),
    ("", []),
])
def test_numbers_of_a_text(text: str, expected: list[float]) -> None:
    assert numbers(text) == pytest.approx(expected)


@given(st.text(max_size=200))
def test_any_text_has_finite_numbers(text: str) -> None:
    assert all(math.isfinite(value) and value >= 0 for value in numbers(text))


def test_elements_tell_the_second_5_from_the_first() -> None:
    assert elements("5 and five and 7") == [(5.0, 0), (5.0, 1), (7.0, 0)]


def agreements(index: EvalIndex, turns: list[str], turn: np.ndarray, text: np.ndarray) -> np.ndarray:
    """The agreement of each given pair (turn, number of an eval text)."""
    return scores_of(turn_numbers(index, turns), index_numbers(index).texts, turn, text, AGREEMENT)


@pytest.fixture
def shop(bench) -> EvalIndex:
    items = ["A pen costs 3 dollars and a book 17 dollars. How much are 5 pens?", "Count to 3.", "No numbers here."]
    bench.add_eval("eval", items)
    return load_index(bench.index())


def test_agreement_by_hand(shop: EvalIndex) -> None:
    """The item has 3 (df 2), 17 and 5 (df 1); the turn 17, 5 and 99, which no eval text has. Two eval texts have numbers."""
    def w(df: int) -> float:
        return math.log(1 + (PRIOR + 2) / (1 + df))

    found = agreements(shop, ["17 and 5 and 99"], np.zeros(3, np.int64), np.arange(3))
    shared = 2 * w(1)
    assert found[0] == round(shared / (shared + w(2) + w(0) + DAMPING), 9)
    assert found[1:].tolist() == [0.0, 0.0]


def test_a_paraphrase_with_the_same_numbers_is_found_and_the_exercise_with_others_is_not(shop: EvalIndex) -> None:
    same = "Books are priced at 17 dollars and pens at three dollars. What would five pens cost in total?"
    other = "Books are priced at 16 dollars and pens at four dollars. What would six pens cost in total?"
    assert [(match.turn, match.item, match.measure) for match in reworded(shop, [same, other], 0.5)] == [(0, 0, "reworded")]


def test_the_score_is_the_mean_of_wording_and_agreement(shop: EvalIndex) -> None:
    turn = "A pen costs 3 dollars and a book 17 dollars. How much are 5 pens in all?"
    match = reworded(shop, [turn], 0.5)[0]
    agreed = agreements(shop, [turn], np.zeros(1, np.int64), np.array([0]))[0]
    without_numbers = similarity.side_of(shop, "wording", similarity.turn_counts(shop, [turn]))
    wording = float((without_numbers.matrix @ similarity.texts_of(shop, "wording").matrix.T).toarray()[0, 0])
    assert match.score == pytest.approx((agreed + wording) / 2, abs=2e-9)
    assert agreed >= MIN_AGREEMENT


def test_the_korean_seed_example_is_flagged(bench) -> None:
    bench.add_eval("eval", ["Where is the Eiffel Tower?", "두 정수의 합이 10이고 곱이 24라면, 이 두 정수를 구하시오."])
    index = load_index(bench.index())
    found = reworded(index, ["두 수의 합이 10이고 두 수를 곱하면 24일 때, 두 수를 찾아라."], 0.5)
    assert [match.item for match in found] == [1]


# ---------------------------------------------------------------- complete

WORDS = ("2", "2", "3", "five", "7,000", "99", "1/3", "cat", "dog", "buys", "sells", "apples", "the")
QUESTION = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join)


@settings(max_examples=25, deadline=None)
@given(items=st.lists(QUESTION, min_size=1, max_size=15, unique=True), turns=st.lists(QUESTION, min_size=1, max_size=10),
       floor=st.sampled_from([0.3, 0.5, 0.7]))
def test_no_pair_is_missed(tmp_path_factory, items, turns, floor) -> None:
    from tests.decontaminate.conftest import Bench

    own = Bench(tmp_path_factory.mktemp("numbers"))
    own.add_eval("eval", items)
    index = load_index(own.index())
    turn, text = (grid.ravel() for grid in np.meshgrid(np.arange(len(turns)), np.arange(len(items)), indexing="ij"))
    agreed = agreements(index, turns, turn, text)
    side = similarity.side_of(index, "wording", similarity.turn_counts(index, turns))
    alike = np.asarray((side.matrix @ similarity.texts_of(index, "wording").matrix.T).todense()).ravel()
    score = np.round((agreed + alike) / 2, 9)
    sure = np.abs(score - floor) > 1e-8
    reached = (agreed >= MIN_AGREEMENT) & (score >= floor) & sure
    expected = {(int(t), int(i)) for t, i, hit in zip(turn, text, reached, strict=True) if hit}
    found = reworded(index, turns, floor)
    doubtful = {(int(t), int(i)) for t, i, clear in zip(turn, text, sure, strict=True) if not clear}
    assert {(match.turn, match.item) for match in found} - doubtful == expected
    nominated = [[k for k, item in enumerate(items) if set(keys) & set(number_keys(item))]
                 for keys in nominating_numbers(index, turns)]
    assert score_nominated(index, turns, nominated, floor) == found


# ---------------------------------------------------------------- real rows

PARAPHRASES = {
    0: "Janet's ducks produce 16 eggs each day. She consumes three of them for her morning meal and uses four to bake muffins "
       "for her friends daily. The remaining eggs are sold at the daily farmers' market for $2 per egg. What is the daily amount "
       "in dollars that she earns at the farmers' market?",
    5: "Kylar visited the shop to purchase glasses for his new flat. A single glass is priced at $5, however, every alternate "
       "glass is priced at just 60% of the original cost. Kylar plans to buy 16 glasses. What is the total cost he has to incur "
       "for the glasses?",
    11: "Toula visited the bakery and purchased an assortment of pastries. She purchased 3 dozen donuts priced at $68 for each "
        "dozen, 2 dozen mini cupcakes priced at $80 per dozen, and 6 dozen mini cheesecakes at a price of $55 per dozen. What "
        "was the overall expense?",
}
"""Row of GSM8K test → its paraphrase in lm-sys/llm-decontaminator (Apache-2.0)."""


def test_gsm8k_paraphrases_are_found_and_few_real_train_rows_are_flagged(test_data, bench) -> None:
    def questions(path: str) -> list[str]:
        with gzip.open(test_data / path, "rt", encoding="utf-8") as f:
            return [json.loads(line)["question"] for line in f]

    bench.add_eval("gsm8k", questions("eval/openai__grade-school-math/test.jsonl.gz"))
    index = load_index(bench.index())
    found = reworded(index, list(PARAPHRASES.values()), 0.5)
    assert [(list(PARAPHRASES)[match.turn], match.item) for match in found] == [(row, row) for row in PARAPHRASES]
    train = questions("train/openai__grade-school-math/train.jsonl.gz")
    assert len({match.turn for match in reworded(index, train, 0.5)}) <= 22
