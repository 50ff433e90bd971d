"""Writing: rows from everywhere into split files in shuffled order, in bounded memory.

A shuffle that does not fit into memory takes two passes. The first reads every input file once and sets its rows down beside the
others of their bucket (some thousand places of a split) in a scratch file. The second collects one part file's buckets, puts
their rows in order and writes them. No row body is a Python object on its way, except that of a rejected row, which becomes
JSON. The scratch files lie in the artifact's own folder, which a restart clears, and go at the end.

A part file ends after PART_ROWS rows or PART_BYTES of text, at the end of a bucket: rows of 40,000 characters do not need more
memory than rows of 1,000. Both are counted on what is written, so that the parts are the same whatever the inputs' cut.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from fsspec.implementations.local import LocalFileSystem

from posttrain.mix.order import Indices
from posttrain.mix.pool import Pool, pieces_with
from posttrain.progress import Progress
from posttrain.storage import ROWS_PER_PART, ArtifactWriter, file_system

BUCKET_ROWS = 5_000
PART_ROWS = ROWS_PER_PART
PART_BYTES = 128 << 20
WORKERS = min(4, os.cpu_count() or 1)

Make = Callable[[str, pa.Table, Indices], pa.Table]
"""(kind, bodies, their places in the split) → rows of the split's schema."""


@dataclass
class Order:
    """One split to be written: the pool's indices in their final order, and what becomes of a body."""

    split: str
    rows: Indices
    make: Make


@dataclass
class _Bucket:
    """Where the rows of a bucket were set down: (scratch file, number of its batch, places), and their text in bytes."""

    batches: list[tuple[str, int, Indices]] = field(default_factory=list)
    bytes: int = 0


def write_orders(pool: Pool, orders: list[Order], out: ArtifactWriter) -> None:
    """Write every split; `rejected` is one of them, whose rows the caller counts."""
    orders = [order for order in orders if len(order.rows)]
    with _scratch(out) as folder, ThreadPoolExecutor(WORKERS) as workers:
        filled = _set_down(pool, orders, folder, workers)
        files = [(out.part_name(order.split), order, buckets) for order, all_buckets in zip(orders, filled, strict=True)
                 for buckets in _part_files(all_buckets)]
        progress = Progress("mix: wrote", sum(len(order.rows) for order in orders))
        for rows in workers.map(lambda job: _write_part(out, *job), files):
            progress.add(rows)


@contextmanager
def _scratch(out: ArtifactWriter) -> Iterator[Path]:
    """A local folder that is gone when the block ends; within the artifact where that is local."""
    fs, name = file_system(out.path)
    folder = Path(name, ".shuffle") if isinstance(fs, LocalFileSystem) else Path(tempfile.mkdtemp(prefix="posttrain-mix-"))
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# ---------------------------------------------------------------- first pass


def _set_down(pool: Pool, orders: list[Order], folder: Path, workers: ThreadPoolExecutor) -> list[list[_Bucket]]:
    """Every row of every order beside the others of its bucket; the buckets of each order, in order."""
    filled = [[_Bucket() for _ in range(-(-len(order.rows) // BUCKET_ROWS))] for order in orders]
    jobs = []
    for number, order in enumerate(orders):
        places = np.argsort(pool.part[order.rows], kind="stable")  # within a part still in the split's order
        parts, starts = np.unique(pool.part[order.rows][places], return_index=True)
        jobs += [(number, part, own) for part, own in zip(parts.tolist(), np.split(places, starts[1:]), strict=True)]
    jobs.sort(key=lambda job: (job[1], job[0]))
    progress = Progress("mix: read", sum(len(order.rows) for order in orders))
    done = workers.map(lambda job: _set_part_down(pool, orders[job[0]], job[1], job[2], folder), jobs)
    for (number, _, places), found in zip(jobs, done, strict=True):
        progress.add(len(places))
        for bucket, batch, size in found:
            filled[number][bucket].batches.append(batch)
            filled[number][bucket].bytes += size
    return filled


def _set_part_down(
    pool: Pool, order: Order, part: int, places: Indices, folder: Path,
) -> list[tuple[int, tuple[str, int, Indices], int]]:
    """The rows of one input file for one split: (bucket, batch, bytes of text) of every batch written."""
    path, found, writer, batches = str(folder / f"{order.split}-{part:05d}.arrow"), [], None, 0
    wanted = np.unique(order.rows[places])
    rows_at = pool.row[order.rows[places]]
    try:
        for at, first, table in pieces_with(pool, wanted):
            last = pool.row[at[-1]]
            here = (rows_at >= first) & (rows_at <= last)
            for chunk in _chunks(places[here], text_bytes(table)[rows_at[here] - first]):
                taken = table.take(pa.array(pool.row[order.rows[chunk]] - first))
                made = order.make(pool.parts[part].kind, taken, chunk).combine_chunks()
                sizes = np.concatenate([[0], np.cumsum(text_bytes(made))])
                buckets, starts = np.unique(chunk // BUCKET_ROWS, return_index=True)
                for bucket, start, end in zip(buckets.tolist(), starts.tolist(), [*starts[1:].tolist(), len(chunk)], strict=True):
                    if writer is None:
                        writer = pa.ipc.new_file(pa.OSFile(path, "wb"), made.schema)
                    writer.write_batch(made.slice(start, end - start).to_batches()[0])
                    found.append((bucket, (path, batches, chunk[start:end]), int(sizes[end] - sizes[start])))
                    batches += 1
    finally:
        if writer is not None:
            writer.close()
    return found


def _chunks(places: Indices, sizes: npt.NDArray[np.int64]) -> Iterator[Indices]:
    """Places some thousand and some PART_BYTES at a time: rows that are repeated a hundred times are not in memory at once."""
    chunks = np.maximum(np.arange(len(places)) // (2 * BUCKET_ROWS), np.cumsum(sizes) // PART_BYTES)
    yield from np.split(places, np.flatnonzero(np.diff(chunks)) + 1)


def text_bytes(table: pa.Table) -> npt.NDArray[np.int64]:
    """The bytes of text of each row: of its turns, and of its plain text columns."""
    total = np.zeros(table.num_rows, dtype=np.int64)
    for name in table.column_names:
        column = table[name].combine_chunks()
        column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        if pa.types.is_string(column.type):
            total += pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
        elif pa.types.is_list(column.type) and pa.types.is_struct(column.type.value_type):
            lengths = pc.fill_null(pc.binary_length(column.values.field("content")), 0).to_numpy(zero_copy_only=False)
            upto = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
            offsets = column.offsets.to_numpy()
            total += upto[offsets[1:]] - upto[offsets[:-1]]
    return total


# ---------------------------------------------------------------- second pass


def _part_files(buckets: list[_Bucket]) -> Iterator[list[_Bucket]]:
    """The buckets of every part file."""
    together: list[_Bucket] = []
    for bucket in buckets:
        size = sum(b.bytes for b in together) + bucket.bytes
        if together and (len(together) * BUCKET_ROWS >= PART_ROWS or size > PART_BYTES):
            yield together
            together = []
        together.append(bucket)
    if together:
        yield together


def _write_part(out: ArtifactWriter, name: str, order: Order, buckets: list[_Bucket]) -> int:
    """Collect the rows of one part file bucket by bucket, put them in their places, write them."""
    by_file: dict[str, list[tuple[int, int, Indices]]] = {}
    for own, bucket in enumerate(buckets):
        for path, number, places in bucket.batches:
            by_file.setdefault(path, []).append((own, number, places))
    found: list[list[tuple[pa.RecordBatch, Indices]]] = [[] for _ in buckets]
    for path, batches in by_file.items():
        with pa.OSFile(path, "rb") as f:  # one file at a time: there may be more of them than a process may have open
            reader = pa.ipc.open_file(f)
            for own, number, places in batches:
                found[own].append((reader.get_batch(number), places))
    tables = []
    for rows in found:
        order_of_rows = np.argsort(np.concatenate([places for _, places in rows]))
        tables.append(pa.Table.from_batches([batch for batch, _ in rows]).combine_chunks().take(pa.array(order_of_rows)))
        rows.clear()
    table = pa.concat_tables(tables)
    out.write_table(name, table, "" if order.split == "rejected" else order.split)
    return table.num_rows
