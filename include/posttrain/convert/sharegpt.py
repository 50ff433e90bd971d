"""ShareGPT: {conversations: [{from, value}]}, with the role names of the chat sites that were shared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from posttrain.columns import rows_of_turns
from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of
from posttrain.convert.html_text import html_to_markdown, looks_like_html
from posttrain.convert.in_columns import WHITE_SPACE, Conversations, mask_of, turns_of_columns
from posttrain.convert.split import BYTES_PER_TOKEN, TOKENS_PER_TURN, split_conversation, tokens_of
from posttrain.convert.turns import answered_conversation_of
from posttrain.schema import Message
from posttrain.section import Section


class ShareGptOptions(Section):
    context_length: int | None = Field(
        default=None, ge=64,
        description="estimated tokens above which a conversation is split between an answer and the next question; null: never")
    bytes_per_token: float = Field(default=BYTES_PER_TOKEN, gt=0, description="UTF-8 bytes of a token, for that estimate")


DEFAULT = ShareGptOptions()


def convert_sharegpt(row: Any, options: ShareGptOptions = DEFAULT) -> list[Draft]:
    """The conversation; turns that were saved as HTML become Markdown. A question at the end goes, with a note."""
    fields = object_of(row)
    turns, note = answered_conversation_of(fields, "conversations", "conversation", "messages", "items")
    messages = tuple(
        Message(turn.role, html_to_markdown(turn.content)) if looks_like_html(turn.content) else turn for turn in turns
    )
    length, bytes_per_token = options.context_length, options.bytes_per_token
    if length is None or tokens_of(messages, bytes_per_token) <= length:
        return [Draft(messages=messages, note=note)]
    pieces = split_conversation(messages, length, bytes_per_token)
    return [Draft(messages=piece, note=note or _too_long(tokens_of(piece, bytes_per_token), length)) for piece in pieces]


def read_sharegpt(table: pa.Table, options: ShareGptOptions = DEFAULT) -> Conversations:
    """`convert_sharegpt` for the columns of a batch. It is not sure of turns that may be HTML, and of what may be too long."""
    found = turns_of_columns(table, "conversations", "conversation", "messages", "items")
    trimmed = pc.utf8_ltrim(found.contents, WHITE_SPACE)
    sure = found.sure & ~rows_of_turns(found.rows, mask_of(pc.starts_with(trimmed, "<"), null=True))
    if options.context_length is not None:
        lengths = pc.binary_length(found.contents).fill_null(0).to_numpy()
        tokens = np.concatenate([[0], np.cumsum(np.ceil(lengths / options.bytes_per_token) + TOKENS_PER_TURN)])
        sure &= np.diff(tokens[found.rows]) <= options.context_length
    return replace(found, sure=sure)


def _too_long(tokens: int, context_length: int) -> str | None:
    return f"one question with its answer is about {tokens} tokens long" if tokens > context_length else None
