"""The rows of a collect artifact, split `raw`: where each stands in which file, and the row itself.

A part file holds rows as JSON texts (`schema.RAW_SCHEMA`); or as columns, where they were published as columns: then `raw` is a
struct with their types. Both stand for the same JSON values.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa

from posttrain.schema import RAW_SCHEMA
from posttrain.storage import CHARACTERS_PER_PART, ROWS_PER_PART, ArtifactWriter, Manifest, read_batches

RAW = "raw"
RawRow = tuple[str, int, Any]
"""Raw file, row number and the row itself, any JSON value."""

_decode = msgspec.json.Decoder().decode


class RawWriter:
    """Writes raw rows in the order in which they come; a part file holds rows of one form, and of several raw files."""

    def __init__(self, out: ArtifactWriter) -> None:
        self.out = out
        self._tables: list[pa.Table] = []
        self._texts: list[tuple[str, int, str]] = []
        self._rows = self._size = 0

    def add(self, raw_file: str, raw_row: int, raw: str) -> None:
        """A row as JSON text."""
        if self._tables:
            self.flush()
        self._texts.append((raw_file, raw_row, raw))
        self._count(1, len(raw))

    def add_batch(self, raw_file: str, raw_row: int, batch: pa.RecordBatch) -> None:
        """Rows as columns, of which the first has the number `raw_row`."""
        rows = batch.num_rows
        raw = pa.StructArray.from_arrays(batch.columns, fields=list(batch.schema))
        places = pa.array(range(raw_row, raw_row + rows), pa.int64())
        table = pa.table({"raw_file": pa.repeat(raw_file, rows), "raw_row": places, RAW: raw})
        if self._texts or (self._tables and self._tables[0].schema != table.schema):
            self.flush()
        self._tables.append(table)
        self._count(rows, table.nbytes)

    def _count(self, rows: int, size: int) -> None:
        self._rows += rows
        self._size += size
        if self._rows >= ROWS_PER_PART or self._size >= CHARACTERS_PER_PART:
            self.flush()

    def flush(self) -> None:
        """Write what there is; to be called after the last row."""
        if self._rows:
            table = (pa.concat_tables(self._tables) if self._tables
                     else pa.table(list(zip(*self._texts, strict=True)), schema=RAW_SCHEMA))
            self.out.write_table(self.out.part_name(RAW), table, RAW)
        self._tables, self._texts, self._rows, self._size = [], [], 0, 0


def raw_batches(collected: Manifest) -> Iterator[pa.RecordBatch]:
    """Columns `raw_file`, `raw_row` and `raw`, as they stand there."""
    for entry in collected.files:
        if entry.split == RAW:
            yield from read_batches(collected.file(entry.name))


def raw_rows(collected: Manifest) -> Iterator[RawRow]:
    for batch in raw_batches(collected):
        yield from rows_of_batch(batch)


def rows_of_batch(batch: pa.RecordBatch) -> Iterator[RawRow]:
    """The rows of a batch of `raw_batches`."""
    files, numbers, raws = (batch.column(name).to_pylist() for name in ("raw_file", "raw_row", RAW))
    yield from zip(files, numbers, raws if is_in_columns(batch) else map(parse_raw, raws), strict=True)


def raw_value(batch: pa.RecordBatch, place: int) -> Any:
    """One row of a batch."""
    value = batch.column(RAW)[place].as_py()
    return value if is_in_columns(batch) else parse_raw(value)


def is_in_columns(batch: pa.RecordBatch) -> bool:
    return pa.types.is_struct(batch.column(RAW).type)


def parse_raw(raw: str) -> Any:
    """The row that `collect` wrote; msgspec takes half the time and knows no NaN, which Python's JSON has."""
    try:
        return _decode(raw)
    except msgspec.DecodeError:
        return json.loads(raw)
