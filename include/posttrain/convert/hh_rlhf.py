"""Anthropic HH-RLHF: {chosen, rejected}, two transcripts that differ in their last answer."""

from __future__ import annotations

import re
from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, text_of
from posttrain.convert.preference import pair_draft
from posttrain.schema import Message, UnreadableRow

_SPEAKER = re.compile(r"\n\n(?P<speaker>[^\W\d_]{1,12}) ?: ?")
SPEAKERS = {"Human": "user", "Assistant": "assistant"}
MISTRANSLATED = frozenset({
    "인간", "사람", "휴먼", "조수", "보조", "보조자", "비서", "지원자", "조교", "조언자", "어시스턴트", "도우미", "Anssistant",
})
"""Speaker names as machine translation and typing errors left them; in a text they mean that a turn is hidden in another."""


def convert_hh_rlhf(row: Any) -> list[Draft]:
    """Both transcripts as conversations; they must agree up to the last answer."""
    fields = object_of(row)
    chosen, rejected = (read_transcript(text_of(fields, name), name) for name in ("chosen", "rejected"))
    return [pair_draft(chosen, rejected)]


def read_transcript(text: str, field: str) -> tuple[Message, ...]:
    """The turns of `\\n\\nHuman: …\\n\\nAssistant: …`. Another word with a colon after an empty line is text."""
    marks = [found for found in _SPEAKER.finditer(text) if found["speaker"] in SPEAKERS or found["speaker"] in MISTRANSLATED]
    for mark in marks:
        if mark["speaker"] not in SPEAKERS:
            raise UnreadableRow("unknown_role", field, mark["speaker"])
    if not marks or text[: marks[0].start()].strip():
        raise UnreadableRow("no_user_turn", field, "the transcript does not begin with a speaker")
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return tuple(
        Message(SPEAKERS[mark["speaker"]], text[mark.end():end].strip()) for mark, end in zip(marks, ends, strict=True)
    )
