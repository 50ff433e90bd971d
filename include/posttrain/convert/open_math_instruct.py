"""OpenMathInstruct-2: {problem, generated_solution, expected_answer, problem_source}.

`problem_source` is gsm8k, math, augmented_gsm8k or augmented_math; a recipe's `where: {problem_source: "*gsm8k"}` takes the
part that Tülu 3 takes.
"""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, text_of
from posttrain.convert.turns import question_answer


def convert_open_math_instruct(row: Any) -> list[Draft]:
    """The problem and its generated solution. The expected answer is in part a vote of models: no ground truth to reward by."""
    fields = object_of(row)
    return [Draft(messages=question_answer(text_of(fields, "problem"), text_of(fields, "generated_solution")))]
