"""The rows of an artifact, and of any Parquet file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from posttrain.columns import examples_of
from posttrain.schema import SCHEMAS, Example
from posttrain.storage.files import file_system
from posttrain.storage.manifest import Manifest

ROWS_PER_BATCH = 4096


def read_rows(manifest: Manifest, split: str | None = None) -> Iterator[dict[str, Any]]:
    """The kept rows of an artifact as dicts, in file order; all splits, or one."""
    for entry in manifest.files:
        if entry.split and (split is None or entry.split == split):
            yield from read_parquet(manifest.file(entry.name))


def read_examples(manifest: Manifest, split: str | None = None) -> Iterator[Example]:
    for entry in manifest.files:
        if entry.split in SCHEMAS and (split is None or entry.split == split):
            for batch in read_batches(manifest.file(entry.name)):
                yield from examples_of(entry.split, batch)


def read_rejected(manifest: Manifest) -> Iterator[dict[str, Any]]:
    for entry in manifest.files:
        if entry.is_rejected:
            yield from read_parquet(manifest.file(entry.name))


@contextmanager
def open_parquet(path: str) -> Iterator[Any]:
    """The file as pyarrow reads it best: a local one without a Python object in between.

    pyarrow's threads may still hold such an object when the interpreter ends, which then aborts the process.
    """
    fs, name = file_system(path)
    with pa.OSFile(name, "rb") if isinstance(fs, LocalFileSystem) else fs.open(name, "rb") as f:
        yield f


def read_batches(path: str) -> Iterator[pa.RecordBatch]:
    """A Parquet file in record batches of some thousand rows."""
    with open_parquet(path) as f:
        yield from pq.ParquetFile(f).iter_batches(batch_size=ROWS_PER_BATCH)


def read_table(path: str, columns: list[str] | None = None) -> pa.Table:
    """A whole Parquet file, or some of its columns. Not `pq.read_table`: that imports pyarrow.dataset and with it pandas, half a
    second in every worker."""
    with open_parquet(path) as f:
        return pq.ParquetFile(f).read(columns=columns)


def read_parquet(path: str) -> Iterator[dict[str, Any]]:
    for batch in read_batches(path):
        yield from batch.to_pylist()
