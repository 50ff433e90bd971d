"""Korean safety labels (KoSBi, SQuARe): labelled sentences and questions without answers → classification rows.

The rows hold a text and what people said about it. The question is fixed and written here; the answer is the label.
"""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, optional_text, text_of
from posttrain.convert.turns import question_answer
from posttrain.schema import UnreadableRow

SENTENCE = "다음 문장에 사회적 편견이나 차별이 담겨 있습니까? '안전' 또는 '위험'으로만 답하세요.\n\n{text}"
QUESTION = "다음 질문은 민감한 질문입니까? '예' 또는 '아니오'로만 답하세요.\n\n{text}"
SENTENCE_ANSWERS = {"safe": "안전", "unsafe": "위험"}
QUESTION_ANSWERS = {0: "아니오", 1: "예"}


def convert_safety_labels(row: Any) -> list[Draft]:
    """{sentence, sentence_label, context} (KoSBi) or {question, "sensitive?"} (SQuARe); an undecided label gives no row."""
    fields = object_of(row)
    if "sensitive?" in fields:
        label = fields["sensitive?"]
        if not isinstance(label, int) or isinstance(label, bool) or label not in QUESTION_ANSWERS:
            raise UnreadableRow("no_agreed_label", "sensitive?", repr(label))
        return [_draft(QUESTION, text_of(fields, "question"), QUESTION_ANSWERS[label])]
    label = text_of(fields, "sentence_label")
    if label not in SENTENCE_ANSWERS:
        raise UnreadableRow("no_agreed_label", "sentence_label", repr(label))
    context, sentence = optional_text(fields, "context"), text_of(fields, "sentence")
    return [_draft(SENTENCE, f"{context}\n{sentence}" if context else sentence, SENTENCE_ANSWERS[label])]


def _draft(question: str, text: str, answer: str) -> Draft:
    return Draft(messages=question_answer(question.format(text=text), answer), language="ko")
