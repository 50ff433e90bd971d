"""Reading comprehension in SQuAD's layout (SQuAD, KorQuAD, TyDi QA): the answer span becomes the answer's text."""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, text_of
from posttrain.convert.turns import question_answer
from posttrain.schema import UnreadableRow


def convert_squad(row: Any) -> list[Draft]:
    """{context, question, answers} → passage and question, answered with the first answer's text.

    An answer is a text, {text, answer_start}, the columns {text: […]}, or a span of the context
    {answer_start or start, answer_end or end} with an exclusive end, in characters.
    """
    fields = object_of(row)
    context, question = text_of(fields, "context"), text_of(fields, "question")
    return [Draft(messages=question_answer(f"{context}\n\n{question}", _answer(fields, context)))]


def _answer(row: dict[str, Any], context: str) -> str:
    answers = row.get("answers", row.get("answer"))
    if answers is None and "end" not in row and "answer_end" not in row:
        raise UnreadableRow("missing_field", "answers")
    if answers is None:
        return span_text(row, context)
    if isinstance(answers, dict) and isinstance(answers.get("text"), list):
        answers = answers["text"]
    if isinstance(answers, list):
        if not answers:
            raise UnreadableRow("no_assistant_turn", "answers", "the question has no answer in the context")
        answers = answers[0]
    if isinstance(answers, str):
        return answers
    if not isinstance(answers, dict):
        raise UnreadableRow("wrong_type", "answers", f"{type(answers).__name__} instead of an answer")
    return text_of(answers, "text") if answers.get("text") is not None else span_text(answers, context)


def span_text(span: dict[str, Any], context: str) -> str:
    """The text of a span of the context: start 2, end 5 of `약 한 달 동안` → `한 달`."""
    start, end = (span.get(name, span.get(f"answer_{name}")) for name in ("start", "end"))
    if not (isinstance(start, int) and isinstance(end, int)):
        raise UnreadableRow("missing_field", "answers.text", "neither a text nor a span with start and end")
    if not 0 <= start < end <= len(context):
        raise UnreadableRow("wrong_type", "answers.start", f"span {start} to {end} of a context of {len(context)} characters")
    return context[start:end]
