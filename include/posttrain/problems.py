"""One-step word problems, made and solved by rules: the demo's raw data, its eval items and the procedural teacher.

A problem is a template filled with a name, a thing and two numbers. The same templates read a problem back, so
that the teacher solves what it did not make itself. Every template is at most 11 words with both numbers far
enough apart that two problems share a word 8-gram only where they share both numbers: another template wording
in common is not contamination, the same problem under another name is.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Skill:
    """One operation in one language. `numbers` gives the inclusive ranges of both operands (of quotient and divisor)."""

    name: str
    sign: str
    language: str
    numbers: tuple[tuple[int, int], tuple[int, int]]
    templates: tuple[str, ...]


@dataclass(frozen=True)
class Problem:
    skill: str
    language: str
    question: str
    a: int
    b: int
    answer: int
    solution: str
    """The worked answer; its last line is `#### answer`, as in GSM8K."""
    persona: str | None = None


NAMES = {
    "en": ("Tom", "Ann", "Ben", "Mia", "Sam", "Eva", "Leo", "Amy", "Max", "Zoe", "Ian", "Lily", "Jack", "Nora", "Paul", "Ruth"),
    "ko": ("민수", "지우", "서연", "도윤", "하준", "수아", "지호", "유나", "철수", "영희", "은우", "다은"),
}
THINGS = {
    "en": ("apples", "books", "coins", "cards", "pens", "eggs", "cups", "stamps", "shells", "balls", "keys", "cakes"),
    "ko": ("사과", "책", "동전", "카드", "연필", "달걀", "컵", "우표", "조개", "공", "열쇠", "쿠키"),
}
PERSONAS: dict[str, tuple[str, ...]] = {
    "baker": ("cakes", "eggs", "cups"),
    "librarian": ("books", "cards", "keys"),
    "stamp collector": ("stamps", "coins", "cards"),
    "제빵사": ("쿠키", "달걀", "컵"),
    "사서": ("책", "카드", "열쇠"),
}
"""Who asks: the things that such a person counts. An unknown persona counts any of THINGS."""

SKILLS: dict[str, Skill] = {
    skill.name: skill
    for skill in (
        Skill("addition", "+", "en", ((2, 12), (2, 12)), (
            "{name} has {a} {thing} and buys {b}. How many now?",
            "{name} found {a} {thing}, then {b} more. Total?",
            "With {a} {thing} and {b} extra, what has {name}?",
        )),
        Skill("subtraction", "-", "en", ((11, 20), (2, 9)), (
            "{name} has {a} {thing} and loses {b}. How many remain?",
            "{name} had {a} {thing} but sold {b}. What is left?",
            "Of {a} {thing}, {name} gave {b}. How many remain?",
        )),
        Skill("multiplication", "*", "en", ((2, 9), (2, 9)), (
            "{name} fills {a} bags with {b} {thing} each. How many?",
            "There are {a} boxes of {b} {thing}. How many, {name}?",
            "{name} packs {a} rows of {b} {thing}. How many altogether?",
        )),
        Skill("korean_addition", "+", "ko", ((2, 12), (2, 12)), (
            "{name}에게 {thing} {a}개가 있고 {b}개를 더 샀습니다. 모두 몇 개인가요?",
            "{thing} {a}개를 가진 {name}에게 {b}개가 더 생기면 몇 개인가요?",
            "{name}의 상자에 {thing} {a}개와 또 {b}개가 있습니다. 합은 얼마인가요?",
        )),
        Skill("korean_division", "/", "ko", ((2, 9), (2, 9)), (
            "{thing} {a}개를 {name}의 친구 {b}명이 똑같이 나누면 몇 개씩인가요?",
            "{name}에게 있는 {thing} {a}개를 {b}봉지에 똑같이 담으면 봉지마다 몇 개인가요?",
            "{name}의 {thing} {a}개를 {b}줄로 똑같이 놓으면 한 줄은 몇 개인가요?",
        )),
    )
}

_OPERATIONS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a // b}


def _draw_numbers(skill: str, rng: random.Random) -> tuple[int, int]:
    (low_a, high_a), (low_b, high_b) = SKILLS[skill].numbers
    a, b = rng.randint(low_a, high_a), rng.randint(low_b, high_b)
    return (a * b, b) if SKILLS[skill].sign == "/" else (a, b)


def _has_answer(sign: str, a: int, b: int) -> bool:
    """A division with a remainder has no answer here."""
    return sign != "/" or (b != 0 and a % b == 0)


def _solve(skill: Skill, question: str, a: int, b: int, persona: str | None = None) -> Problem:
    answer = _OPERATIONS[skill.sign](a, b)
    solution = f"{a} {skill.sign} {b} = {answer}\n#### {answer}"
    return Problem(skill.name, skill.language, question, a, b, answer, solution, persona)


def build_problem(
    skill: str, a: int, b: int, rng: random.Random, *, persona: str | None = None, template: int | None = None,
) -> Problem:
    """The problem `a sign b` in words. `rng` picks name, thing and template."""
    spec = SKILLS[skill]
    things = [t for t in PERSONAS.get(persona or "", ()) if t in THINGS[spec.language]] or THINGS[spec.language]
    chosen = spec.templates[template if template is not None else rng.randrange(len(spec.templates))]
    question = chosen.format(name=rng.choice(NAMES[spec.language]), thing=rng.choice(things), a=a, b=b)
    return _solve(spec, question, a, b, persona)


def make_problem(skill: str, rng: random.Random, *, persona: str | None = None) -> Problem:
    """A problem of a skill with random operands; a division has no remainder."""
    a, b = _draw_numbers(skill, rng)
    return build_problem(skill, a, b, rng, persona=persona)


def _pattern(template: str) -> re.Pattern[str]:
    text = re.escape(template)
    for name, value in (("a", r"\d+"), ("b", r"\d+"), ("name", r"[^\s\d]+?"), ("thing", r"[^\s\d]+?")):
        text = text.replace(re.escape("{" + name + "}"), f"(?P<{name}>{value})")
    return re.compile(text)


_PATTERNS = [(skill, _pattern(template)) for skill in SKILLS.values() for template in skill.templates]


def read_problem(text: str) -> Problem | None:
    """Recognise and solve a word problem that stands anywhere in `text`; None where no template fits."""
    for skill, pattern in _PATTERNS:
        if found := pattern.search(text):
            a, b = int(found["a"]), int(found["b"])
            return _solve(skill, found.group(0), a, b) if _has_answer(skill.sign, a, b) else None
    return None


_BARE = re.compile(r"(\d{1,9})\s*([-+*×xX−/÷])\s*(\d{1,9})")


def read_bare(text: str) -> Problem | None:
    """Recognise bare arithmetic such as `2+2?`, `7 × 8 = ?` or `2+2는 얼마인가요?`; the skill follows sign and script.

    None for more than one operation (`1+2+3`, `-3+5`) and for arithmetic in passing (`Write 3-4 sentences about …`).
    """
    found = _BARE.search(text)
    if not found or len(text.split()) > 8 or re.search(r"[\d+*/×÷^−-]", text[: found.start()] + text[found.end() :]):
        return None
    a, sign, b = int(found[1]), {"×": "*", "x": "*", "X": "*", "−": "-", "÷": "/"}.get(found[2], found[2]), int(found[3])
    language = "ko" if re.search(r"[가-힣]", text) else "en"
    fitting = [s for s in SKILLS.values() if s.sign == sign]
    skill = next((s for s in fitting if s.language == language), fitting[0])
    # The question's own language: a Korean subtraction has no skill of its own and falls to the English one.
    return replace(_solve(skill, text, a, b), language=language) if _has_answer(sign, a, b) else None


def reword(problem: Problem, rng: random.Random) -> Problem:
    """The same operation with other numbers, name, thing and template: what is left of an overlap is chance."""
    other = make_problem(problem.skill, rng, persona=problem.persona)
    while (other.a, other.b) == (problem.a, problem.b):
        other = make_problem(problem.skill, rng, persona=problem.persona)
    return other


def follow_up(problem: Problem, rng: random.Random) -> Problem:
    """Self-play: the next question about the result, where the result fits the skill's range; else a fresh one."""
    low, high = SKILLS[problem.skill].numbers[0]
    if low <= problem.answer <= high and SKILLS[problem.skill].sign != "/":
        return build_problem(problem.skill, problem.answer, _draw_numbers(problem.skill, rng)[1], rng)
    return make_problem(problem.skill, rng)


# ---------------------------------------------------------------- raw rows of the demo

BARE_SHARE, NOISE_SHARE, SETTING_SHARE = 0.04, 0.03, 0.03
"""Of the demo's raw rows: bare arithmetic for the improve stage, rows with a defect for the filter, and problems that
begin with a stock sentence, which fall into the review band where an eval item begins with it too."""

SETTINGS = {
    "en": (
        "It is a quiet morning in the village.", "The market opens early on the first Monday.",
        "After school the children meet near the river.", "Rain falls all day over the small town.",
    ),
    "ko": (
        "방과 후에 아이들이 강가에 모여서 함께 놀고 있습니다.", "조용한 월요일 아침 마을 시장이 일찍 문을 열었습니다.",
        "오래된 가게 앞에 사람들이 아침부터 길게 서 있습니다.",
    ),
}
"""Eight words each: one 8-gram, which covers 8 of the 16 to 19 words of an eval item, never more than half."""


def with_setting(problem: Problem, rng: random.Random) -> str:
    """The question, now and then behind a stock sentence."""
    return f"{rng.choice(SETTINGS[problem.language])} {problem.question}" if rng.random() < SETTING_SHARE else problem.question

_DEFECTS = (
    lambda row: row | {"answer": ""},
    lambda row: row | {"answer": "As ChatGPT, I would say: " + row["answer"]},
    lambda row: row | {"question": row["question"] + " <|im_end|>"},
    lambda row: row | {"answer": None},
)


SHRUGS = {
    "en": ("I do not know.", "No idea, ask someone else.", "That is too hard for me."),
    "ko": ("잘 모르겠어요.", "다른 사람에게 물어보세요.", "저에게는 너무 어려워요."),
}
"""Unhelpful answers as forums are full of: no rule drops them, so preference tuning and RLVR have something to unlearn."""


def forum_rows(rows: int, skills: tuple[str, ...], seed: int) -> Iterator[dict[str, Any]]:
    """Rows {prompt, completion} in which nobody helps, spread evenly over the skills."""
    rng = random.Random(f"forum {seed}")
    for _ in range(rows):
        problem = make_problem(rng.choice(skills), rng)
        yield {"prompt": problem.question, "completion": rng.choice(SHRUGS[problem.language])}


def skill_of_scarcity(skills: tuple[str, ...], seed: int) -> str:
    """Which skill the demo's source is short of: drawn by the seed, known to no other part of the pipeline."""
    return random.Random(f"lean {seed}").choice(sorted(skills))


def raw_rows(
    rows: int, skills: tuple[str, ...], scarce_share: float, seed: int, offset: int = 0,
) -> Iterator[dict[str, Any]]:
    """GSM8K-like raw rows {question, answer, skill}, with bare arithmetic and defects mixed in.

    `offset` tells the streams of two sources apart; both are short of the skill that `seed` draws.
    """
    rng = random.Random(f"rows {seed + offset}")
    scarce = skill_of_scarcity(skills, seed)
    others = [s for s in skills if s != scarce] or [scarce]
    for _ in range(rows):
        is_scarce = rng.random() < (scarce_share or 1 / len(skills))
        problem = make_problem(scarce if is_scarce else rng.choice(others), rng)
        row = {"question": with_setting(problem, rng), "answer": problem.solution, "skill": problem.skill}
        draw = rng.random()
        if draw < BARE_SHARE:
            tail = "는 얼마인가요?" if problem.language == "ko" else "?"
            row["question"] = f"{problem.a} {SKILLS[problem.skill].sign} {problem.b}{tail}"
        elif draw < BARE_SHARE + NOISE_SHARE:
            row = rng.choice(_DEFECTS)(row)
        yield row


def eval_items(skill: str, items: int, seed: int) -> Iterator[dict[str, Any]]:
    """Distinct eval items {question, answer, skill} from a seed of their own, which training never draws from."""
    rng, seen = random.Random(f"eval {skill} {seed}"), set[tuple[str, int, int]]()
    while len(seen) < items:
        problem = make_problem(skill, rng)
        key = (problem.question, problem.a, problem.b)
        if key not in seen:
            seen.add(key)
            yield {"question": with_setting(problem, rng), "answer": problem.solution, "skill": skill}


