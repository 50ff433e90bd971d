"""One block of a training file against the eval index, in a worker process: rows in, parts out.

    clean-<file>-<block>.parquet     the rows that stay, with every column they came with
    review-<file>-<block>.parquet    the rows that a person decides about, \\  with one more column, `decontamination`:
    removed-<file>-<block>.parquet   the rows that go                       /  row id, place in the input, and why
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from posttrain.decontaminate.block_results import Part, Result, done_file, read_result, write_result
from posttrain.decontaminate.contamination import ContaminationTable
from posttrain.decontaminate.examples import Examples
from posttrain.decontaminate.json_rows import table_of
from posttrain.decontaminate.matches import Evidence, Finding, decide, describe, findings_of, removal_reason, strongest
from posttrain.decontaminate.presets import PRESETS
from posttrain.decontaminate.search import EvalSearch
from posttrain.decontaminate.shard import searching
from posttrain.decontaminate.texts import USER_ROLES, turns_of_row
from posttrain.decontaminate.train_files import DAMAGE, ROWS_PER_PART, Block, lost_rows, rows_of_block
from posttrain.decontaminate.turns import TrainingRow, Turns, turns_of_column, turns_of_lists
from posttrain.raw_files import Broken, batch_rows
from posttrain.recipe import Decontaminate
from posttrain.storage import Manifest

KEPT, BAND, REMOVED = "clean", "review", "removed"
ROLES = (KEPT, BAND, REMOVED)
ROWS_AT_ONCE = 4096

WHY = pa.struct([
    ("row_id", pa.string()), ("source", pa.string()), ("file", pa.string()), ("row", pa.int64()), ("reason", pa.string()),
    ("detail", pa.string()), ("eval", pa.string()), ("item_id", pa.string()), ("measure", pa.string()), ("score", pa.float64()),
    ("rule", pa.string()), ("raw", pa.string()),
])
"""`raw`: what stands in the file, of a row that is no object and has no columns."""


@dataclass(frozen=True, slots=True)
class Task:
    block: Block
    index: Manifest
    settings: Decontaminate
    folder: str
    dry_run: bool


@dataclass(slots=True)
class Rows:
    """Some rows of a block: their table, and what decontamination wants to know of each."""

    table: pa.Table
    first: int | None
    """The number of the first row in the file; None where `numbers` gives each row's."""
    numbers: list[int]
    turns: Turns
    broken: dict[int, Broken]

    def number(self, row: int) -> int:
        return self.numbers[row] if self.first is None else self.first + row


def compare_block(task: Task) -> Result:
    """Compare the rows of a block, write its parts, and say what was counted; or say what was, where it was done before."""
    done = done_file(Path(task.folder), task.block.file.name, task.block.number)
    if done.exists():
        return read_result(done)
    result = _compared(task)
    write_result(done, result)
    return result


def _compared(task: Task) -> Result:
    result = Result(task.block.bytes)
    with searching(task.index, task.settings) as search:
        table = ContaminationTable(search.index, task.settings.dataset_threshold, PRESETS[task.settings.preset])
        examples = Examples(search.index)
        for number, rows in enumerate(_tables(task.block, task.settings), start=task.block.number):
            evidence = Evidence(search.index)
            _compare(rows, number, task, search, table, examples, evidence, result)
            name = f"matches-{task.block.file.name}-{number:05d}.parquet"
            if evidence.decisions:
                evidence.write_file(Path(task.folder) / name)
                result.evidence.append(name)
        result.contamination, result.examples = table.state(), examples.state()
    return result


def _compare(
    rows: Rows, number: int, task: Task, search: EvalSearch, table: ContaminationTable, examples: Examples, evidence: Evidence,
    result: Result,
) -> None:
    size, file = rows.table.num_rows, task.block.file
    found = findings_of(rows.turns, search, task.settings)
    roles = np.zeros(size, np.int8)
    names, source_of_row = _sources(rows.table, file.source)
    why: dict[int, dict[str, Any]] = {}
    for n, findings in sorted(found.items()):
        decision = decide(findings)
        row_id, source = _id(rows, n, file.path), names[source_of_row[n]]
        row = TrainingRow(row_id, source, rows.turns.of(n))
        evidence.add(row, findings)
        examples.add(row, findings)
        place: Hashable = (file.path, rows.number(n))
        table.count(source, place, findings)
        if decision != "keep":
            roles[n] = ROLES.index(REMOVED if decision == "remove" else BAND)
            reason = removal_reason(findings) if decision == "remove" else "review"
            why[n] = {"row_id": row_id, "reason": reason, **_best(strongest(findings))}
    compared = np.zeros(size, np.bool_)
    compared[rows.turns.rows] = True
    for n in np.flatnonzero(~compared).tolist():
        roles[n] = ROLES.index(REMOVED)
        broken = rows.broken.get(n) or Broken("missing_field", "no messages, prompt or text to compare", "")
        why[n] = {"row_id": _id(rows, n, file.path), "reason": broken.reason, "detail": broken.detail, "raw": broken.text or None}
    for n, about in why.items():
        about |= {"source": names[source_of_row[n]], "file": file.path, "row": rows.number(n)}
        if roles[n] == ROLES.index(REMOVED):
            result.reasons[about["source"], about["reason"]] += 1
        else:
            result.band[about["source"]] += 1
    table.sources.update(names)
    result.rows += size
    counts = np.bincount(source_of_row, minlength=len(names)).tolist()
    result.read.update(dict(zip(names, counts, strict=True)))
    if task.dry_run:
        return
    for k, role in enumerate(ROLES):
        chosen = np.flatnonzero(roles == k)
        if not len(chosen):
            continue
        part = rows.table if len(chosen) == size else rows.table.take(pa.array(chosen))
        if role != KEPT:
            part = with_why(part, [why[n] for n in chosen.tolist()])
        name = f"{role}-{file.name}-{number:05d}.parquet"
        pq.write_table(part, Path(task.folder) / name, compression="zstd")
        numbers = chosen + rows.first if rows.first is not None else np.array(rows.numbers, np.int64)[chosen]
        result.parts.append(Part(role, name, file.name, file.path, part.num_rows, tuple(names),
                                 source_of_row[chosen].astype(np.int32).tobytes(), numbers.astype(np.int64).tobytes()))


def with_why(table: pa.Table, why: list[dict[str, Any]]) -> pa.Table:
    """The rows with the column `decontamination` (with underscores behind it where the rows have one of that name)."""
    name = "decontamination"
    while name in table.column_names:
        name += "_"
    return table.append_column(pa.field(name, WHY), pa.array(why, WHY))


def _best(finding: Finding) -> dict[str, Any]:
    return {"detail": describe(finding), "eval": finding.eval, "item_id": finding.item_id, "measure": finding.measure,
            "score": finding.match.score, "rule": finding.rule}


def _id(rows: Rows, n: int, file: str) -> str:
    """A row's own `id`, a text or whole number, else file:row."""
    own = rows.table.column("id")[n] if "id" in rows.table.column_names else None
    plain = own is not None and own.is_valid and (is_text(own.type) or pa.types.is_integer(own.type))
    return (str(own.as_py()) if plain else "") or f"{file}:{rows.number(n)}"


def _sources(table: pa.Table, stem: str) -> tuple[list[str], np.ndarray[Any, np.dtype[np.int32]]]:
    """(names, number of the name of each row): the row's `source` where it is a text, else the file's name."""
    if "source" not in table.column_names or not is_text(table.column("source").type):
        return [stem], np.zeros(table.num_rows, np.int32)
    coded = table.column("source").combine_chunks().dictionary_encode()
    names = [name or stem for name in coded.dictionary.to_pylist()]
    numbers = coded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)
    names = names if not coded.null_count else [*names, stem]
    unique = list(dict.fromkeys(names))
    return unique, np.array([unique.index(name) for name in names], np.int32)[numbers]


# ---------------------------------------------------------------- tables


def _tables(block: Block, settings: Decontaminate) -> Iterator[Rows]:
    """The rows of a block, at most a part's worth at a time."""
    if block.groups is not None:
        yield from _parquet_tables(block, settings)
        return
    roles = USER_ROLES if settings.turns == "user" else None
    values: list[Any] = []
    numbers: list[int] = []
    any_rows = False
    for number, value in rows_of_block(block):
        values.append(value)
        numbers.append(number)
        if len(values) >= ROWS_PER_PART and block.lines is None:
            any_rows = True
            yield _rows_of_values(values, numbers, roles)
            values, numbers = [], []
    if values or not any_rows:
        yield _rows_of_values(values, numbers, roles)


def _rows_of_values(values: list[Any], numbers: list[int], roles: tuple[str, ...] | None) -> Rows:
    broken = {n: value for n, value in enumerate(values) if isinstance(value, Broken)}
    turns = turns_of_lists([] if isinstance(value, Broken) else turns_of_row(value, roles) for value in values)
    compared = np.zeros(len(values), np.bool_)
    compared[turns.rows] = True
    for n in np.flatnonzero(~compared).tolist():
        if n not in broken and not isinstance(values[n], dict | str):
            broken[n] = Broken("missing_field", "no messages, prompt or text to compare", repr(values[n]))
    return Rows(table_of(values), None, numbers, turns, broken)


def _parquet_tables(block: Block, settings: Decontaminate) -> Iterator[Rows]:
    first, tables = block.first, []
    damage = block.damage
    if block.groups:
        with pq.ParquetFile(block.file.path, page_checksum_verification=True) as file:
            batches = file.iter_batches(batch_size=ROWS_AT_ONCE, row_groups=list(block.groups))
            try:
                tables += [pa.Table.from_batches([batch]) for batch in batches]
            except DAMAGE as error:
                damage = f"{type(error).__name__}: {error}"
    table = pa.concat_tables(tables) if tables else None
    if table is not None:
        yield Rows(table, first, [], *_turns_of_table(table, settings))
    if damage:
        rows = first + (table.num_rows if table is not None else 0)
        yield _rows_of_values([lost_rows(block.file, rows, damage)], [rows], None)


def _turns_of_table(table: pa.Table, settings: Decontaminate) -> tuple[Turns, dict[int, Broken]]:
    """Conversations in the form of `messages` are read as columns; every other row as the published forms are."""
    which, roles = settings.turns, USER_ROLES if settings.turns == "user" else None
    begin = 0
    turns: list[Turns] = []
    broken: dict[int, Broken] = {}
    for batch in table.to_batches(ROWS_AT_ONCE):
        size, own = batch.num_rows, None
        try:
            if "messages" in batch.schema.names and is_conversation(batch.schema.field("messages").type):
                own = turns_of_column(batch.column("messages"), which)
        except UnicodeDecodeError:
            own = None
        if own is None or len(np.unique(own.rows)) < size:
            values = list(batch_rows(batch))
            broken |= {begin + n: value for n, value in enumerate(values) if isinstance(value, Broken)}
            own = turns_of_lists([] if isinstance(value, Broken) else turns_of_row(value, roles) for value in values)
        turns.append(Turns(own.texts, own.rows + begin, own.places))
        begin += size
    if not turns:
        return Turns([], np.zeros(0, np.int64), np.zeros(0, np.int64)), broken
    texts = [text for part in turns for text in part.texts]
    return Turns(texts, np.concatenate([t.rows for t in turns]), np.concatenate([t.places for t in turns])), broken


def is_conversation(kind: pa.DataType) -> bool:
    """Lists of {role, content}, both text."""
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not pa.types.is_struct(kind.value_type):
        return False
    names = {field.name: field.type for field in kind.value_type}
    return all(is_text(names.get(name, pa.null())) for name in ("role", "content"))


def is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)
