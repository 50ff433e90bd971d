"""LIMA and UltraChat: conversations as a list of texts, the user first."""

from __future__ import annotations

from typing import Any

from posttrain.convert.alpaca import convert_alpaca
from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, optional_text
from posttrain.convert.turns import answered_conversation_of, differing_prompt


def convert_lima(row: Any) -> list[Draft]:
    """{conversations: [text, text, …], source}; LLaMA-Factory's copy has Alpaca's columns instead.

    A last text without an answer goes, with a note, as open-instruct drops the last of an odd number.
    """
    fields = object_of(row)
    if "conversations" not in fields and "instruction" in fields:
        return convert_alpaca(fields)
    messages, note = answered_conversation_of(fields, "conversations")
    return [Draft(messages=messages, note=note)]


def convert_ultrachat(row: Any) -> list[Draft]:
    """{id, data: [text, text, …]} of stingning/ultrachat, or {prompt, prompt_id, messages} of HuggingFaceH4/ultrachat_200k."""
    fields = object_of(row)
    messages, note = answered_conversation_of(fields, "messages", "data")
    note = note or differing_prompt(optional_text(fields, "prompt"), messages)
    return [Draft(messages=messages, raw_id=optional_text(fields, "prompt_id", "id"), note=note)]
