"""Reading raw files: json, jsonl, csv, tsv, txt and parquet, plain, .gz or .zst, row by row.

A row that cannot be read comes out as `Broken` in its place, so that the caller can count and keep it; no input
makes the reader stop the run. Text is UTF-8, with or without a byte order mark.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from posttrain.zstd_file import open_zstd


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that is not there to be converted. `reason` is a key of `schema.REASONS`; `text` is what stands in the file;
    `field` is the one that cannot be read (`turns.1.value`), or `row`."""

    reason: str
    detail: str
    text: str
    field: str = "row"


Rows = Iterator[tuple[int, Any]]
COMPRESSIONS = (".gz", ".zst")


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


# ---------------------------------------------------------------- text


def _open_text(path: Path, newline: str = "\n") -> TextIO:
    """The file as text; bytes that are not UTF-8 become lone surrogates, which `_checked` finds."""
    return io.TextIOWrapper(_open_binary(path), encoding="utf-8-sig", errors="surrogateescape", newline=newline)


def _open_binary(path: Path) -> Any:
    return open_zstd(path) if path.suffix == ".zst" else gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def first_bytes(path: Path, number: int = 1 << 13) -> bytes:
    """What a file begins with, unpacked; nothing of one that is damaged there."""
    try:
        with _open_binary(path) as f:
            return bytes(f.read(number))
    except (EOFError, OSError, zlib.error, zstandard.ZstdError):
        return b""


_LONE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _checked(text: str, value: Any) -> Any:
    """The value, or Broken where it holds a character that UTF-8 cannot: a wrong byte or half a surrogate pair."""
    return _encodable(value) if _may_hold_surrogates(text) else value


def _may_hold_surrogates(text: str) -> bool:
    if "\\u" in text and _ESCAPED_SURROGATE.search(text):
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _encodable(value: Any) -> Any:
    written = json.dumps(value, ensure_ascii=False)
    try:
        written.encode()
    except UnicodeEncodeError as error:
        detail = f"{ascii(written[error.start])}: a byte that is not UTF-8, or half a surrogate pair"
        return Broken("undecodable_text", detail, _printable(written), _not_encodable(value) or "row")
    return value


def _not_encodable(value: Any) -> str:
    """Where the first text with a lone surrogate stands among the values: `turns.1.value`; empty where there is none."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        if isinstance(inner, str):
            if not inner.isascii() and _LONE.search(inner):
                return _printable(str(name))
        elif below := _not_encodable(inner):
            return f"{_printable(str(name))}.{below}"
    return ""


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


MAX_NESTING = 200
"""Levels of lists and objects in one row. Message trees have some forty; at about a thousand, reading and writing JSON ends in a
RecursionError, at a depth that depends on the caller."""


def _too_deep(value: Any) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_NESTING):
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)
                 if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _shallow(text: str, value: Any) -> Any:
    """The value, or Broken where it is nested too deep; `text` is what it was read from."""
    if text.count("[") + text.count("{") > MAX_NESTING and _too_deep(value):
        return Broken("invalid_json", f"nested deeper than {MAX_NESTING} levels", _printable(text))
    return value


def _parse(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        pass  # NaN, Infinity, 1e400 and half a surrogate pair, which the json module reads, or no JSON: it says what is wrong
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        return Broken("invalid_json", str(error), _printable(text))


def parse_json(line: str) -> Any:
    """The value of one JSON text; Broken where it is none, is nested too deep or holds half a surrogate pair."""
    value = _shallow(line, _parse(line))
    return value if isinstance(value, Broken) else _checked(line, value)


# ---------------------------------------------------------------- formats


def _read_jsonl(path: Path) -> Rows:
    if _is_array(path):
        yield from _read_json(path)
        return
    with _open_text(path) as lines:
        for row, line in enumerate(lines):
            if line.strip():
                yield row, parse_json(line.strip())


TURN_FIELDS = frozenset({"role", "from"})
"""A list of objects with one of them is a conversation, which is one row."""


def _is_array(path: Path) -> bool:
    """Whether a file called .jsonl is one array of rows, as hh-rlhf's red_team_attempts.jsonl.gz is. Lines may be lists, too."""
    with _open_text(path) as lines:
        texts = (line.strip() for line in lines)
        first = next(filter(None, texts), "")
        if not first.startswith("["):
            return False
        alone = not any(texts)
    value = _parse(first)
    if isinstance(value, Broken) and not alone:
        with _open_text(path) as lines:
            value, alone = _parse(lines.read()), True
    return alone and isinstance(value, list) and bool(value) and all(
        isinstance(row, dict) and not TURN_FIELDS & row.keys() for row in value)


def _read_txt(path: Path) -> Rows:
    """A line is a JSON object or array where it begins like one, else the text itself."""
    with _open_text(path) as lines:
        for row, line in enumerate(lines):
            text = line.strip()
            if text:
                yield row, parse_json(text) if text[0] in "{[" else _checked(text, text)


def _read_json(path: Path) -> Rows:
    with _open_text(path) as f:
        text = f.read()
    if not text.strip():
        return
    value = _parse(text)
    if isinstance(value, Broken):
        # "Extra data": JSON lines under the name .json, as many Hub repositories have them.
        yield from _read_jsonl(path) if value.detail.startswith("Extra data") else [(0, value)]
        return
    suspect, deep = _may_hold_surrogates(text), _too_deep(value)
    for number, row in enumerate(rows_of(value)):
        if deep and _too_deep(row):
            yield number, _shallow(json.dumps(row, ensure_ascii=False), row)
        else:
            yield number, _encodable(row) if suspect else row


ROW_FIELDS = frozenset({"messages", "conversations", "conversation", "chosen", "rejected", "instances"})
"""Lists that belong to one row: an object that holds one of them is a row, not a file of rows."""


def rows_of(value: Any) -> Iterator[Any]:
    """The rows of a whole JSON document, by the layouts of `read_raw_file`."""
    if isinstance(value, list):
        yield from value
        return
    if not isinstance(value, dict) or not value or ROW_FIELDS & value.keys():
        yield value
        return
    values = list(value.values())
    lists = [v for v in values if isinstance(v, list) and v and all(isinstance(item, dict) for item in v)]
    if len(lists) == 1:
        yield from _questions(lists[0]) if all("paragraphs" in item and "qas" not in item for item in lists[0]) else lists[0]
    elif all(isinstance(v, dict) for v in values):
        yield from ({"_key": key, **row} for key, row in value.items())
    elif all(isinstance(v, list) for v in values) and len({len(v) for v in values if v}) == 1 and not lists:
        columns = {name: v for name, v in value.items() if v}
        yield from (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    else:
        yield value


def _questions(articles: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """SQuAD: one row a question, with the title of its article and the context of its paragraph."""
    for article in articles:
        for paragraph in article["paragraphs"]:
            shared = {"title": article.get("title"), "context": paragraph.get("context")}
            yield from ({**shared, **question} for question in paragraph.get("qas") or [])


def _read_separated(path: Path, delimiter: str) -> Rows:
    csv.field_size_limit(2**31 - 1)  # the default of 128 KiB refuses long answers
    with _open_text(path, newline="") as f:
        records = _records(f, delimiter)
        first = next(records, None)
        if first is None:
            return
        headless = isinstance(first, Broken) or not is_header(first)
        names = [] if isinstance(first, Broken) else [f"c{n}" for n in range(len(first))] if headless else first
        if headless:
            yield 0, _record(names, first)
        for row, cells in enumerate((cells for cells in records if cells), start=int(headless)):
            yield row, _record(names, cells)


def _records(lines: Iterable[str], delimiter: str) -> Iterator[list[str] | Broken]:
    """The records; one whose quotes do not fit is Broken, with all the lines that a quote has drawn into it."""
    own: list[str] = []

    def noted() -> Iterator[str]:
        for line in lines:
            own.append(line)
            yield line

    records = csv.reader(noted(), delimiter=delimiter, strict=True)
    while True:
        own.clear()
        before = records.line_num
        try:
            yield next(records)
        except StopIteration:
            return
        except csv.Error as error:
            yield Broken("broken_quoting", f"lines {before + 1} to {before + len(own)}: {error}", _printable("".join(own)))


def _record(names: list[str], cells: list[str] | Broken) -> Any:
    """The cells by column name. A cell without a column is kept under c<n>; a column without a cell is left out."""
    if isinstance(cells, Broken):
        return cells
    row = dict(zip(names, cells, strict=False))
    if len(cells) > len(names):
        row |= {f"c{n}": cell for n, cell in enumerate(cells) if n >= len(names)}
    return _checked("".join([*names, *cells]), row)


_NUMBER = re.compile(r"[-+]?[\d.,]+%?")


def is_header(cells: list[str]) -> bool:
    """Whether a first row can be column names.

    It is no header where a cell is empty after the first, a number, longer than 64 characters or there twice, nor
    where it has the layout of MMLU's files: question, four choices, answer letter.
    """
    if len(cells) == 6 and cells[5] in ("A", "B", "C", "D") and cells[1:5] != ["A", "B", "C", "D"]:
        return False
    names = cells[1:] if cells and not cells[0] else cells  # pandas leaves the name of the index column empty
    clear = all(name and len(name) <= 64 and not _NUMBER.fullmatch(name) for name in names)
    return clear and len(set(names)) == len(names)


def _read_csv(path: Path) -> Rows:
    return _read_separated(path, ",")


def _read_tsv(path: Path) -> Rows:
    return _read_separated(path, "\t")


def _read_parquet(path: Path) -> Rows:
    source: Any = path
    if path.suffix in COMPRESSIONS:  # Parquet is read from its end, so a compressed file has to be unpacked first
        with _open_binary(path) as f:
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


READERS: dict[str, Callable[[Path], Rows]] = {
    "json": _read_json,
    "jsonl": _read_jsonl,
    "csv": _read_csv,
    "tsv": _read_tsv,
    "txt": _read_txt,
    "parquet": _read_parquet,
}
