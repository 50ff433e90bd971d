"""Parquet: rows that JSON could hold stay the columns that they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from posttrain.raw_files.broken import Broken, Rows
from posttrain.raw_files.text import COMPRESSIONS, open_binary


def read_parquet(path: Path) -> Rows:
    source: Any = path
    if path.suffix in COMPRESSIONS:  # Parquet is read from its end, so a compressed file has to be unpacked first
        with open_binary(path) as f:
            source = pa.BufferReader(f.read())
    row = 0
    with pq.ParquetFile(source, page_checksum_verification=True) as table:
        plain = plain_schema(table.schema_arrow)
        for batch in table.iter_batches(batch_size=4096):
            if batch.num_rows and (same := as_plain(batch, plain)):
                yield row, same
            else:
                yield from enumerate(batch_rows(batch), start=row)
            row += batch.num_rows


def plain_schema(schema: pa.Schema) -> pa.Schema | None:
    """The types under which rows can stay columns: those that JSON has, each in one form; None where there are others (times,
    bytes, maps), or columns of one name, of which a row can have one only."""
    types = [_plain_type(field.type) for field in schema]
    if None in types or not types or len(set(schema.names)) < len(types):
        return None
    return pa.schema(list(zip(schema.names, types, strict=True)))


def _plain_type(kind: pa.DataType) -> pa.DataType | None:
    is_type = pa.types
    if is_type.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if is_type.is_string(kind) or is_type.is_large_string(kind):
        return pa.string()
    if is_type.is_integer(kind) or is_type.is_float32(kind) or is_type.is_float64(kind) or is_type.is_boolean(kind):
        return kind
    if is_type.is_list(kind) or is_type.is_large_list(kind):
        inner = _plain_type(kind.value_type)
        return inner and pa.list_(inner)
    if is_type.is_struct(kind) and kind.num_fields:
        names = [field.name for field in kind]
        types = [_plain_type(field.type) for field in kind]
        return pa.struct(list(zip(names, types, strict=True))) if None not in types and len(set(names)) == len(names) else None
    return None


def as_plain(batch: pa.RecordBatch, schema: pa.Schema | None) -> pa.RecordBatch | None:
    """The rows under these types (see `plain_schema`); None where they cannot be, or hold text that is not UTF-8."""
    if schema is None:
        return None
    try:
        plain = batch.cast(schema)
        plain.validate(full=True)
    except pa.ArrowException:
        return None
    return plain


def batch_rows(batch: pa.RecordBatch) -> Iterator[Any]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for n in range(batch.num_rows):
            try:
                yield batch.slice(n, 1).to_pylist()[0]
            except UnicodeDecodeError as error:
                yield Broken("undecodable_text", error.reason, _shown(batch.slice(n, 1)))


def _shown(row: pa.RecordBatch) -> str:
    """One row with text that is no UTF-8, as JSON; wrong bytes become \\xff."""
    cells: dict[str, Any] = {}
    for name, column in zip(row.schema.names, row.columns, strict=True):
        try:
            cells[name] = column.to_pylist()[0]
        except UnicodeDecodeError:
            plain = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
            cells[name] = column.view(pa.binary()).to_pylist()[0].decode(errors="backslashreplace") if plain else str(column.type)
    return json.dumps(cells, ensure_ascii=False, default=str)
