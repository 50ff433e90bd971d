"""No Robots: {prompt, messages, category}; the category (Brainstorm, Rewrite, …) becomes the skill."""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import label_of, object_of, optional_text, text_of
from posttrain.convert.turns import conversation_of, differing_prompt, question_answer, with_system


def convert_no_robots(row: Any) -> list[Draft]:
    """The conversation of `messages`; in pair form (a `prompt` and a `completion` or `response`) the pair.

    Where `prompt` is not the first user turn the row is kept, for `messages` is what is learnt, and a note reports it.
    """
    fields = object_of(row)
    skill = label_of(fields, "category")
    if fields.get("messages") is None:
        answer = text_of(fields, "completion", "response", "answer")
        return [Draft(messages=with_system(question_answer(text_of(fields, "prompt"), answer), fields), skill=skill)]
    messages = conversation_of(fields, "messages")
    return [Draft(messages=messages, skill=skill, note=differing_prompt(optional_text(fields, "prompt"), messages))]
