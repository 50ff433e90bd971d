"""Anthropic HH-RLHF: {chosen, rejected}, two transcripts that differ in their last answer."""

from __future__ import annotations

import re
from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, text_of
from posttrain.convert.preference import pair_draft
from posttrain.schema import Message, UnreadableRow, check_turns

_SPEAKER = re.compile(r"\n\n(?P<speaker>[^\W\d_]{1,12}) ?: ?")
SPEAKERS = {"Human": "user", "Assistant": "assistant"}
MISTRANSLATED = dict.fromkeys(("인간", "사람", "휴먼"), "user") | dict.fromkeys(
    ("조수", "보조", "보조자", "비서", "지원자", "조교", "조언자", "어시스턴트", "도우미", "Anssistant"), "assistant")
"""Speaker names as machine translation and typing errors left them; in a text they mean that a turn is hidden in another."""
REJECTED_KEYS = ("rejected", "거부됨", "거부", "거절", "거부되었습니다", "거절당했습니다")
"""The key `rejected` as machine translation left it."""


def convert_hh_rlhf(row: Any) -> list[Draft]:
    """Both transcripts as conversations; they must agree up to the last answer."""
    fields = object_of(row)
    chosen, rejected = (read_transcript(text_of(fields, name), name) for name in ("chosen", "rejected"))
    return [pair_draft(chosen, rejected)]


def convert_hh_rlhf_translated(row: Any) -> list[Draft]:
    """A machine translation of HH-RLHF: key and speaker names may be translated too, and each side was translated on its own.

    Where both sides have the same speakers in the same order, the chosen side's wording of the earlier turns stands for
    both; where they do not, a turn is missing on one side and the row is refused (prompts_differ). A quotation mark that the
    translation left at the end of a turn is removed.
    """
    fields = object_of(row)
    key = next((name for name in REJECTED_KEYS if fields.get(name) is not None), "rejected")
    chosen, rejected = (_unquoted(read_transcript(text_of(fields, name), name, translated=True)) for name in ("chosen", key))
    check_turns(chosen)
    check_turns(rejected)
    if [m.role for m in chosen] != [m.role for m in rejected]:
        raise UnreadableRow("prompts_differ", key, f"{len(chosen)} turns against {len(rejected)}")
    return [pair_draft(chosen, (*chosen[:-1], rejected[-1]))]


def _unquoted(turns: tuple[Message, ...]) -> tuple[Message, ...]:
    return tuple(
        Message(m.role, m.content[:-1].rstrip() if m.content.endswith('"') and m.content.count('"') % 2 else m.content)
        for m in turns
    )


def read_transcript(text: str, field: str, *, translated: bool = False) -> tuple[Message, ...]:
    """The turns of `\\n\\nHuman: …\\n\\nAssistant: …`. Another word with a colon after an empty line is text.

    A name of MISTRANSLATED begins a turn where `translated` says so, and is an unknown speaker elsewhere.
    """
    names = SPEAKERS | MISTRANSLATED if translated else SPEAKERS
    marks = [found for found in _SPEAKER.finditer(text) if found["speaker"] in SPEAKERS or found["speaker"] in MISTRANSLATED]
    for mark in marks:
        if mark["speaker"] not in names:
            raise UnreadableRow("unknown_role", field, mark["speaker"])
    if not marks or text[: marks[0].start()].strip():
        raise UnreadableRow("no_user_turn", field, "the transcript does not begin with a speaker")
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return tuple(
        Message(names[mark["speaker"]], text[mark.end():end].strip()) for mark, end in zip(marks, ends, strict=True)
    )
