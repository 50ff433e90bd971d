from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.recipe import Teacher as Settings
from posttrain.teacher.client import open_teacher
from posttrain.teacher.worked_answers import arithmetic_holds, check_answers, final_number


@pytest.mark.parametrize(("answer", "number"), [
    ("2 + 2 = 4\n#### 4", "4"), ("#### -3", "-3"), ("#### 1,157,625", "1157625"), ("#### 2.5", "2.5"), ("2 + 2 = 4", None),
    ("#### 4\nI hope this helps.", None), ("#### four", None), ("", None),
])
def test_final_number(answer: str, number: str | None) -> None:
    assert final_number(answer) == number


@pytest.mark.parametrize("answer", [
    "2 + 2 = 4\n#### 4",
    "11 - 7 = 4\n#### 4",
    "3 * 4 = 12\n#### 12",
    "12 ÷ 4 = 3\n#### 3",
    "He has 5 + 3 = 8 apples.\n8 - 2 = 6\n#### 6",                     # AX26
    "5 + 3 - 2 = 8 - 2 = 6\n#### 6",
    "- 5 + 3 = 8\n#### 8",                                             # a bullet, not a minus
    "1. 5 + 3 = 8\n2. 8 - 2 = 6\n#### 6",
    "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n48 + 24 = 72\n#### 72",
    "1,000,000 * 1.05 * 1.05 * 1.05 = 1,157,625\n#### 1,157,625",      # AX9
    "16 - 4 * 1 * 1 = 12, so x = 12\n#### 12",
])
def test_arithmetic_that_holds(answer: str) -> None:
    assert arithmetic_holds(answer)


@pytest.mark.parametrize("answer", [
    "2 + 2 = 5\n#### 5",
    "2 + 2 = 4\n#### 5",
    "2 + 3 = 6\n2 + 2 = 4\n#### 4",          # one wrong line spoils it
    "#### 4",                                # nothing is shown
    "x = 4\n#### 4",
    "2 + 2 = 4",                             # no final line
    "1 / 0 = 0\n#### 0",
    "2 ** 3 = 8\n#### 8",                    # not one of the four operations
    "(" * 100 + "2 + 2 = 4\n#### 4",
])
def test_arithmetic_that_does_not_hold(answer: str) -> None:
    assert not arithmetic_holds(answer)


@given(st.integers(0, 999), st.integers(0, 999), st.sampled_from("+-*"))
def test_arithmetic_agrees_with_python(a: int, b: int, sign: str) -> None:
    result = {"+": a + b, "-": a - b, "*": a * b}[sign]
    assert arithmetic_holds(f"{a} {sign} {b} = {result}\n#### {result}")
    assert not arithmetic_holds(f"{a} {sign} {b} = {result + 1}\n#### {result + 1}")


@given(st.text(alphabet="0123456789+-*/().,= \n#x", max_size=300))
def test_any_text_gets_a_verdict(text: str) -> None:
    assert arithmetic_holds(text) in (True, False)


def test_an_answer_counts_only_if_a_second_solution_agrees(running_teacher: str, tmp_path: Path) -> None:
    worked = [
        ("Tom has 3 apples and buys 4. How many now?", "3 + 4 = 7\n#### 7"),
        ("Tom has 3 apples and buys 4. How many now?", "3 + 5 = 8\n#### 8"),   # sound arithmetic, another problem
        ("Tom has 3 apples and buys 4. How many now?", "3 + 4 = 8\n#### 8"),
        ("Why is the sky blue?", "3 + 4 = 7\n#### 7"),                          # nobody can solve it
        ("민수에게 사과 2개가 있고 2개를 더 샀습니다. 모두 몇 개인가요?", "2 + 2 = 4\n#### 4"),
    ]
    with open_teacher(Settings(), str(tmp_path), 0) as teacher:
        assert check_answers(teacher, worked) == ["7", None, None, None, "4"]
        assert teacher.usage()["requests"] == 2  # the third is not solved again, the second asks what the first did
