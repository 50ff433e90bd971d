"""The procedural teacher's mind: rules that make, rewrite, solve and judge one-step word problems.

Each rule reads the user's text as a model would and returns the answer's JSON object. What a rule cannot do it
refuses with CannotDo; it never makes something up.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

from posttrain import problems
from posttrain.problems import SKILLS, Problem


class CannotDo(ValueError):
    """The rules do not cover this text."""


# ---------------------------------------------------------------- reading


def _field(text: str, name: str) -> str | None:
    found = re.search(rf"^{name}: *(.+?) *$", text, re.MULTILINE)
    return found[1] if found else None


def _tagged(text: str, name: str) -> str:
    found = re.search(rf"<{name}>\n?(.*?)\n?</{name}>", text, re.DOTALL)
    if not found:
        raise CannotDo(f"the text has no <{name}>")
    return found[1]


_LONG_NUMBER = re.compile(r"\d{10}")


def _word_problem(text: str) -> Problem:
    """The word problem that a text states."""
    found = None if _LONG_NUMBER.search(text) else problems.read_problem(text)
    if not found:
        raise CannotDo(f"no one-step word problem in {text[:80]!r}")
    return found


def _bare(text: str) -> Problem:
    """The arithmetic that a text consists of, as in `2+2?` or `2+2는 얼마인가요?`."""
    found = problems.read_bare(text)
    if not found:
        raise CannotDo(f"no bare arithmetic in {text[:80]!r}")
    return found


def _problem(text: str) -> Problem:
    """The problem that a text states, as a word problem or as bare arithmetic."""
    try:
        return _word_problem(text)
    except CannotDo:
        return _bare(text)


def _slots(problem: Problem) -> tuple[int, dict[str, str]]:
    """Which template a question follows, and what fills it: name, thing, a and b."""
    for number, template in enumerate(SKILLS[problem.skill].templates):
        names = re.findall(r"\{(\w+)\}", template)
        pattern = "(.+?)".join(re.escape(piece) for piece in re.split(r"\{\w+\}", template))
        if found := re.fullmatch(pattern, problem.question):
            return number, dict(zip(names, found.groups(), strict=True))
    raise CannotDo(f"no template reads {problem.question!r}")


def _written(problem: Problem) -> dict[str, Any]:
    return {"question": problem.question, "answer": problem.solution}


# ---------------------------------------------------------------- the tasks


def make_word_problem(text: str, rng: random.Random) -> dict[str, Any]:
    """`Skill:` names the operation (`math` stands for any of them), `Language:` narrows it, `Persona:` chooses the things."""
    skill, language = _field(text, "Skill"), _field(text, "Language")
    fitting = [s for s in SKILLS.values() if s.name == skill or skill == "math"]
    fitting = [s for s in fitting if language in (None, s.language)]
    if not fitting:
        raise CannotDo(f"no problems of skill {skill!r}{f' in language {language!r}' if language else ''}; "
                       f"there are {', '.join(f'{s.name} ({s.language})' for s in SKILLS.values())}")
    return _written(problems.make_problem(rng.choice(fitting).name, rng, persona=_field(text, "Persona")))


def rewrite(text: str, rng: random.Random) -> dict[str, Any]:
    """`2+2는 얼마인가요?` → a word problem with 2 and 2 whose answer is 4, in the language of the question."""
    bare = _bare(_tagged(text, "question"))
    if SKILLS[bare.skill].language != bare.language:
        raise CannotDo(f"no word problems for {SKILLS[bare.skill].sign!r} in language {bare.language!r}")
    if bare.answer < 0:
        raise CannotDo(f"nobody can give away more than there is: {bare.a} - {bare.b}")
    return _written(problems.build_problem(bare.skill, bare.a, bare.b, rng))


def make_follow_up(text: str, rng: random.Random) -> dict[str, Any]:
    """The next question about the result, or a fresh one of the same skill."""
    return _written(problems.follow_up(_word_problem(_tagged(text, "question")), rng))


def vary(text: str, rng: random.Random) -> dict[str, Any]:
    """The same name, thing and numbers in another sentence."""
    problem = _word_problem(_tagged(text, "question"))
    used, slots = _slots(problem)
    others = [template for number, template in enumerate(SKILLS[problem.skill].templates) if number != used]
    return {"question": rng.choice(others).format(**slots), "answer": problem.solution}


def paraphrase(text: str, rng: random.Random) -> dict[str, Any]:
    """The same operation with other words, name, thing and numbers."""
    problem = _word_problem(_tagged(text, "question"))
    used, _ = _slots(problem)
    while True:
        other = problems.reword(problem, rng)
        if _slots(other)[0] != used:
            return _written(other)


def paraphrase_pair(text: str, rng: random.Random) -> dict[str, Any]:
    """The same with a worse answer: its result is off by one to nine."""
    made = paraphrase(text, rng)
    problem = _word_problem(made["question"])
    wrong = problem.answer + rng.randint(1, 9)
    equation = f"{problem.a} {SKILLS[problem.skill].sign} {problem.b} = {wrong}"
    return made | {"worse_answer": f"{equation}\n#### {wrong}"}


def solve(text: str, rng: random.Random) -> dict[str, Any]:
    return {"answer": _problem(_tagged(text, "question")).solution}


_EQUATION = re.compile(r"(\d{1,18})\s*([-+*/])\s*(\d{1,18})\s*=\s*(-?\d{1,18})")


_HOLDS: dict[str, Callable[[int, int, int], bool]] = {
    "+": lambda a, b, c: a + b == c, "-": lambda a, b, c: a - b == c,
    "*": lambda a, b, c: a * b == c, "/": lambda a, b, c: b != 0 and a == b * c,
}


def judge(text: str, rng: random.Random) -> dict[str, Any]:
    """Four aspects by rule; the problem is solved before the answer is rated.

    truthfulness           5 the final number is right, 1 it is wrong or absent
    instruction_following  5 the last line is `#### number`, 3 the answer at least ends in a number, 1 neither
    helpfulness            5 the equation of the problem is shown, 3 another equation, 2 only a number, 1 nothing
    honesty                5 every equation stated holds and agrees with the final number, 3 none is stated,
                           2 they hold but the final number is another one, 1 a stated equation is false
    """
    problem, answer = _problem(_tagged(text, "prompt")), _tagged(text, "answer").strip()
    last_line = answer.rsplit("\n", 1)[-1].strip()
    in_form = re.fullmatch(r"#### (-?\d{1,18})", last_line)
    numbers = re.findall(r"-?\d{1,18}", last_line)
    final = int(in_form[1]) if in_form else int(numbers[-1]) if numbers else None
    equations = [(int(a), sign, int(b), int(c)) for a, sign, b, c in _EQUATION.findall(answer)]
    shown = any({a, b} == {problem.a, problem.b} and sign == SKILLS[problem.skill].sign for a, sign, b, _ in equations)
    if not all(_HOLDS[sign](a, b, c) for a, sign, b, c in equations):
        honesty = 1
    elif not equations:
        honesty = 3
    else:
        honesty = 5 if equations[-1][3] == final else 2
    return {
        "helpfulness": 5 if shown else 3 if equations else 2 if numbers else 1,
        "honesty": honesty,
        "instruction_following": 5 if in_form else 3 if re.search(r"\d\W*$", answer) else 1,
        "truthfulness": 5 if final == problem.answer else 1,
    }


def gives_away(text: str, rng: random.Random) -> dict[str, Any]:
    """Two word problems are the same where operation and both numbers are; of anything else the rules have no opinion."""
    row, item = (_stated_problem(_tagged(text, name)) for name in ("training_example", "test_item"))
    same = (row.skill, sorted((row.a, row.b))) == (item.skill, sorted((item.a, item.b)))
    if same:
        return {"reason": f"both ask for {row.a} {SKILLS[row.skill].sign} {row.b}", "gives_away": True}
    shown = [f"{p.a} {SKILLS[p.skill].sign} {p.b}" for p in (row, item)]
    return {"reason": f"the row asks for {shown[0]} and the test item for {shown[1]}", "gives_away": False}


def _stated_problem(text: str) -> Problem:
    """The problem of the first line `user: …` or `question: …` that states one."""
    for line in text.splitlines():
        try:
            return _problem(line.partition(": ")[2].strip() or line)
        except CannotDo:
            continue
    raise CannotDo(f"no one-step problem in {text[:80]!r}")


TASKS: dict[str, Callable[[str, random.Random], dict[str, Any]]] = {
    "word_problem": make_word_problem,
    "rewrite": rewrite,
    "follow_up": make_follow_up,
    "variation": vary,
    "paraphrase": paraphrase,
    "paraphrase_pair": paraphrase_pair,
    "solve": solve,
    "judge": judge,
    "gives_away": gives_away,
}
"""What the teacher can do, by the name of the schema that the answer has to fit."""
