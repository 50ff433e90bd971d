"""Word problems: every template reads back, streams do not meet, and a template in common is no contamination."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from posttrain.decontaminate.normalize import words
from posttrain.problems import (
    NAMES,
    PERSONAS,
    SHRUGS,
    SKILLS,
    THINGS,
    build_problem,
    eval_items,
    follow_up,
    forum_rows,
    make_problem,
    raw_rows,
    read_bare,
    read_problem,
    reword,
    skill_of_scarcity,
)

ANSWERS = {"addition": 12, "subtraction": 8, "multiplication": 24, "korean_addition": 8, "korean_division": 4}
"""Worked by hand for the operands below."""
OPERANDS = {
    "addition": (7, 5), "subtraction": (13, 5), "multiplication": (4, 6), "korean_addition": (3, 5), "korean_division": (12, 3),
}
ALL_TEMPLATES = [(skill, n) for skill, spec in SKILLS.items() for n in range(len(spec.templates))]

skills = st.sampled_from(sorted(SKILLS))
seeds = st.integers(0, 10_000)


@pytest.mark.parametrize(("skill", "template"), ALL_TEMPLATES)
def test_every_template_reads_back_with_the_answer_worked_by_hand(skill, template):
    a, b = OPERANDS[skill]
    for seed in range(5):
        problem = build_problem(skill, a, b, random.Random(seed), template=template)
        assert problem.answer == ANSWERS[skill]
        assert problem.solution.splitlines()[-1] == f"#### {ANSWERS[skill]}"
        found = read_problem(f"Please help me.\n{problem.question} Thank you.")
        assert found is not None
        assert (found.skill, found.a, found.b, found.answer, found.question) == (skill, a, b, problem.answer, problem.question)


@given(skills, seeds)
def test_a_made_problem_is_in_range_and_reads_back(skill, seed):
    problem = make_problem(skill, random.Random(seed))
    spec = SKILLS[skill]
    low, high = spec.numbers[1]
    assert low <= problem.b <= high
    assert problem.language == spec.language == ("ko" if re.search("[가-힣]", problem.question) else "en")
    if spec.sign == "/":
        assert problem.a == problem.b * problem.answer
    if spec.sign == "-":
        assert problem.answer > 0
    found = read_problem(problem.question)
    assert found is not None and (found.skill, found.answer) == (skill, problem.answer)


def test_a_text_without_a_problem_is_none():
    for text in ("", "What is the capital of France?", "Tom has many apples and buys 3. How many now?", "사과가 있습니다."):
        assert read_problem(text) is None


def test_a_division_with_a_remainder_is_no_problem():
    assert read_problem("민수의 사과 12개를 5줄로 똑같이 놓으면 한 줄은 몇 개인가요?") is None
    assert read_problem("민수의 사과 12개를 0줄로 똑같이 놓으면 한 줄은 몇 개인가요?") is None


@pytest.mark.parametrize(("text", "skill", "answer"), [
    ("2+2?", "addition", 4),
    ("7 × 8 = ?", "multiplication", 56),
    ("9 - 4", "subtraction", 5),
    ("2 + 2는 얼마인가요?", "korean_addition", 4),
    ("8 ÷ 2는 얼마인가요?", "korean_division", 4),
])
def test_bare_arithmetic_is_recognised(text, skill, answer):
    found = read_bare(text)
    assert found is not None and (found.skill, found.answer) == (skill, answer)


@pytest.mark.parametrize("text", ["2 + 2 + 2?", "7 / 2", "7 / 0", "hello"])
def test_a_chain_a_remainder_or_no_arithmetic_is_not_bare_arithmetic(text):
    assert read_bare(text) is None


# ---------------------------------------------------------------- overlap


def ngrams(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[n:n + 8]) for n in range(len(found) - 7)}


@pytest.mark.parametrize(("skill", "template"), ALL_TEMPLATES)
def test_every_eight_words_of_a_template_hold_both_numbers(skill, template):
    # 8888 and 7777 stand in no other place of a problem; 4444 × 2222 is the division's dividend.
    a, b = (4444 * 2222, 2222) if SKILLS[skill].sign == "/" else (8888, 7777)
    question = build_problem(skill, a, b, random.Random(0), template=template).question
    assert ngrams(question), "shorter than 8 words: the n-gram rule would never look at it"
    for gram in ngrams(question):
        numbers = [re.match(r"\d+", word).group() for word in gram if word[0].isdigit()]
        assert numbers == [str(a), str(b)], " ".join(gram)


@given(skills, skills, seeds, seeds)
def test_two_problems_share_eight_words_only_where_they_share_both_numbers(one_skill, other_skill, one_seed, other_seed):
    one = make_problem(one_skill, random.Random(f"one {one_seed}"))
    other = make_problem(other_skill, random.Random(f"other {other_seed}"))
    if ngrams(one.question) & ngrams(other.question):
        assert (one.a, one.b, one.skill) == (other.a, other.b, other.skill)


@given(skills, seeds)
def test_the_same_template_name_and_thing_with_one_other_number_share_nothing(skill, seed):
    rng = random.Random(seed)
    template = rng.randrange(len(SKILLS[skill].templates))
    one = make_problem(skill, rng)
    for a, b in ((one.a + one.b, one.b), (one.a, one.b + 1)):
        first = build_problem(skill, one.a, one.b, random.Random(seed), template=template)
        second = build_problem(skill, a, b, random.Random(seed), template=template)
        assert not ngrams(first.question) & ngrams(second.question)


@given(seeds)
def test_the_same_problem_under_another_name_can_be_contamination(seed):
    one, other = (f"{name} has 7 apples and buys 5. How many now?" for name in random.Random(seed).sample(NAMES["en"], 2))
    assert ngrams(one) & ngrams(other)


# ---------------------------------------------------------------- streams


@given(seeds)
def test_training_and_eval_streams_of_one_seed_differ(seed):
    names = ("addition", "subtraction")
    training = [row["question"] for row in raw_rows(20, names, 0.0, seed)]
    items = [item["question"] for item in eval_items("addition", 20, seed)]
    assert training != items[:20]
    assert training == [row["question"] for row in raw_rows(20, names, 0.0, seed)]
    assert items == [item["question"] for item in eval_items("addition", 20, seed)]
    assert training != [row["question"] for row in raw_rows(20, names, 0.0, seed + 1)]


def test_eval_items_are_distinct_and_answered():
    items = list(eval_items("korean_division", 150, 0))
    assert len({item["question"] for item in items}) == 150
    for item in items:
        found = read_problem(item["question"])
        assert found is not None and item["answer"].endswith(f"#### {found.answer}") and item["skill"] == "korean_division"


def test_the_scarce_skill_gets_its_share_and_the_seed_draws_it():
    names = ("addition", "subtraction", "multiplication", "korean_division")
    drawn = {skill_of_scarcity(names, seed) for seed in range(40)}
    assert drawn == set(names)
    rows = list(raw_rows(2_000, names, 0.02, 3))
    counts = {name: sum(row["skill"] == name for row in rows) for name in names}
    assert 20 <= counts.pop(skill_of_scarcity(names, 3)) <= 65
    assert all(550 < count < 750 for count in counts.values())


def test_the_demo_holds_bare_arithmetic_and_defects():
    rows = list(raw_rows(2_000, ("addition", "korean_division"), 0.0, 0))
    bare = [row for row in rows if row["question"] and len(row["question"]) < 20 and read_bare(row["question"])]
    assert 50 <= len(bare) <= 110
    assert any(row["answer"] is None for row in rows) and any(row["answer"] == "" for row in rows)
    assert any("ChatGPT" in (row["answer"] or "") for row in rows) and any("<|im_end|>" in row["question"] for row in rows)


def test_forum_rows_help_nobody():
    rows = list(forum_rows(50, ("addition", "korean_division"), 0))
    asked = [read_problem(row["prompt"]) for row in rows]
    assert {found.skill for found in asked if found} == {"addition", "korean_division"}
    for row, found in zip(rows, asked, strict=True):
        assert found is not None and row["completion"] in SHRUGS[found.language]
        assert not re.search(r"\d", row["completion"])


# ---------------------------------------------------------------- variations


@given(skills, seeds)
def test_a_reworded_problem_keeps_the_skill_and_changes_the_numbers(skill, seed):
    problem = make_problem(skill, random.Random(seed))
    other = reword(problem, random.Random(seed + 1))
    assert other.skill == problem.skill and (other.a, other.b) != (problem.a, problem.b)
    assert not ngrams(other.question) & ngrams(problem.question)


@given(skills, seeds)
def test_a_follow_up_goes_on_with_the_result_where_it_fits(skill, seed):
    problem = make_problem(skill, random.Random(seed))
    low, high = SKILLS[skill].numbers[0]
    after = follow_up(problem, random.Random(seed))
    assert after.skill == skill
    assume(low <= problem.answer <= high and SKILLS[skill].sign != "/")
    assert after.a == problem.answer


@pytest.mark.parametrize("persona", sorted(PERSONAS))
def test_a_persona_counts_its_own_things(persona):
    language = "ko" if re.search("[가-힣]", persona) else "en"
    skill = "korean_addition" if language == "ko" else "addition"
    assert set(PERSONAS[persona]) <= set(THINGS[language])
    for seed in range(10):
        problem = make_problem(skill, random.Random(seed), persona=persona)
        assert problem.persona == persona
        assert any(thing in problem.question for thing in PERSONAS[persona])
