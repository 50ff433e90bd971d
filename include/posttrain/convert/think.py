"""Reasoning traces: kept in think tags before the answer, in a field of their own, or left out.

The tags are the form in which reasoning models are trained (DeepSeek-R1, s1), and what a reader of the row sees. The field
`trace` is for who trains on the answer alone and wants the reasoning beside it.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from posttrain.schema import UnreadableRow
from posttrain.section import Section

Trace = Literal["tags", "field", "drop"]

_THOUGHT = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL)


class TraceOptions(Section):
    """What becomes of the reasoning before the answer."""

    trace: Trace = Field(default="tags", description="`tags` keeps the reasoning in <think> tags, `field` in the column "
                                                        "`trace`, `drop` leaves it out")


def with_trace(trace: str, answer: str) -> str:
    return f"<think>\n{trace.strip()}\n</think>\n\n{answer.strip()}"


def split_trace(text: str, field: str, trace: Trace) -> tuple[str, str | None]:
    """A published answer as the option wants it, and the trace for the field: of `drop` and `field`, what follows the leading
    <think> block. Raises no_assistant_turn where the block never ends or nothing follows it."""
    if trace == "tags" or not text.lstrip().startswith("<think>"):
        return text, None
    found = _THOUGHT.match(text)
    if not found or not text[found.end():].strip():
        raise UnreadableRow("no_assistant_turn", field, "reasoning without an answer")
    return text[found.end():], found[1].strip() if trace == "field" else None
