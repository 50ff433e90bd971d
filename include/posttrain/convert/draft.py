"""A draft: what a converter returns for one raw row, and how drafts become examples with id and provenance.

A converter is a plain function from a raw row (any JSON value) to a list of drafts. It knows the layout of its
source family and nothing else; ids, licence, language and file names are added here, alike for every family.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from posttrain.convert.gsm8k_guard import begins_with_test_question, holds_test_question
from posttrain.convert.where import rows_where
from posttrain.schema import (
    Example,
    Kind,
    Message,
    Policy,
    PreferencePair,
    Rejected,
    RLVRExample,
    SFTExample,
    UnreadableRow,
    guess_language,
)

if TYPE_CHECKING:
    from posttrain.recipe import Source
    from posttrain.storage import ArtifactWriter

log = logging.getLogger(__name__)


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
    tags: tuple[str, ...] = ()
    note: str | None = None

    @property
    def turns(self) -> tuple[Message, ...]:
        return self.messages or self.chosen + self.rejected


Converter = Callable[[Any], list[Draft]]
RawRow = tuple[str, int, Any]
"""Raw file, row number and the row itself, any JSON value."""
Join = Callable[[Iterable[RawRow]], Iterator[tuple[Any, list[RawRow]]]]
"""For a family whose conversation is spread over raw rows: the value to convert, with the raw rows that it was made of."""

Refused = tuple[RawRow, UnreadableRow]
"""A raw row that is not taken, with the reason."""
Sample = Callable[[Iterable[RawRow]], Iterator[RawRow | Refused]]
"""For a family of which a fixed part is taken: the rows that are, in any order, and those that are not."""

NOTES_SHOWN = 20
"""So many of the rows with a note are named in the log and in the manifest; all of them are counted."""


def row_by_row(rows: Iterable[RawRow]) -> Iterator[tuple[Any, list[RawRow]]]:
    """The join of nearly every family: each raw row stands for itself."""
    return ((row[2], [row]) for row in rows)


def convert_rows(
    convert: Converter, rows: Iterable[RawRow], spec: Source, out: ArtifactWriter, join: Join = row_by_row,
    sample: Sample | None = None, *, guarded: bool = True,
) -> None:
    """Convert the raw rows of one source; every row is either kept with all its drafts or rejected with a reason.

    `guarded`: the source can be used in the RLVR split, so that no draft of it may hold a question of GSM8K's test split
    anywhere in a prompt.

    Rows that the source's `where` or its family's `sample` does not take are rejected before anything reads them.

    Rows that `join` puts together are kept or rejected together, and the first of them gives the example its place.
    Ids: the raw row's own where its family keeps it, else `<source>_<row>`, from the second file on `<source>_<row>.<file>`.
    """
    taken: set[str] = set()
    files: dict[str, int] = {}
    notes: dict[str, Any] = {"rows": 0, "first": []}
    if spec.where:
        rows = _taken(rows_where(rows, spec.where), spec, out)
    if sample:
        rows = _taken(sample(rows), spec, out)
    for value, members in join(rows):
        out.read(spec.name, len(members))
        raw_file, raw_row, _ = members[0]
        try:
            drafts = convert(value)
            for draft in drafts:
                check_draft(draft, guarded)
        except UnreadableRow as error:
            for row in members:
                _reject(row, error, spec, out)
            continue
        out.kept(spec.name, len(members))
        number_of_file = files.setdefault(raw_file, len(files))
        own_id = f"{spec.name}_{raw_row}" + (f".{number_of_file}" if number_of_file else "")
        row_id = _row_id(drafts[0], own_id, taken)
        for number, draft in enumerate(drafts):
            example_id = _free(row_id + _suffix(draft, number), taken) if number else row_id
            example = _example(draft, example_id, raw_file, raw_row, published_source(value), spec)
            out.add(draft.kind, example)
            if draft.note:
                notes["rows"] += 1
                if len(notes["first"]) < NOTES_SHOWN:
                    log.warning("%s row %d: %s", raw_file, raw_row, draft.note)
                    notes["first"].append({"id": example.id, "raw_file": raw_file, "raw_row": raw_row, "note": draft.note})
    if notes["rows"]:
        out.facts.setdefault("notes", {})[spec.name] = notes


def _reject(row: RawRow, error: UnreadableRow, spec: Source, out: ArtifactWriter) -> None:
    raw_file, raw_row, value = row
    out.reject(Rejected(reason=error.reason, source=spec.name, raw_file=raw_file, raw_row=raw_row,
                        field=error.field, detail=error.detail, row=value))


def _taken(rows: Iterable[RawRow | Refused], spec: Source, out: ArtifactWriter) -> Iterator[RawRow]:
    """The rows that are taken; the refused ones are counted and kept aside on the way."""
    for row in rows:
        if len(row) == 2:
            out.read(spec.name)
            _reject(*row, spec, out)
        else:
            yield row


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


# ---------------------------------------------------------------- examples


def _row_id(first: Draft, own: str, taken: set[str]) -> str:
    """The raw row's id where the draft asks for it and it is free, else `own`; unique within the source."""
    return _free(first.raw_id if first.raw_id and first.raw_id not in taken else own, taken)


def _free(wanted: str, taken: set[str]) -> str:
    """The id, with as many `x` behind it as make it unique; it is taken from now on."""
    while wanted in taken:
        wanted += "x"
    taken.add(wanted)
    return wanted


def _suffix(draft: Draft, number: int) -> str:
    """Several drafts of a row: the first has the row's id, an RLVR twin `-rlvr`, any other its number."""
    if number == 0:
        return ""
    return "-rlvr" if draft.kind == "rlvr" else f"-{number}"


def published_source(row: Any) -> str | None:
    """What the row says about its own origin: `source`, or `dataset` as in Tülu 2 and in RLVR rows."""
    if isinstance(row, dict):
        for name in ("source", "dataset"):
            if isinstance(row.get(name), str) and row[name]:
                return row[name]
    return None


def _example(draft: Draft, id: str, raw_file: str, raw_row: int, published: str | None, spec: Source) -> Example:
    category = draft.category or spec.category
    shared: dict[str, Any] = {
        "id": id, "source": spec.name, "category": category, "skill": draft.skill or spec.skill or category,
        "language": draft.language or spec.language or _language(draft), "license": draft.license or spec.license,
        "persona": draft.persona, "raw_file": raw_file, "raw_row": raw_row, "published_source": published, "tags": draft.tags,
    }
    if draft.kind == "sft":
        return SFTExample(**shared, messages=draft.messages)
    if draft.kind == "rlvr":
        return RLVRExample(**shared, messages=draft.messages, ground_truth=draft.ground_truth, verifier=draft.verifier)
    return PreferencePair(**shared, prompt=draft.prompt, chosen=draft.chosen, rejected=draft.rejected,
                          chosen_model=draft.chosen_model, rejected_model=draft.rejected_model, policy=draft.policy)


def _language(draft: Draft) -> str:
    # The beginnings of the first turns decide as well as all of their text, and a long transcript costs no more than a short one.
    return guess_language(" ".join([m.content[:300] for m in draft.turns[:4]]))
