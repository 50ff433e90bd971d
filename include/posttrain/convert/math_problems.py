"""MATH: {problem, solution} or {prompt, answer} → a conversation where there is a solution, and an RLVR row."""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import name_of, number_text, object_of, optional_text, text_of
from posttrain.convert.math_labels import level_tags, subject_of
from posttrain.convert.turns import question_answer
from posttrain.schema import Message, UnreadableRow


def convert_math(row: Any) -> list[Draft]:
    """The ground truth is the row's `answer`, else what the solution puts in its last box.

    MATH's subject (`type` or `subject`) becomes the skill, its level a tag.
    """
    fields = object_of(row)
    problem = text_of(fields, "problem", "question", "prompt")
    solution = optional_text(fields, "solution", "generated_solution")
    name = name_of(fields, "answer", "final_answer", "expected_answer")
    truth = number_text(fields[name], name) if name else last_boxed(solution) if solution is not None else None
    if truth is None and solution is None:
        raise UnreadableRow("missing_field", "solution", "neither a solution nor an answer")
    if not (truth or "").strip():
        raise UnreadableRow("no_final_answer", name or "solution", "an empty answer" if name else "no \\boxed{…}")
    skill, tags = subject_of(fields), level_tags(fields)
    twin = Draft(kind="rlvr", messages=(Message("user", problem),), ground_truth=(truth or "").strip(), verifier="math",
                 skill=skill, tags=tags)
    worked = [Draft(messages=question_answer(problem, solution), skill=skill, tags=tags)] if solution is not None else []
    return [*worked, twin]


def last_boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{…}` or `\fbox{…}` with its inner braces: `\boxed{\frac{1}{2}}` → `\frac{1}{2}`.

    `\boxed 5` gives `5`; a box that is never closed, or none, gives None.
    """
    start = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    if start < 0:
        return None
    rest = text[start:].removeprefix("\\boxed").removeprefix("\\fbox")
    if not rest.lstrip().startswith("{"):
        word = rest.split("$")[0].split()
        return word[0].rstrip(".,") if rest.startswith(" ") and word else None
    depth, begin = 0, rest.index("{")
    for n in range(begin, len(rest)):
        depth += {"{": 1, "}": -1}.get(rest[n], 0)
        if depth == 0:
            return rest[begin + 1:n]
    return None
