"""Prompt/completion rows and other two-column forms.

Names of both columns differ between data sets; the first known name that has a value counts, in the order below.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from posttrain.convert.draft import Draft
from posttrain.convert.fields import as_text, label_of, object_of, text_of
from posttrain.convert.in_columns import Conversations, are_blank, exchanges, first_texts, labels_of, texts, trimmed
from posttrain.convert.turns import question_answer, with_system
from posttrain.schema import UnreadableRow

PROMPTS = ("prompt", "instruction", "question", "query", "inputs", "input", "user", "problem")
COMPLETIONS = ("completion", "response", "answer", "output", "targets", "target", "assistant", "text")
"""`text` comes last: it is the answer only where nothing else is (Dolly answers published beside a model's)."""

END_OF_TEXT = "<|endoftext|>"


def convert_prompt_completion(row: Any) -> list[Draft]:
    """{prompt, completion} by any of the known column names, with an optional `system` text and `skill`."""
    fields = object_of(row)
    prompt = text_of(fields, *PROMPTS)
    if not any(fields.get(name) is not None for name in COMPLETIONS):
        raise UnreadableRow("no_assistant_turn", COMPLETIONS[0], f"none of {', '.join(COMPLETIONS)}")
    completion = strip_end_of_text(text_of(fields, *COMPLETIONS))
    return [Draft(messages=with_system(question_answer(prompt, completion), fields), skill=label_of(fields, "skill"))]


def read_prompt_completion(table: pa.Table) -> Conversations:
    """`convert_prompt_completion` for the columns of a batch. It is not sure of rows with a system text."""
    prompt, completion = first_texts(table, *PROMPTS), trimmed(first_texts(table, *COMPLETIONS))
    ended = pc.ends_with(completion, END_OF_TEXT)
    if pc.any(ended).as_py():
        cut = pc.utf8_slice_codeunits(completion, 0, -len(END_OF_TEXT))
        completion = trimmed(pc.if_else(ended, cut, completion))
    sure = are_blank(texts(table, "system"), len(prompt))
    return replace(exchanges(prompt, completion, sure), skill=labels_of(table, "skill"))


def convert_pair(row: Any) -> list[Draft]:
    """[prompt, answer], or an object with exactly two columns of any name, or the columns of prompt/completion."""
    if isinstance(row, list):
        if len(row) != 2:
            raise UnreadableRow("wrong_type", "row", f"a list of {len(row)} instead of a pair")
        return [Draft(messages=question_answer(as_text(row[0], "row[0]"), as_text(row[1], "row[1]")))]
    fields = object_of(row)
    if len(fields) == 2 and not (fields.keys() & set(PROMPTS) and fields.keys() & set(COMPLETIONS)):
        (first, prompt), (second, answer) = fields.items()
        return [Draft(messages=question_answer(as_text(prompt, first), as_text(answer, second)))]
    return convert_prompt_completion(fields)


def strip_end_of_text(completion: str) -> str:
    """T0's completions end in `<|endoftext|>`, which is a token and not text."""
    return completion.strip().removesuffix(END_OF_TEXT).strip()
