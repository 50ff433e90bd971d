"""Reasoning traces: kept in think tags before the answer, or left out.

A trace has no column of its own, which would be empty in nearly every row of every other source; the tags are the form in
which reasoning models are trained (DeepSeek-R1, s1), and what a reader of the row sees.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from posttrain.schema import UnreadableRow
from posttrain.section import Section

Trace = Literal["tags", "drop"]

_THOUGHT = re.compile(r"\s*<think>.*?</think>\s*", re.DOTALL)


class TraceOptions(Section):
    """What becomes of the reasoning before the answer."""

    trace: Trace = Field(default="tags", description="`tags` keeps the reasoning in <think> tags, `drop` leaves it out")


def with_trace(trace: str, answer: str) -> str:
    return f"<think>\n{trace.strip()}\n</think>\n\n{answer.strip()}"


def without_trace(text: str, field: str) -> str:
    """The text after its leading <think> block. Raises no_assistant_turn where the block never ends or nothing follows it."""
    if not text.lstrip().startswith("<think>"):
        return text
    found = _THOUGHT.match(text)
    if not found or not text[found.end():].strip():
        raise UnreadableRow("no_assistant_turn", field, "reasoning without an answer")
    return text[found.end():]
