"""From raw rows to examples: ids, provenance, the books, and whether a row is read by itself or in the columns of a batch."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from posttrain.columns import ExampleColumns
from posttrain.convert.draft import Converter, Draft, Join, Refused, Sample, check_draft
from posttrain.convert.in_columns import (
    CHARACTERS_FOR_LANGUAGE,
    TURNS_FOR_LANGUAGE,
    NotPlain,
    Reader,
    examples_table,
    may_be_refused,
    pieces,
    published_sources,
)
from posttrain.convert.where import rows_where
from posttrain.raw_rows import RAW, RawRow, raw_value
from posttrain.schema import (
    Example,
    PreferencePair,
    Rejected,
    RLVRExample,
    SFTExample,
    UnreadableRow,
    guess_language,
    kind_of,
)

if TYPE_CHECKING:
    from posttrain.recipe import Source
    from posttrain.storage import ArtifactWriter

log = logging.getLogger(__name__)

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
    work = _Work(convert, spec, out, guarded)
    if spec.where:
        rows = _taken(rows_where(rows, spec.where), spec, out)
    if sample:
        rows = _taken(sample(rows), spec, out)
    for value, members in join(rows):
        for example in work.convert(value, members):
            out.add(kind_of(example), example)
    work.finish()


def convert_batches(
    convert: Converter, read: Reader, batches: Iterable[pa.RecordBatch], spec: Source, out: ArtifactWriter,
) -> None:
    """`convert_rows` for batches of raw_rows.raw_batches, where each row stands for itself and is not guarded.

    Rows of which the family's reader is sure are converted as columns, the others one by one; their order stays.
    """
    work = _Work(convert, spec, out, guarded=False)
    for batch in batches:
        for start, length, table in pieces(batch.column(RAW)):
            _convert_piece(work, read, batch.slice(start, length), table)
    work.finish()


def _convert_piece(work: _Work, read: Reader, batch: pa.RecordBatch, table: pa.Table | None) -> None:
    found = published = None
    if table is not None:
        with contextlib.suppress(NotPlain):
            published, found = published_sources(table), read(table)
    sure = np.zeros(len(batch), bool) if found is None else found.sure & ~may_be_refused(found)
    files, numbers = (batch.column(name).to_pylist() for name in ("raw_file", "raw_row"))
    raw_ids = found.raw_id.to_pylist() if found and found.raw_id else [None] * len(batch)
    ids: list[str | None] = [None] * len(batch)
    others: list[Example] = []
    places: list[int] = []
    for place, is_sure in enumerate(sure.tolist()):
        if is_sure:
            ids[place] = work.id_of(raw_ids[place], files[place], numbers[place])
            continue
        value = raw_value(batch, place)
        for example in work.convert(value, [(files[place], numbers[place], value)]):
            if kind_of(example) == "sft":
                others.append(example)
                places.append(place)
            else:
                work.out.add(kind_of(example), example)
    kept = int(sure.sum())
    work.out.read(work.spec.name, kept)
    work.out.kept(work.spec.name, kept)
    if found is None or not kept:
        for example in others:
            work.out.add("sft", example)
        return
    table = examples_table(found, ids, batch, published, work.spec)
    work.out.add_table("sft", table if sure.all() else _with_others(table, np.flatnonzero(sure), others, places))


def _with_others(table: pa.Table, sure: npt.NDArray[np.int64], others: list[Example], places: list[int]) -> pa.Table:
    """The rows of the table that are sure, and the examples of the other places, in the order of their places."""
    rest = ExampleColumns("sft")
    for example in others:
        rest.append(example)
    order = np.argsort(np.concatenate([sure, np.array(places, np.int64)]), kind="stable")
    rows = np.concatenate([sure, len(table) + np.arange(len(others))])[order]
    return pa.concat_tables([table, rest.table()]).take(pa.array(rows))


class _Work:
    """Rows of one source on their way to examples: the ids that are taken, and the notes."""

    def __init__(self, convert: Converter, spec: Source, out: ArtifactWriter, guarded: bool) -> None:
        self.converter, self.spec, self.out, self.guarded = convert, spec, out, guarded
        self._taken: set[str] = set()
        self._files: dict[str, int] = {}
        self._noted, self._notes = 0, list[dict[str, Any]]()
        self._joined = 0

    def convert(self, value: Any, members: list[RawRow]) -> list[Example]:
        """The examples of what was made of some raw rows, which count as read, and as kept; or as rejected, without examples."""
        self.out.read(self.spec.name, len(members))
        raw_file, raw_row, _ = members[0]
        try:
            drafts = self.converter(value)
            for draft in drafts:
                check_draft(draft, self.guarded)
        except UnreadableRow as error:
            for row in members:
                _reject(row, error, self.spec, self.out)
            return []
        self.out.kept(self.spec.name, len(members))
        self._joined += len(members) - 1
        row_id = self.id_of(drafts[0].raw_id, raw_file, raw_row)
        published, examples = published_source(value), []
        for number, draft in enumerate(drafts):
            example_id = self._free(row_id + _suffix(draft, number)) if number else row_id
            examples.append(_example(draft, example_id, raw_file, raw_row, published, self.spec))
            if draft.note:
                self._note(draft.note, example_id, raw_file, raw_row)
        return examples

    def id_of(self, raw_id: str | None, raw_file: str, raw_row: int) -> str:
        """The raw row's own id where there is one and it is free, else the row's place; unique within the source."""
        number_of_file = self._files.setdefault(raw_file, len(self._files))
        if raw_id and raw_id not in self._taken:
            return self._free(raw_id)
        return self._free(f"{self.spec.name}_{raw_row}" + (f".{number_of_file}" if number_of_file else ""))

    def _free(self, wanted: str) -> str:
        """The id, with as many `x` behind it as make it unique; it is taken from now on."""
        while wanted in self._taken:
            wanted += "x"
        self._taken.add(wanted)
        return wanted

    def _note(self, note: str, example_id: str, raw_file: str, raw_row: int) -> None:
        self._noted += 1
        if len(self._notes) < NOTES_SHOWN:
            log.warning("%s row %d: %s", raw_file, raw_row, note)
            self._notes.append({"id": example_id, "raw_file": raw_file, "raw_row": raw_row, "note": note})

    def finish(self) -> None:
        """Facts of the manifest: the notes, and how many kept rows have no example of their own, being part of another's."""
        if self._joined:
            self.out.facts.setdefault("joined", {})[self.spec.name] = self._joined
        if self._noted:
            self.out.facts.setdefault("notes", {})[self.spec.name] = {"rows": self._noted, "first": self._notes}


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


# ---------------------------------------------------------------- examples


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
        return SFTExample(**shared, messages=draft.messages, trace=draft.trace)
    if draft.kind == "rlvr":
        return RLVRExample(**shared, messages=draft.messages, ground_truth=draft.ground_truth, verifier=draft.verifier)
    return PreferencePair(**shared, prompt=draft.prompt, chosen=draft.chosen, rejected=draft.rejected,
                          chosen_model=draft.chosen_model, rejected_model=draft.rejected_model, policy=draft.policy)


def _language(draft: Draft) -> str:
    turns = draft.turns[:TURNS_FOR_LANGUAGE]
    return guess_language(" ".join([m.content[:CHARACTERS_FOR_LANGUAGE] for m in turns]))
