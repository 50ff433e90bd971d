"""Tülu 3's own SFT sets: the hardcoded identity prompts, and the five sets that were written for personas."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, optional_text
from posttrain.convert.messages import convert_messages
from posttrain.convert.turns import differing_prompt
from posttrain.section import Section


class HardcodedOptions(Section):
    repeat: int = Field(default=10, ge=1, le=1000, description="copies of every row; Tülu 3 has 10 (Table 7: 24 × 10 = 240)")


DEFAULT = HardcodedOptions()


def convert_hardcoded(row: Any, options: HardcodedOptions = DEFAULT) -> list[Draft]:
    """{messages} `repeat` times: what the model shall say about itself. The copies have ids of their own."""
    return convert_messages(row) * options.repeat


def convert_tulu3_persona(row: Any) -> list[Draft]:
    """{id, prompt, messages}, and {constraints} in the instruction-following set: the conversation under its own id.

    Where `prompt` is not the first user turn the row is kept, for `messages` is what is learnt, and a note reports it.
    """
    (draft,) = convert_messages(row)
    note = differing_prompt(optional_text(object_of(row), "prompt"), draft.messages)
    return [Draft(messages=draft.messages, raw_id=draft.raw_id, note=note)] if note else [draft]
