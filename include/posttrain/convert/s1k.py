"""s1K and s1K-1.1: a question, a model's reasoning trace and the answer that it attempts after it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from posttrain.convert.draft import Draft
from posttrain.convert.fields import as_text, label_of, object_of, text_of
from posttrain.convert.think import TraceOptions, with_trace
from posttrain.convert.turns import question_answer
from posttrain.schema import UnreadableRow


class S1KOptions(TraceOptions):
    teacher: Literal["deepseek", "gemini"] = Field(default="deepseek", description="whose trace and answer of s1K-1.1 are taken")


DEFAULT = S1KOptions()


def convert_s1k(row: Any, options: S1KOptions = DEFAULT) -> list[Draft]:
    """{question, thinking_trajectories: [trace], attempt} (s1K) or {question, <teacher>_thinking_trajectory, <teacher>_attempt}.

    `cot_type` (math, science, crossword …) becomes the skill.
    """
    fields = object_of(row)
    question = text_of(fields, "question")
    answer = text_of(fields, "attempt", f"{options.teacher}_attempt")
    trace = None if options.trace == "drop" else _trace(fields, options.teacher).strip()
    if trace is not None and options.trace == "tags":
        answer, trace = with_trace(trace, answer), None
    return [Draft(messages=question_answer(question, answer), skill=label_of(fields, "cot_type"), trace=trace)]


def _trace(row: dict[str, Any], teacher: str) -> str:
    if row.get("thinking_trajectories") is None:
        return text_of(row, f"{teacher}_thinking_trajectory")
    traces = row["thinking_trajectories"]
    if not isinstance(traces, list) or not traces:
        raise UnreadableRow("wrong_type", "thinking_trajectories", "not a list of traces")
    return as_text(traces[0], "thinking_trajectories[0]")
