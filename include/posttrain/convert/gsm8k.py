"""GSM8K: {question, answer} with calculation marks and `#### gold` → a conversation and its RLVR twin."""

from __future__ import annotations

import re
from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import label_of, object_of, text_of
from posttrain.convert.turns import question_answer
from posttrain.schema import Message, UnreadableRow

_CALCULATION = re.compile(r"<<[^<>]*>>")


def convert_gsm8k(row: Any) -> list[Draft]:
    """The worked answer without its `<<48/2=24>>` marks, and the question alone with the number after `####`.

    An empty answer gives no twin: the filter names what is wrong with it. `skill` is kept where the row has one.
    """
    fields = object_of(row)
    question, answer, skill = text_of(fields, "question"), text_of(fields, "answer"), label_of(fields, "skill")
    drafts = [Draft(messages=question_answer(question, _CALCULATION.sub("", answer)), skill=skill)]
    if answer.strip():
        drafts.append(Draft(kind="rlvr", messages=(Message("user", question),), ground_truth=final_number(answer),
                            verifier="gsm8k", skill=skill))
    return drafts


def final_number(answer: str) -> str:
    """What stands after the last `####`, without thousands separators. Raises no_final_answer."""
    _, mark, tail = answer.rpartition("####")
    number = tail.strip().replace(",", "")
    if not mark or not number:
        raise UnreadableRow("no_final_answer", "answer", f"no number after ####: …{answer[-60:]}")
    return number
