"""P3 and what was made of it: a prompted task and its answer."""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, text_of
from posttrain.convert.prompt_completion import strip_end_of_text
from posttrain.convert.turns import question_answer
from posttrain.schema import UnreadableRow


def convert_p3(row: Any) -> list[Draft]:
    """{inputs_pretokenized, targets_pretokenized} (bigscience/P3, whose `inputs` are token ids), or {prompt, completion}.

    P3's parts named `…_score_eval` have a row for every answer choice; `is_correct` marks the right one, the others are refused.
    """
    fields = object_of(row)
    if fields.get("is_correct") is False:
        raise UnreadableRow("wrong_answer", "is_correct", "one of the wrong choices")
    answer = text_of(fields, "targets_pretokenized", "completion")
    return [Draft(messages=question_answer(text_of(fields, "inputs_pretokenized", "prompt"), strip_end_of_text(answer)))]
