"""Aya: {inputs, targets, language: "Korean", language_code: "kor"}, written by speakers of 65 languages."""

from __future__ import annotations

import re
from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, optional_text, text_of
from posttrain.convert.languages import language_code
from posttrain.convert.turns import question_answer

_ISO_639_3 = re.compile("[a-z]{3}")


def convert_aya(row: Any) -> list[Draft]:
    """One question, one answer; the language code is kept in its short form (`kor` → `ko`), or as it is (`ajp`)."""
    fields = object_of(row)
    code, name = optional_text(fields, "language_code"), optional_text(fields, "language")
    language = language_code(code or name or "") or (code if code and _ISO_639_3.fullmatch(code) else None)
    return [Draft(messages=question_answer(text_of(fields, "inputs"), text_of(fields, "targets")), language=language)]
