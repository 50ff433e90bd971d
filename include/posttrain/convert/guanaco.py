"""OpenAssistant Guanaco: {text}, the turns of one conversation marked `### Human:` and `### Assistant:`."""

from __future__ import annotations

import re
from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, text_of
from posttrain.convert.turns import without_open_question
from posttrain.schema import Message, UnreadableRow, check_turns

_MARK = re.compile(r"### (Human|Assistant): ?")
_ROLES = {"Human": "user", "Assistant": "assistant"}


def convert_guanaco(row: Any) -> list[Draft]:
    """The turns between the marks, without the white space around them. A question at the end goes, with a note."""
    text = row if isinstance(row, str) else text_of(object_of(row), "text")
    marks = list(_MARK.finditer(text))
    if not marks or text[: marks[0].start()].strip():
        raise UnreadableRow("no_user_turn", "text", "the text does not begin with ### Human:")
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    turns = tuple(Message(_ROLES[mark[1]], text[mark.end():end].strip()) for mark, end in zip(marks, ends, strict=True))
    messages, note = without_open_question(turns)
    check_turns(messages)
    return [Draft(messages=messages, note=note)]
