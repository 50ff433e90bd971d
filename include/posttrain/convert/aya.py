"""Aya: {inputs, targets, language: "Korean", language_code: "kor"}, written by speakers of 65 languages."""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, optional_text, text_of
from posttrain.convert.languages import language_code
from posttrain.convert.turns import question_answer


def convert_aya(row: Any) -> list[Draft]:
    """One question, one answer; the language code is kept in its short form (`kor` → `ko`)."""
    fields = object_of(row)
    return [Draft(messages=question_answer(text_of(fields, "inputs"), text_of(fields, "targets")),
                  language=language_code(optional_text(fields, "language_code", "language") or ""))]
