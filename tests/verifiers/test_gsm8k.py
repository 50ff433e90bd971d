from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.verifiers import GroundTruthError, verify
from posttrain.verifiers.gsm8k import find_number


@pytest.mark.parametrize(("text", "number"), [
    ("range 3-4", "4"), ("5-3", "3"), ("x-3", "3"), ("(1+1)-3", "3"),  # no sign
    ("-3", "-3"), ("a = -3", "-3"), ("답: (−3)", "-3"), ("-$10", "-10"), ("$-10", "-10"), ("+7", "7"), ("-.5", "-.5"),
    ("- 3 eggs", "3"),  # a bullet
    ("1,234,567", "1234567"), ("1,2", "2"), ("12,34", "34"),
    ("3/4", "3/4"), ("on 2/3/2024", "2024"), ("costs $5.00.", "5.00"), ("1.5e3", "1.5e3"),
    ("#### 6\nQuestion: 7 pens?", "6"), ("#### 5 … #### 6", "6"),
    ("1,157,625원", "1157625"), ("no number", None), ("", None),
])
def test_find_number(text: str, number: str | None) -> None:
    assert find_number(text) == number


@pytest.mark.parametrize(("completion", "truth", "score"), [
    # the unit cases of open-instruct's HEAD rule
    ("-3", "-3", 1), ("3", "-3", 0), ("+7", "+7", 1), ("-3.5", "-3.5", 1), ("\\boxed{-3}", "-3", 1),
    # numbers are compared as numbers
    ("The answer is 12.0", "12", 1), ("1.5e3", "1500", 1), ("6/2", "3", 1), ("12", "-12", 0), ("1/0", "0", 0),
    # text, where there is no number
    ("Yes", "yes", 1), ("No", "yes", 0), ("", "6", 0),
    # the gold may be a whole solution
    ("18", "16 - 3 - 4 = 9\n9 * 2 = 18\n#### 18", 1),
])
def test_verdicts(completion: str, truth: str, score: float) -> None:
    assert verify("gsm8k", completion, truth).score == score


def test_ax26_apples_in_korean_and_english() -> None:
    korean = "철수는 사과를 5개 가지고 있었고 3개를 더 샀으며 2개를 먹었습니다. 5 + 3 - 2 = 6이므로 답은 6개입니다."
    assert verify("gsm8k", korean, "6").score == 1
    assert verify("gsm8k", korean, "6").extracted == "6"
    assert verify("gsm8k", "5 + 3 = 8 apples, minus 2 leaves 6.", "6").score == 1
    assert verify("gsm8k", "5 + 3 = 8개입니다.", "6").score == 0


def test_empty_ground_truth_is_the_rows_fault() -> None:
    with pytest.raises(GroundTruthError, match="empty"):
        verify("gsm8k", "6", " ")


@given(st.integers(-10**12, 10**12), st.sampled_from(["{}", "{:,}", "The total is {:,}.", "답은 {}개입니다", "1 + 1\n#### {:,}"]))
def test_every_integer_is_found_however_it_is_written(number: int, form: str) -> None:
    verdict = verify("gsm8k", form.format(number), str(number))
    assert (verdict.score, verdict.extracted) == (1, str(number))
    assert verify("gsm8k", form.format(number), str(number + 1)).score == 0


def test_every_gold_of_gsm8k_test_verifies_itself_and_no_other(test_data: Path) -> None:
    with gzip.open(test_data / "eval/openai__grade-school-math/test.jsonl.gz", "rt", encoding="utf-8") as lines:
        golds = [json.loads(line)["answer"] for line in lines]
    finals = [gold.rsplit("#### ", 1)[1] for gold in golds]
    assert len(golds) == 1319
    assert sum("," in final for final in finals) == 14
    assert sorted(find_number(final) for final in finals if final.startswith("-")) == ["-10", "-3"]
    for gold, final in zip(golds, finals, strict=True):
        assert verify("gsm8k", gold, final).score == 1
        assert verify("gsm8k", gold, f"{find_number(final)}1").score == 0
