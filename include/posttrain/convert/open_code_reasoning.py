"""OpenCodeReasoning: {id, input, output, source, dataset, difficulty, …}, many answers of a model to each programming problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import Field

from posttrain.convert.draft import Draft, Refused
from posttrain.convert.fields import object_of, optional_text, text_of
from posttrain.convert.think import TraceOptions, split_trace
from posttrain.convert.turns import question_answer
from posttrain.raw_rows import RawRow
from posttrain.schema import UnreadableRow


class CodeReasoningOptions(TraceOptions):
    answers_per_problem: int | None = Field(default=None, ge=1, description="so many answers to a problem, the first; null: all")


DEFAULT = CodeReasoningOptions()


def convert_open_code_reasoning(row: Any, options: CodeReasoningOptions = DEFAULT) -> list[Draft]:
    """The problem, and reasoning and code as published, under the row's own licence.

    In `split_1` the problem is `-`: it stands in other data sets only.
    """
    fields = object_of(row)
    problem, output = text_of(fields, "input"), text_of(fields, "output")
    if problem.strip() == "-":
        raise UnreadableRow("missing_field", "input", "the problem stands in the data set that `dataset` names")
    output, trace = split_trace(output, "output", options.trace)
    return [Draft(messages=question_answer(problem, output), license=optional_text(fields, "license"), trace=trace)]


def sample_answers(rows: Iterable[RawRow], options: CodeReasoningOptions) -> Iterator[RawRow | Refused]:
    """The first answers to every problem `id`, in the order of publication."""
    taken: Counter[str] = Counter()
    for row in rows:
        problem = row[2].get("id") if isinstance(row[2], dict) else None
        if options.answers_per_problem is None or not isinstance(problem, str):
            yield row
            continue
        taken[problem] += 1
        if taken[problem] > options.answers_per_problem:
            yield row, UnreadableRow("not_selected", "id", f"answer {taken[problem]} to this problem")
        else:
            yield row
