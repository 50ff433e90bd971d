"""CoCoNot: {id, category, subcategory, prompt, response}: requests that should not simply be complied with."""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import label_of, object_of, optional_text, text_of
from posttrain.convert.turns import question_answer
from posttrain.schema import UnreadableRow


def convert_coconot(row: Any) -> list[Draft]:
    """Prompt and response; the category (`Humanizing requests` → `humanizing_requests`) becomes the skill, the id is kept."""
    fields = object_of(row)
    prompt = text_of(fields, "prompt")
    if not (optional_text(fields, "response") or "").strip():
        raise UnreadableRow("no_assistant_turn", "response", "the prompt has no response, as in the evaluation part")
    return [Draft(messages=question_answer(prompt, text_of(fields, "response")), skill=label_of(fields, "category"),
                  raw_id=optional_text(fields, "id"))]
