"""Persona Hub: {input persona, synthesized text, description}; and Tülu 3's persona rows with prompt and answer."""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import json_value, object_of, optional_text, text_of
from posttrain.convert.turns import conversation_of, question_answer
from posttrain.schema import UnreadableRow

REQUEST = "Task: {task}\nPersona: {persona}\n\nWrite what the task asks for, as this persona would need it."
DEFAULT_TASK = "a text"


def convert_persona(row: Any) -> list[Draft]:
    """The conversation that a row holds, with its persona kept.

    A row with `messages`, or with `prompt` and an answer, is that conversation. Persona Hub's own rows record what a
    model wrote for a persona, and no question; their question is the fixed `REQUEST`, with the row's `description`
    ("tool development") as the task.
    """
    fields = object_of(row)
    persona = text_of(fields, "input persona", "input_persona", "persona")
    if fields.get("messages") is not None:
        return [Draft(messages=conversation_of(fields, "messages"), persona=persona)]
    if fields.get("prompt") is not None:
        answer = optional_text(fields, "completion", "response", "answer", "output")
        if answer is None:
            raise UnreadableRow("no_assistant_turn", "completion", "the persona's prompt has no answer")
        return [Draft(messages=question_answer(text_of(fields, "prompt"), answer), persona=persona)]
    text = _unquoted(text_of(fields, "synthesized text", "synthesized_text"))
    task = (optional_text(fields, "description") or DEFAULT_TASK).strip()
    return [Draft(messages=question_answer(REQUEST.format(task=task, persona=persona), text), persona=persona)]


def _unquoted(text: str) -> str:
    """Persona Hub's tool rows hold their text as a JSON string, quotes and escapes included."""
    if text[:1] == text[-1:] == '"' and len(text) > 1:
        try:
            value = json_value(text)
        except ValueError:
            return text
        return value if isinstance(value, str) else text
    return text
