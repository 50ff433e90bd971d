"""The pool: what the choice needs to know of every row of the inputs, as columns of small numbers; bodies stay in their files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from posttrain.mix.order import Digests, Indices, as_digests, digest_rows
from posttrain.schema import SCHEMAS
from posttrain.storage import Manifest, open_parquet, read_table

KINDS: tuple[str, ...] = tuple(SCHEMAS)
FIELDS = ("source", "category", "skill", "language", "license")
PIECE_BYTES = 64 << 20
"""Bodies are read some 64 MiB at a time, whatever the size of a part."""


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file of the inputs; all its rows are of one kind."""

    path: str
    kind: str


@dataclass(frozen=True)
class Column:
    """A column of names: row n has `names[codes[n]]`. The names are sorted; there are as many as stand in the rows."""

    names: list[str]
    codes: npt.NDArray[np.int32]

    def is_one_of(self, names: set[str]) -> npt.NDArray[np.bool_]:
        return np.isin(self.codes, [code for code, name in enumerate(self.names) if name in names])


@dataclass(frozen=True)
class Pool:
    """All rows of the inputs. `kind` counts in KINDS; `part` and `row` say where the body is (row counts in the file)."""

    parts: list[Part]
    kind: npt.NDArray[np.int8]
    part: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    digest: Digests
    source: Column
    category: Column
    skill: Column
    language: Column
    license: Column

    def __len__(self) -> int:
        return len(self.kind)

    def of(self, source: str, kinds: tuple[str, ...]) -> npt.NDArray[np.bool_]:
        """Which rows are of the source and of one of the kinds."""
        return self.source.is_one_of({source}) & np.isin(self.kind, [KINDS.index(kind) for kind in kinds])


def parts_of(inputs: list[Manifest]) -> list[Part]:
    return [Part(m.file(entry.name), entry.split) for m in inputs for entry in m.files if entry.split in SCHEMAS]


def read_pool(inputs: list[Manifest]) -> Pool:
    """Read ids and labels of all rows; of rows that share kind, source and id, the whole body decides which is which."""
    parts = parts_of(inputs)
    kinds, numbers, rows, digests = [], [], [], []
    columns: dict[str, list[npt.NDArray[np.int32]]] = {name: [] for name in FIELDS}
    known: dict[str, dict[str, int]] = {name: {} for name in FIELDS}
    for number, part in enumerate(parts):
        table = read_table(part.path, ["id", *FIELDS])
        kinds.append(np.full(table.num_rows, KINDS.index(part.kind), dtype=np.int8))
        numbers.append(np.full(table.num_rows, number, dtype=np.int32))
        rows.append(np.arange(table.num_rows, dtype=np.int32))
        digests.append(digest_rows(part.kind, _texts(table["source"]).to_pylist(), _texts(table["id"]).to_pylist()))
        for name in FIELDS:
            columns[name].append(_codes(table[name], known[name]))
    pool = Pool(parts, _joined(kinds, np.int8), _joined(numbers, np.int32), _joined(rows, np.int32),
                np.concatenate(digests) if digests else np.empty((0, 2), dtype=np.uint64),
                **{name: _column(columns[name], known[name]) for name in FIELDS})
    _tell_twins_apart(pool)
    return pool


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(column, "")


def _codes(column: pa.ChunkedArray, known: dict[str, int]) -> npt.NDArray[np.int32]:
    encoded = _texts(column).combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    own = np.array([known.setdefault(name, len(known)) for name in encoded.dictionary.to_pylist()], dtype=np.int32)
    return own[encoded.indices.to_numpy()] if len(encoded) else np.empty(0, dtype=np.int32)


def _column(codes: list[npt.NDArray[np.int32]], known: dict[str, int]) -> Column:
    """Names sorted, so that a code does not depend on which file was read first."""
    names = sorted(known)
    new = np.empty(len(names), dtype=np.int32)
    new[[known[name] for name in names]] = np.arange(len(names))
    return Column(names, new[_joined(codes, np.int32)])


def _joined(arrays: list[npt.NDArray], dtype: type) -> npt.NDArray:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype=dtype)


# ---------------------------------------------------------------- rows with the same name


def _tell_twins_apart(pool: Pool) -> None:
    """Rows that share kind, source and id get digests of their bodies in place of the shared one.

    Rows with the same body as well are numbered: whichever is which, the same bytes come out.
    """
    order = np.lexsort((pool.digest[:, 1], pool.digest[:, 0]))
    ordered = pool.digest[order]
    same = (ordered[1:] == ordered[:-1]).all(axis=1)
    shared = np.zeros(len(pool), dtype=bool)
    shared[order[1:][same]] = shared[order[:-1][same]] = True
    seen: dict[bytes, int] = {}
    for at, body in bodies(pool, np.flatnonzero(shared)):
        text = json.dumps(body, sort_keys=True, ensure_ascii=False, default=str)
        own = hashlib.blake2b(pool.digest[at].tobytes() + text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        seen[own] = seen.get(own, -1) + 1
        numbered = hashlib.blake2b(own + seen[own].to_bytes(8, "little"), digest_size=16).digest()
        pool.digest[at] = as_digests([numbered])[0]


# ---------------------------------------------------------------- bodies


def pieces(part: Part, columns: list[str] | None = None) -> Iterator[tuple[int, pa.Table]]:
    """(number of the first row, rows) of a part, some PIECE_BYTES at a time, each in one chunk."""
    with open_parquet(part.path) as f:
        file = pq.ParquetFile(f, buffer_size=1 << 20)
        meta = file.metadata
        size = sum(meta.row_group(n).total_byte_size for n in range(meta.num_row_groups))
        rows = max(1, int(PIECE_BYTES * meta.num_rows / size)) if size else 1024
        first = 0
        for batch in file.iter_batches(batch_size=rows, columns=columns, use_threads=False):
            yield first, pa.Table.from_batches([batch])
            first += batch.num_rows


def bodies(pool: Pool, wanted: Indices) -> Iterator[tuple[int, dict]]:
    """(index, body) of some rows, part by part."""
    for at, first, table in pieces_with(pool, wanted):
        yield from zip(at.tolist(), table.take(pa.array(pool.row[at] - first)).to_pylist(), strict=True)


def pieces_with(pool: Pool, wanted: Indices, columns: list[str] | None = None) -> Iterator[tuple[Indices, int, pa.Table]]:
    """(indices of the wanted rows, number of the first row, rows) of every piece that holds a wanted row."""
    wanted = wanted[np.lexsort((pool.row[wanted], pool.part[wanted]))]
    for number in np.unique(pool.part[wanted]).tolist():
        own = wanted[pool.part[wanted] == number]
        rows = pool.row[own]
        for first, table in pieces(pool.parts[number], columns):
            low, high = np.searchsorted(rows, [first, first + table.num_rows])
            if low < high:
                yield own[low:high], first, table
