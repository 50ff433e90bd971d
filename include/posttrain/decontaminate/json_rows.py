"""JSON rows as a Parquet table that keeps their fields: a column a field, typed where all values agree, else text, in which
values that are no text stand as JSON."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from posttrain.raw_files import Broken

TEXT_ROW = "text"
"""The column of rows that are no object."""


def table_of(rows: list[Any]) -> pa.Table:
    """One line a row, in order; a field that a row lacks is null. What is no object is a text; a Broken row has no fields."""
    columns: dict[str, list[Any]] = {}
    for n, row in enumerate(rows):
        fields = row if isinstance(row, dict) else {} if isinstance(row, Broken) else {TEXT_ROW: row}
        for name, value in fields.items():
            column = columns.get(name)
            if column is None:
                column = columns[name] = [None] * n
            elif len(column) < n:
                column.extend([None] * (n - len(column)))
            column.append(value)
    for column in columns.values():
        column.extend([None] * (len(rows) - len(column)))
    if not columns:  # a table without columns has no rows
        return pa.table({TEXT_ROW: pa.nulls(len(rows), pa.string())})
    return pa.table({name: array_of(values) for name, values in columns.items()})


def array_of(values: list[Any]) -> pa.Array:
    """The values as Arrow infers them, or as JSON text where they are of several kinds or of one that Parquet does not have."""
    try:
        array = pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError, ValueError, TypeError):
        return json_text(values)
    return array if _can_be_stored(array.type) and not _lost(array, values) else json_text(values)


def json_text(values: list[Any]) -> pa.Array:
    """A text stays what it is, so that one row with a number does not change all others; any other value is written as JSON."""
    return pa.array([value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
                     for value in values], pa.string())


def _can_be_stored(kind: pa.DataType) -> bool:
    """Parquet has no structure without fields; a column that is empty in these rows has no type yet."""
    if pa.types.is_struct(kind):
        return kind.num_fields > 0 and all(_can_be_stored(kind.field(n).type) for n in range(kind.num_fields))
    if pa.types.is_list(kind):
        return _can_be_stored(kind.value_type)
    return True


def _lost(array: pa.Array, values: list[Any]) -> bool:
    """Whether whole numbers became fractions that no longer tell them apart: 2^53 + 1 among fractions."""
    return pa.types.is_floating(array.type) and any(isinstance(v, int) and abs(v) > 2**53 for v in values)


# ---------------------------------------------------------------- several tables of one file


def common_schema(schemas: list[pa.Schema]) -> pa.Schema:
    """The schema that holds all of them: every column, of the type that holds both, or text where no type does."""
    names = list(dict.fromkeys(name for schema in schemas for name in schema.names))
    fields = []
    for name in names:
        kinds = [pa.schema([schema.field(name)]) for schema in schemas if name in schema.names]
        try:
            fields.append(pa.unify_schemas(kinds, promote_options="permissive").field(0))
        except (pa.ArrowTypeError, pa.ArrowInvalid):
            fields.append(pa.field(name, pa.string()))
    return pa.schema([f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in fields])


def with_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with all columns of `schema`; what is absent is null."""
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        column = table.column(field.name)
        if column.type == field.type:
            columns.append(column)
        elif pa.types.is_string(field.type) and not pa.types.is_null(column.type):
            columns.append(json_text(column.to_pylist()))
        else:
            columns.append(pa.array(column.to_pylist(), field.type))
    return pa.Table.from_arrays(columns, schema=schema)
