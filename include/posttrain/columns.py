"""Examples as Arrow columns and back, without a dict for each row: the row path of the data half runs through here.

A table from `pa.Table.from_pylist` costs ten times as much: it looks up every field of every turn by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from posttrain.schema import EXAMPLE_TYPES, MESSAGES, ROLES, SCHEMAS, Example, Message

_CONVERSATIONS = {kind: tuple(f.name for f in schema if f.type == MESSAGES) for kind, schema in SCHEMAS.items()}
_PLAIN = {kind: tuple(f.name for f in schema if f.type != MESSAGES) for kind, schema in SCHEMAS.items()}
SYSTEM, USER, ASSISTANT = map(ROLES.index, ("system", "user", "assistant"))
"""Places in schema.ROLES."""
_TURN = pa.struct([("role", pa.string()), ("content", pa.string())])


class ExampleColumns:
    """Examples of one kind, collected column by column until they become a table."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._plain = attrgetter(*_PLAIN[kind])
        self._tables: list[pa.Table] = []
        self._rows: list[tuple[Any, ...]] = []
        self._turns: dict[str, _Turns] = {name: _Turns() for name in _CONVERSATIONS[kind]}
        self.characters = 0

    def __len__(self) -> int:
        return len(self._rows) + sum(table.num_rows for table in self._tables)

    def append(self, example: Example) -> None:
        self._rows.append(self._plain(example))
        for name, turns in self._turns.items():
            self.characters += turns.append(getattr(example, name))

    def extend(self, table: pa.Table, rows: int, characters: int) -> int:
        """Take rows of a table of the kind's schema, from its first on, until there are so many rows or characters here; how many
        it took, at least one."""
        total = self.characters + np.cumsum(characters_of(self.kind, table))
        taken = min(rows - len(self), int(np.searchsorted(total, characters)) + 1, table.num_rows)
        self._tables += [*([self._own_table()] if self._rows else []), table.slice(0, taken)]
        self._rows, self._turns = [], {name: _Turns() for name in self._turns}
        self.characters = int(total[taken - 1])
        return taken

    def table(self) -> pa.Table:
        """The collected rows as a table of the kind's schema. Raises UnicodeEncodeError for a lone surrogate."""
        return pa.concat_tables([*self._tables, self._own_table()]).combine_chunks() if self._tables else self._own_table()

    def _own_table(self) -> pa.Table:
        schema = SCHEMAS[self.kind]
        columns = dict(zip(_PLAIN[self.kind], zip(*self._rows, strict=True), strict=True)) if self._rows else {}
        arrays = [self._turns[f.name].array() if f.name in self._turns else pa.array(columns.get(f.name, ()), f.type)
                  for f in schema]
        return pa.Table.from_arrays(arrays, schema=schema)


class _Turns:
    """A column of conversations: all turns one after the other, and where each conversation begins."""

    def __init__(self) -> None:
        self.roles: list[str] = []
        self.contents: list[str] = []
        self.offsets: list[int] = [0]

    def append(self, messages: tuple[Message, ...]) -> int:
        """Takes a conversation; the number of its characters."""
        characters = 0
        for message in messages:
            self.roles.append(message.role)
            self.contents.append(message.content)
            characters += len(message.content)
        self.offsets.append(len(self.roles))
        return characters

    def array(self) -> pa.Array:
        turns = pa.StructArray.from_arrays([pa.array(self.roles, pa.string()), pa.array(self.contents, pa.string())],
                                           fields=list(_TURN))
        return pa.ListArray.from_arrays(pa.array(self.offsets, pa.int32()), turns, type=MESSAGES)


def text_bytes(column: pa.StringArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Where each text begins and the last one ends, and the UTF-8 bytes of all."""
    if not len(column):
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    _, offsets, data = column.buffers()
    starts = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    return starts - starts[0], np.frombuffer(data or b"", np.uint8)[starts[0] : starts[-1]]


def characters_of(kind: str, table: pa.Table) -> npt.NDArray[np.int64]:
    """The characters of all turns of every row."""
    characters = np.zeros(table.num_rows, np.int64)
    for name in _CONVERSATIONS[kind]:
        column = table.column(name).combine_chunks()
        offsets = column.offsets.to_numpy()
        contents = column.values.slice(offsets[0], offsets[-1] - offsets[0]).field("content")
        ends = np.concatenate([[0], np.cumsum(pc.utf8_length(contents).fill_null(0).to_numpy())])
        characters += np.diff(ends[offsets - offsets[0]])
    return characters


def alternates(rows: npt.NDArray[np.int64], roles: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """The rows that are an optional system turn, then user and assistant in turn, with an answer at the end.

    Row n has the turns `rows[n]:rows[n + 1]`; `roles` are places in schema.ROLES.
    """
    count = np.diff(rows)
    if not len(roles):
        return np.zeros(len(count), bool)
    with_system = np.zeros(len(count), np.int64)
    with_system[count > 0] = roles[rows[:-1][count > 0]] == SYSTEM
    place = np.arange(len(roles)) - np.repeat(rows[:-1] + with_system, count)
    expected = np.where(place < 0, SYSTEM, np.where(place % 2 == 0, USER, ASSISTANT))
    return ~rows_of_turns(rows, roles != expected) & (count - with_system >= 2) & ((count - with_system) % 2 == 0)


def rows_of_turns(rows: npt.NDArray[np.int64], turns: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The rows that have one of the turns."""
    found = np.zeros(len(rows) - 1, bool)
    found[np.searchsorted(rows, np.flatnonzero(turns), side="right") - 1] = True
    return found


def take_rows(batch: pa.RecordBatch, places: Sequence[int] | npt.NDArray[np.int64]) -> pa.Table:
    """The rows at `places`, which ascend; all of them without a copy."""
    table = pa.Table.from_batches([batch])
    return table if len(places) == batch.num_rows else table.take(pa.array(places, pa.int64()))


def examples_at(kind: str, batch: pa.RecordBatch, places: Sequence[int] | npt.NDArray[np.int64]) -> Iterator[Example]:
    """The rows at `places`, which ascend, as examples."""
    for part in take_rows(batch, places).to_batches():
        yield from examples_of(kind, part)


def value_counts(column: pa.Array) -> list[tuple[str, int]]:
    """The values of a column of text with how often each stands there, in the order of their first appearance."""
    return [(pair["values"], pair["counts"]) for pair in pc.value_counts(column).to_pylist()]


def examples_of(kind: str, batch: pa.RecordBatch) -> Iterator[Example]:
    """The rows of a batch as examples. A column that the batch lacks takes its default, an unknown one is refused."""
    cls, names = EXAMPLE_TYPES[kind], batch.schema.names
    columns = [conversations_of(batch.column(name)) if name in _CONVERSATIONS[kind] else _values(name, batch.column(name))
               for name in names]
    for values in zip(*columns, strict=True):
        yield cls(**dict(zip(names, values, strict=True)))


def _values(name: str, column: pa.Array) -> list[Any]:
    values = column.to_pylist()
    return [tuple(value or ()) for value in values] if name == "tags" else values


def conversations_of(column: pa.ListArray) -> Iterator[tuple[Message, ...]]:
    """The conversations of a column of type schema.MESSAGES; null is an empty one."""
    offsets = column.offsets.to_pylist()
    first, last = (offsets[0], offsets[-1]) if offsets else (0, 0)
    turns = column.values.slice(first, last - first)
    roles, contents = turns.field("role").to_pylist(), turns.field("content").to_pylist()
    messages = list(map(Message, roles, contents))
    for start, end in zip(offsets, offsets[1:], strict=False):
        yield tuple(messages[start - first:end - first])
