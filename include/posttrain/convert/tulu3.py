"""Tülu 3's own SFT sets: the hardcoded identity prompts, and the five sets that were written for personas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from posttrain.columns import SYSTEM
from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, optional_text
from posttrain.convert.in_columns import Conversations, mask_of, texts, trimmed
from posttrain.convert.messages import convert_messages, read_messages
from posttrain.convert.turns import differing_prompt
from posttrain.section import Section


class HardcodedOptions(Section):
    repeat: int = Field(default=10, ge=1, le=1000, description="copies of every row; Tülu 3 has 10 (Table 7: 24 × 10 = 240)")


DEFAULT = HardcodedOptions()


def convert_hardcoded(row: Any, options: HardcodedOptions = DEFAULT) -> list[Draft]:
    """{messages} `repeat` times: what the model shall say about itself. The copies have ids of their own."""
    return convert_messages(row) * options.repeat


def read_tulu3_persona(table: pa.Table) -> Conversations:
    """`convert_tulu3_persona` for the columns of a batch. It is not sure of rows whose `prompt` is not the first user turn."""
    found, prompt = read_messages(table), texts(table, "prompt")
    if prompt is None:
        return found
    first = np.minimum(found.rows[:-1], max(len(found.roles) - 1, 0))
    if len(found.roles):
        first += found.roles[first] == SYSTEM
    asked = found.contents.take(pa.array(np.minimum(first, max(len(found.roles) - 1, 0))))
    same = mask_of(pc.equal(trimmed(prompt), trimmed(asked)), null=False)
    return replace(found, sure=found.sure & (same | prompt.is_null().to_numpy(zero_copy_only=False)))


def convert_tulu3_persona(row: Any) -> list[Draft]:
    """{id, prompt, messages}, and {constraints} in the instruction-following set: the conversation under its own id.

    Where `prompt` is not the first user turn the row is kept, for `messages` is what is learnt, and a note reports it.
    """
    (draft,) = convert_messages(row)
    note = differing_prompt(optional_text(object_of(row), "prompt"), draft.messages)
    return [Draft(messages=draft.messages, raw_id=draft.raw_id, note=note)] if note else [draft]
