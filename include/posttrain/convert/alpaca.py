"""Stanford Alpaca: {instruction, input, output}, with LLaMA-Factory's `history`; rows that are the rendered template too."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from posttrain.convert.draft import Draft
from posttrain.convert.fields import label_of, object_of, optional_text, text_of
from posttrain.convert.in_columns import Conversations, NotPlain, are_blank, exchanges, first_texts, labels_of, texts
from posttrain.convert.turns import question_answer, with_system
from posttrain.schema import Message, UnreadableRow, check_turns

_TEMPLATE = re.compile(
    r"### Instruction:\n(?P<instruction>.*?)(?:\n\n### Input:\n(?P<input>.*?))?\n\n### Response:\n?(?P<output>.*)\Z",
    re.DOTALL,
)


def convert_alpaca(row: Any) -> list[Draft]:
    """An instruction, its input if it has one, and the answer; `history` holds earlier [user, assistant] turns.

    The input is `input` or `context` (Dolly), the answer `output`, `response` or `answer`: the first that has a value,
    so that where a row has both `output` and `response` (CodeAlpaca), `output` counts. A `category` becomes the skill.
    A row that is only a text, or has nothing but `text`, is read as the rendered template.
    """
    if isinstance(row, str) or (isinstance(row, dict) and "instruction" not in row and "text" in row):
        row = parse_alpaca(row if isinstance(row, str) else text_of(row, "text"))
    fields = object_of(row)
    turns = question_answer(instruction_of(fields), text_of(fields, "output", "response", "answer"))
    messages = with_system(earlier_turns(fields) + turns, fields)
    check_turns(messages)
    return [Draft(messages=messages, skill=label_of(fields, "category"))]


def read_alpaca(table: pa.Table) -> Conversations:
    """`convert_alpaca` for the columns of a batch. It is not sure of rows with a history or a system text."""
    instruction, answer = first_texts(table, "instruction"), first_texts(table, "output", "response", "answer")
    rows, question = len(instruction), instruction
    if any(texts(table, name) is not None for name in ("input", "context")):
        context = first_texts(table, "input", "context")
        joined = pc.binary_join_element_wise(instruction, context, "\n\n")
        question = pc.if_else(pa.array(are_blank(context, rows)), instruction, joined)
    sure = are_blank(texts(table, "system"), rows) & _have_no_history(table)
    return replace(exchanges(question, answer, sure), skill=labels_of(table, "category"))


def _have_no_history(table: pa.Table) -> npt.NDArray[np.bool_]:
    if "history" not in table.column_names or pa.types.is_null(table.schema.field("history").type):
        return np.ones(len(table), bool)
    column = table.column("history").combine_chunks()
    if not pa.types.is_list(column.type):
        raise NotPlain
    return pc.list_value_length(column).fill_null(0).to_numpy() == 0


def instruction_of(row: dict[str, Any]) -> str:
    """The instruction, and after an empty line its input if that is not blank."""
    instruction = text_of(row, "instruction")
    context = optional_text(row, "input", "context") or ""
    return f"{instruction}\n\n{context}" if context.strip() else instruction


def earlier_turns(row: dict[str, Any]) -> tuple[Message, ...]:
    """The turns of `history`: a list of [user, assistant] pairs."""
    history = row.get("history") or []
    if not isinstance(history, list):
        raise UnreadableRow("wrong_type", "history", f"{type(history).__name__} instead of a list of pairs")
    turns: list[Message] = []
    for n, pair in enumerate(history):
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)):
            raise UnreadableRow("wrong_type", f"history[{n}]", "not a pair of texts")
        turns += question_answer(*pair)
    return tuple(turns)


def parse_alpaca(text: str) -> dict[str, str]:
    """{instruction, input, output} of a rendered template, whatever its first sentence is.

    The response stands on a line of its own, or right after the colon as in Stanford's training code.

    Raises no_assistant_turn where the text is no template: it is only a prompt then.
    """
    found = _TEMPLATE.search(text)
    if not found:
        raise UnreadableRow("no_assistant_turn", "row", "a text without the marks of the Alpaca template")
    return {name: found[name] or "" for name in ("instruction", "input", "output")}
