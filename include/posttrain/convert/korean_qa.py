"""Korean question/answer pairs: Q/A columns (Chatbot_data), 질문/답변, or question/answer."""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, text_of
from posttrain.convert.turns import question_answer, with_system


def convert_korean_qa(row: Any) -> list[Draft]:
    """One question, one answer, and the text of a `system` column if there is one."""
    fields = object_of(row)
    question = text_of(fields, "Q", "question", "질문", "instruction", "user")
    answer = text_of(fields, "A", "answer", "답변", "response", "output", "assistant")
    return [Draft(messages=with_system(question_answer(question, answer), fields))]
