r"""The 16 cases of Hendrycks' math_equivalence_test, 21 more pairs as declared in the module's policy, and extraction."""

from __future__ import annotations

import gzip
import json
import threading
import time
from pathlib import Path

import pytest

from posttrain.verifiers import GroundTruthError, verify
from posttrain.verifiers.math import is_equal, last_boxed, normalise, read_answers
from posttrain.verifiers.sympy_process import SECONDS, numeric_value

HENDRYCKS = [
    ("10, 4, -2", "4, 10, -2", False),
    ("0.1, 4, 2", "4, .1, 2", False),
    (r"10\text{ units}", "100", False),
    ("5x - 7y + 11z + 4 = 0", "x + y - z + 2 = 0", False),
    (r"\tfrac{1}{2} + \frac1{72}", r"\dfrac{1}{2} + \frac{1}{72}", True),
    (r"10\text{ units}", "10 ", True),
    ("10", r"\$10", True),
    (r"10\%", "10", True),
    (r"\left(x-2\right)\left(x+2\right)", "(x-2)(x+2)", True),
    ("0.1, 4, 2", ".1, 4, 2", True),
    (r"\sqrt4", r"\sqrt{4}", True),
    (r"2\sqrt4", r"2 \sqrt{4}", True),
    (r"\frac34i", r"\frac{3}{4}i", True),
    (r"\tfrac83", r"\frac{8}{3}", True),
    ("1/2", r"\frac{1}{2}", True),
    ("5x - 7y + 11z + 4 = 0", "5x-7y+11z+4=0", True),
]
DECLARED = [
    ("3/2", "1.5", True), (r"2\sqrt{2}", r"\sqrt{8}", True), ("x+1", "1+x", True), ("(x+1)^2", "x^2+2x+1", True),
    ("1,000", "1000", True), (".50", ".5", True),
    (r"50\%", "50", True), (r"90^\circ", "90", True), (r"\$18.90", "18.90", True), ("x=5", "5", True),
    (r"\{1,2\}", r"\{2,1\}", True), (r"3\pi", "9.42477796", True), (r"\text{east}", "east", True),
    ("(1,2)", "1,2", False), (r"\frac{1}{3}", ".333", False), (r"10\%", ".1", False),
    ("1110", "1110_4", False), (r"1,\!000,\!000", "1000000", True), (r"\text{(C)}", "C", True), ("east", "seat", False),
    ("(1,2]", "(1,2)", False),
]


@pytest.mark.parametrize(("a", "b", "equal"), HENDRYCKS + DECLARED)
def test_equality_both_ways(a: str, b: str, equal: bool) -> None:
    assert (is_equal(a, b), is_equal(b, a)) == (equal, equal)


def test_there_are_16_and_21_pairs() -> None:
    assert (len(HENDRYCKS), len(DECLARED)) == (16, 21)


@pytest.mark.parametrize(("text", "normal"), [
    (r"\dfrac12", r"\frac{1}{2}"), ("0.5", r"\frac{1}{2}"), ("3/4", r"\frac{3}{4}"), ("k = 7", "7"), (r"\sqrt3", r"\sqrt{3}"),
    ("25π cm²", r"25\pi"), ("6개", "6"), (r"12\text{ cm}^2", "12"), ("5m", "5m"), ("100°", "100"),
])
def test_normalise(text: str, normal: str) -> None:
    assert normalise(text) == normal


def test_only_a_set_may_change_its_order() -> None:
    assert is_equal(r"x = 2/3 또는 x = -2", r"\{-2, \frac{2}{3}\}")
    assert is_equal("x = -2 or x = -3", "-2, -3")
    assert not is_equal("-3, -2", "-2, -3")


def test_both_sides_of_an_approximation_must_agree() -> None:
    assert is_equal("25π ≈ 78.5 cm²", r"25\pi")
    assert is_equal("25π ≈ 78.5", "78.5")
    assert not is_equal("25π ≈ 3", r"25\pi")
    assert not is_equal("25π ≈ 78.5", r"24\pi")


@pytest.mark.parametrize(("completion", "explicit", "first_guess"), [
    (r"\boxed{1} or rather \boxed{\frac{1}{2}}", [r"\frac{1}{2}"], None),
    (r"so \boxed 7.", ["7."], None),
    (r"\boxed{1", [], r"\boxed{1"),
    ("Final Answer: The final answer is $3$. I hope it is correct.\n"
     "Final Answer: The final answer is $4$. I hope it is correct.", ["4"], None),
    ("First $x+1$, then $7$.", [], "7"),
    ("2x = 10\nx = 5", [], "5"),
    ("The answer is 12.", [], "12"),
    ("정답은 12입니다.", [], "12"),
])
def test_read_answers(completion: str, explicit: list[str], first_guess: str | None) -> None:
    found, guesses = read_answers(completion)
    assert found == explicit
    assert (guesses[0] if guesses else None) == first_guess


def test_a_boxed_answer_does_not_hedge_a_minerva_answer() -> None:
    both = r"\boxed{%s} Final Answer: The final answer is $%s$. I hope it is correct."
    assert verify("math", both % (4, 4), "4").score == 1
    assert verify("math", both % (3, 4), "4").score == 0
    assert verify("math", both % (4, 3), "4").score == 0


@pytest.mark.parametrize("completion", [
    "25π ≈ 78.5 cm²", "원의 넓이 = πr² = π × 5² = 25π ≈ 78.5 cm²", "원의 넓이는 25π cm²입니다.", "The area is $25\\pi$ cm².",
    "The area is \\boxed{25\\pi}.",
])
def test_ax25_area_of_a_circle(completion: str) -> None:
    assert verify("math", completion, r"25\pi").score == 1
    assert verify("math", completion, r"10\pi").score == 0


def test_ax30_chosen_right_rejected_wrong() -> None:
    chosen = "2x + 5 = 15이므로 양변에서 5를 빼면 2x = 10입니다.\n따라서 x = 5입니다."
    assert verify("math", chosen, "5").score == 1
    assert verify("math", "x = 10", "5").score == 0


def test_ax2_and_ax6_signs_are_kept() -> None:
    assert verify("math", "D = 64\n따라서 x = 2/3, -2", r"\{\frac{2}{3}, -2\}").score == 1
    assert verify("math", "두 정수는 4, -3 입니다.", "4, -3").score == 1
    assert verify("math", "두 정수는 4, 3 입니다.", "4, -3").score == 0


MALFORMED = ["", "   ", "\\boxed{}", "$", "}{", "\\frac{", "\\boxed{\\frac{1}{", "=", "≈", "(" * 3000, "\x00"]


@pytest.mark.parametrize("completion", MALFORMED)
def test_malformed_completions_score_zero(completion: str) -> None:
    assert verify("math", completion, "5").score == 0


def test_empty_ground_truth_is_the_rows_fault() -> None:
    with pytest.raises(GroundTruthError):
        verify("math", "5", "$$")


def test_last_boxed_takes_nested_braces() -> None:
    assert last_boxed(r"\boxed{\frac{1}{\sqrt{2}}} end") == r"\frac{1}{\sqrt{2}}"


def test_works_in_threads_and_a_hopeless_comparison_ends() -> None:
    results: dict[str, bool] = {}

    def ask(name: str, a: str, b: str) -> None:
        results[name] = is_equal(a, b)

    asks = [("hopeless", "9^{9^{9^{9}}}", "1"), ("true", r"\sqrt{12}", r"2\sqrt{3}"), ("false", r"\sqrt{12}", r"3\sqrt{2}")]
    threads = [threading.Thread(target=ask, args=arguments) for arguments in asks]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {"hopeless": False, "true": True, "false": False}
    assert time.monotonic() - started < 8 * SECONDS
    assert numeric_value(r"2\pi") == pytest.approx(6.2831853)


def test_ground_truths_of_the_real_rlvr_sample_verify_themselves(test_data: Path) -> None:
    with gzip.open(test_data / "train/allenai__open-instruct/rlvr_sample.jsonl.gz", "rt", encoding="utf-8") as lines:
        truths = sorted({row["ground_truth"] for row in map(json.loads, lines) if row["dataset"] == "MATH"})
    assert len(truths) == 45
    for truth in truths:
        assert verify("math", f"So the answer is \\boxed{{{truth}}}.", truth).score == 1, truth
        assert verify("math", f"The final answer is ${truth}$. I hope it is correct.", truth).score == 1, truth
        assert verify("math", "So the answer is \\boxed{123456789}.", truth).score == 0, truth
