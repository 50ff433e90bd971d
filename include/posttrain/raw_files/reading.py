"""A raw file of any format, row by row or in batches."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import zstandard

from posttrain.raw_files.broken import Broken, Rows
from posttrain.raw_files.json_files import read_json, read_jsonl, read_txt
from posttrain.raw_files.parquet import read_parquet
from posttrain.raw_files.separated import read_csv, read_tsv
from posttrain.raw_files.text import COMPRESSIONS

READERS: dict[str, Callable[[Path], Rows]] = {
    "json": read_json,
    "jsonl": read_jsonl,
    "csv": read_csv,
    "tsv": read_tsv,
    "txt": read_txt,
    "parquet": read_parquet,
}


def file_format(path: Path) -> str | None:
    """The format that a file name stands for (`a.4of5.jsonl.gz` → `jsonl`), or None where there is no reader."""
    suffixes = [suffix for suffix in path.suffixes if suffix not in COMPRESSIONS]
    name = suffixes[-1].removeprefix(".").lower() if suffixes else ""
    return name if name in READERS else None


def read_raw_file(path: Path | str) -> Rows:
    """`read_raw_batches` row by row: (row number, value); a value is any JSON value, or `Broken`."""
    return single_rows(read_raw_batches(path))


def single_rows(batches: Rows) -> Rows:
    """The rows of `read_raw_batches`, each by itself."""
    for number, value in batches:
        if isinstance(value, pa.RecordBatch):
            yield from enumerate(value.to_pylist(), start=number)
        else:
            yield number, value


def read_raw_batches(path: Path | str) -> Rows:
    """The rows of a file as (row number, value); a value is any JSON value, or `Broken`, or a record batch of the rows from that
    number on, of which `to_pylist` gives JSON values.

    Row numbers are 0-based: the line in jsonl and txt, the record elsewhere. Layouts of a json file: an array of rows; an object
    with one list of rows among its values (`{"dev": [...]}`), SQuAD's `data` giving one row a question; an object of objects, one
    row each with its key as `_key`; an object of columns (equally long lists, empty ones left out), one row an index; any other
    value is one row. A jsonl file that is one array of objects is read as that. A csv or tsv file without a header has columns
    c0, c1, …

    A file that is cut off or damaged gives the rows before the damage, then one `Broken` for all that follows.

    Raises ValueError for a file name with another ending, and OSError where the file cannot be read.
    """
    path = Path(path)
    reader = READERS.get(file_format(path) or "")
    if reader is None:
        raise ValueError(f"{path}: no reader for this ending; allowed: {', '.join(READERS)}, each also .gz or .zst")
    row = -1
    try:
        for number, value in reader(path):
            yield number, value
            row = number + (value.num_rows - 1 if isinstance(value, pa.RecordBatch) else 0)
    except (EOFError, OSError, UnicodeDecodeError, zlib.error, zstandard.ZstdError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno:  # the disk or the path, and not what stands in the file
            raise
        rest = f"all that follows row {row}" if row >= 0 else "the whole file"
        yield row + 1, Broken("damaged_file", f"{type(error).__name__}: {error}", f"{path.name}: {rest}")
