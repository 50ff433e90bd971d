"""The texts of a batch of training rows that are compared, without an object for each row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from posttrain.decontaminate.texts import USER_ROLES

Which = Literal["user", "all"]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One training row: its turns, each with its place in the conversation."""

    id: str
    source: str
    turns: list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Turns:
    """All turns of a batch of rows, row after row: turn k is `texts[k]`, of row `rows[k]` at `places[k]` of its conversation."""

    texts: list[str]
    rows: Ints
    places: Ints

    def of(self, row: int) -> list[tuple[int, str]]:
        """The turns of one row, each with its place."""
        begin, end = np.searchsorted(self.rows, [row, row + 1]).tolist()
        return list(zip(self.places[begin:end].tolist(), self.texts[begin:end], strict=True))


def turns_of_lists(turns: Iterable[Sequence[tuple[int, str]]]) -> Turns:
    """The turns of rows that are given one by one."""
    found = [(row, place, text) for row, own in enumerate(turns) for place, text in own]
    rows, places, texts = zip(*found, strict=True) if found else ((), (), ())
    return Turns(list(texts), np.array(rows, np.int64), np.array(places, np.int64))


def turns_of_column(column: pa.Array, which: Which, role: str = "role", content: str = "content") -> Turns:
    """The turns of a column of conversations, lists of {role, content}. A turn without text is left out; null is an empty list.

    Raises UnicodeDecodeError where the text is not UTF-8.
    """
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    turns = column.flatten()
    rows = np.repeat(np.arange(len(lengths)), lengths)
    places = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    texts = pc.struct_field(turns, content)
    taken = pc.fill_null(pc.greater(pc.binary_length(texts), 0), False)
    if which == "user":
        roles = pc.is_in(pc.struct_field(turns, role), pa.array(USER_ROLES, pc.struct_field(turns, role).type))
        taken = pc.and_(taken, roles)
    mask = taken.to_numpy(zero_copy_only=False)
    return Turns(texts.filter(taken).to_pylist(), rows[mask], places[mask])


def turns_of_batch(kind: str, batch: pa.RecordBatch, which: Which) -> Turns:
    """The turns of a batch of examples; of a pair, those of the chosen side, or of the rejected where there is no chosen."""
    if kind != "preference":
        return turns_of_column(batch.column("messages"), which)
    chosen, rejected = (turns_of_column(batch.column(name), which) for name in ("chosen", "rejected"))
    empty = pc.equal(pc.fill_null(pc.list_value_length(batch.column("chosen")), 0), 0).to_numpy(zero_copy_only=False)
    instead = empty[rejected.rows]
    rows = np.concatenate([chosen.rows, rejected.rows[instead]])
    order = np.argsort(rows, kind="stable")
    texts = chosen.texts + [text for text, taken in zip(rejected.texts, instead.tolist(), strict=True) if taken]
    places = np.concatenate([chosen.places, rejected.places[instead]])
    return Turns([texts[n] for n in order.tolist()], rows[order], places[order])
