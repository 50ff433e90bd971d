"""Reading raw files: json, jsonl, csv, tsv, txt and parquet, plain, .gz or .zst, row by row.

A row that cannot be read comes out as `Broken` in its place, so that the caller can count and keep it; no input
makes the reader stop the run.

    reading.py      the table of formats; a file row by row, or in batches
    broken.py       a row that is not there
    text.py         bytes, text, JSON values
    json_files.py   json, jsonl, txt
    separated.py    csv, tsv
    parquet.py      parquet
"""

from posttrain.raw_files.broken import Broken, Rows
from posttrain.raw_files.json_files import rows_of
from posttrain.raw_files.parquet import as_plain, batch_rows, plain_schema
from posttrain.raw_files.reading import READERS, file_format, read_raw_batches, read_raw_file, single_rows
from posttrain.raw_files.separated import is_header
from posttrain.raw_files.text import COMPRESSIONS, first_bytes, parse_json

__all__ = [
    "COMPRESSIONS", "READERS", "Broken", "Rows", "as_plain", "batch_rows", "file_format", "first_bytes", "is_header",
    "parse_json", "plain_schema", "read_raw_batches", "read_raw_file", "rows_of", "single_rows",
]
