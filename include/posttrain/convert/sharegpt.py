"""ShareGPT: {conversations: [{from, value}]}, with the role names of the chat sites that were shared."""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of
from posttrain.convert.html_text import html_to_text, looks_like_html
from posttrain.convert.turns import conversation_of
from posttrain.schema import Message


def convert_sharegpt(row: Any) -> list[Draft]:
    """The conversation; turns that were saved as HTML become text."""
    turns = conversation_of(object_of(row), "conversations", "conversation", "messages", "items")
    return [Draft(messages=tuple(
        Message(turn.role, html_to_text(turn.content)) if looks_like_html(turn.content) else turn for turn in turns
    ))]
