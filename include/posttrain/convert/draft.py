"""A draft: what a converter returns for one raw row.

A converter is a plain function from a raw row (any JSON value) to a list of drafts. It knows the layout of its
source family and nothing else; ids, licence, language and file names are added in rows.py, alike for every family.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from posttrain.convert.gsm8k_guard import begins_with_test_question, holds_test_question
from posttrain.raw_rows import RawRow
from posttrain.schema import Kind, Message, Policy, UnreadableRow


@dataclass(slots=True, kw_only=True)  # not frozen: that doubles the time to make one, and one is made of every raw row
class Draft:
    """An example without provenance. Fields that stay None take the source's value: category, skill, language,
    license.

    `raw_id` asks for the raw row's own id; `note` reports something odd about a row that is kept.
    """

    kind: Kind = "sft"
    messages: tuple[Message, ...] = ()
    prompt: str = ""
    chosen: tuple[Message, ...] = ()
    rejected: tuple[Message, ...] = ()
    chosen_model: str | None = None
    rejected_model: str | None = None
    policy: Policy = "off_policy"
    ground_truth: str = ""
    verifier: str = ""
    category: str | None = None
    skill: str | None = None
    language: str | None = None
    license: str | None = None
    persona: str | None = None
    raw_id: str | None = None
    trace: str | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None

    @property
    def turns(self) -> tuple[Message, ...]:
        return self.messages or self.chosen + self.rejected


Converter = Callable[[Any], list[Draft]]
Join = Callable[[Iterable[RawRow]], Iterator[tuple[Any, list[RawRow]]]]
"""For a family whose conversation is spread over raw rows: the value to convert, with the raw rows that it was made of."""

Refused = tuple[RawRow, UnreadableRow]
"""A raw row that is not taken, with the reason."""
Sample = Callable[[Iterable[RawRow]], Iterator[RawRow | Refused]]
"""For a family of which a fixed part is taken: the rows that are, in any order, and those that are not."""


# ---------------------------------------------------------------- checks that hold for every family

_PLACEHOLDER = re.compile(r"\{\{(?:name|author)\}\}", re.IGNORECASE)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)


def check_draft(draft: Draft, guarded: bool = True) -> None:
    """Refuse unfilled placeholders outside of code, and questions of GSM8K's test split.

    In a guarded source such a question is looked for anywhere in a prompt, in any other at its beginning.
    """
    holds = holds_test_question if guarded else begins_with_test_question
    for n, message in enumerate(draft.turns):
        if "{" in message.content and "{{" in message.content and (found := _PLACEHOLDER.search(_CODE.sub("", message.content))):
            raise UnreadableRow("template_placeholder", f"messages[{n}]", found.group())
        if message.role == "user" and holds(message.content):
            raise UnreadableRow("test_split_row", f"messages[{n}]", "the question stands in the test split of GSM8K")
