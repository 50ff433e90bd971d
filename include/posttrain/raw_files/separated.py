"""csv and tsv, with and without a header."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from posttrain.raw_files.broken import Broken, Rows
from posttrain.raw_files.text import checked, open_text, printable


def _read_separated(path: Path, delimiter: str) -> Rows:
    csv.field_size_limit(2**31 - 1)  # the default of 128 KiB refuses long answers
    with open_text(path, newline="") as f:
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
            yield Broken("broken_quoting", f"lines {before + 1} to {before + len(own)}: {error}", printable("".join(own)))


def _record(names: list[str], cells: list[str] | Broken) -> Any:
    """The cells by column name. A cell without a column is kept under c<n>; a column without a cell is left out."""
    if isinstance(cells, Broken):
        return cells
    row = dict(zip(names, cells, strict=False))
    if len(cells) > len(names):
        row |= {f"c{n}": cell for n, cell in enumerate(cells) if n >= len(names)}
    return checked("".join([*names, *cells]), row)


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


def read_csv(path: Path) -> Rows:
    return _read_separated(path, ",")


def read_tsv(path: Path) -> Rows:
    return _read_separated(path, "\t")
