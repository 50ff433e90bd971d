"""ShareGPT: {conversations: [{from, value}]}, with the role names of the chat sites that were shared."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of
from posttrain.convert.html_text import html_to_markdown, looks_like_html
from posttrain.convert.split import split_conversation, tokens_of
from posttrain.convert.turns import answered_conversation_of
from posttrain.schema import Message
from posttrain.section import Section


class ShareGptOptions(Section):
    context_length: int | None = Field(
        default=None, ge=64,
        description="estimated tokens (3 UTF-8 bytes each) above which a conversation is split between turns; null: never")


DEFAULT = ShareGptOptions()


def convert_sharegpt(row: Any, options: ShareGptOptions = DEFAULT) -> list[Draft]:
    """The conversation; turns that were saved as HTML become Markdown. A question at the end goes, with a note."""
    fields = object_of(row)
    turns, note = answered_conversation_of(fields, "conversations", "conversation", "messages", "items")
    messages = tuple(
        Message(turn.role, html_to_markdown(turn.content)) if looks_like_html(turn.content) else turn for turn in turns
    )
    if options.context_length is None or tokens_of(messages) <= options.context_length:
        return [Draft(messages=messages, note=note)]
    return [Draft(messages=piece, note=note or _too_long(piece, options.context_length))
            for piece in split_conversation(messages, options.context_length)]


def _too_long(piece: tuple[Message, ...], context_length: int) -> str | None:
    length = tokens_of(piece)
    return f"one question with its answer is about {length} tokens long" if length > context_length else None
