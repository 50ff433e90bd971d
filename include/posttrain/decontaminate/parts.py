"""The output parts of decontaminated files, once all blocks are compared: sources that go, columns that agree, the books."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from posttrain.decontaminate.block_results import Part, Result
from posttrain.decontaminate.compare_block import KEPT, REMOVED, WHY, with_why
from posttrain.decontaminate.json_rows import common_schema, with_schema
from posttrain.storage import ArtifactWriter, link_or_copy, read_table

OVERLAP = "eval_set_overlap"


def bring_parts(results: list[Result], blocks: Path, folder: Path) -> list[Part]:
    """The parts of all blocks under their names in `folder`, without a copy where the file system can: until the command has
    succeeded, `blocks` stays as it is, so that it goes on from there when it is stopped."""
    parts = [part for result in results for part in result.parts]
    for part in parts:
        link_or_copy(str(blocks / part.name), str(folder / part.name))
    return parts


def _write(table: pa.Table, path: Path) -> None:
    """Under another name first: what the name stood for before is also a block's."""
    new = path.with_name(f"{path.name}.new")
    pq.write_table(table, new, compression="zstd")
    new.replace(path)


def drop_sources(parts: list[Part], overlapping: dict[str, list[str]], folder: Path) -> None:
    """Move the rows of the overlapping sources from the clean and review parts to removed ones; `parts` says so afterwards."""
    for part in [part for part in parts if part.role != REMOVED]:
        source_of_row, numbers = np.frombuffer(part.source_of_row, np.int32), np.frombuffer(part.numbers, np.int64)
        falls = np.isin(source_of_row, [n for n, source in enumerate(part.sources) if source in overlapping])
        if not falls.any():
            continue
        table = read_table(str(folder / part.name))
        fallen = table.filter(pa.array(falls))
        why = []
        for place, number in zip(np.flatnonzero(falls).tolist(), numbers[falls].tolist(), strict=True):
            source = part.sources[source_of_row[place]]
            why.append({"row_id": f"{part.path}:{number}", "source": source, "file": part.path, "row": number, "reason": OVERLAP,
                        "detail": "over the data-set rule on " + ", ".join(overlapping[source])})
        rows = fallen if part.role == KEPT else fallen.select(fallen.column_names[:-1])  # the last says why it was in the band
        name = part.name.replace(part.role, REMOVED, 1).removesuffix(".parquet") + f"-{part.role}.parquet"
        _write(with_why(rows, why), folder / name)
        parts.append(Part(REMOVED, name, part.file, part.path, len(why), part.sources, source_of_row[falls].tobytes(),
                          numbers[falls].tobytes()))
        part.rows -= len(why)
        part.source_of_row, part.numbers = source_of_row[~falls].tobytes(), numbers[~falls].tobytes()
        if part.rows:
            _write(table.filter(pa.array(~falls)), folder / part.name)
        else:
            (folder / part.name).unlink()


def agree_on_columns(parts: list[Part], folder: Path) -> None:
    """Give all parts of a file the same columns of the same types: a field may be absent, or whole numbers, in some blocks."""
    written = sorted((part for part in parts if part.rows), key=lambda part: part.file)
    for _, group in groupby(written, key=lambda part: part.file):
        own = {part.name: pq.read_schema(folder / part.name) for part in group}
        rows = {name: pa.schema([f for f in schema if f.type != WHY]) for name, schema in own.items()}
        first, *others = rows.values()
        if all(first.equals(other) for other in others):
            continue
        common = common_schema(list(rows.values()))
        for name, schema in own.items():
            if not rows[name].equals(common):
                table = read_table(str(folder / name))
                changed = with_schema(table, common)
                why = [f.name for f in schema if f.type == WHY]
                for column in why:
                    changed = changed.append_column(schema.field(column), table.column(column))
                _write(changed, folder / name)


def count_rows(results: list[Result], overlapping: dict[str, list[str]], out: ArtifactWriter) -> None:
    """The books: read = kept + rejected for every source; a row of the band is kept until it is decided.

    Facts: `outcome`, the rows that are clean, in the band and removed; every row is one of these.
    """
    read, band, gone = Counter[str](), Counter[str](), Counter[str]()
    for result in results:
        read.update(result.read)
        band.update(result.band)
        for (source, reason), rows in result.reasons.items():
            gone[source] += rows
            out.rejected(source, reason, rows)
    for source in overlapping:
        if rest := read[source] - gone[source]:
            out.rejected(source, OVERLAP, rest)
            gone[source], band[source] = read[source], 0
    for source, rows in read.items():
        out.read(source, rows)
        out.kept(source, rows - gone[source])
    removed, review = gone.total(), band.total()
    out.facts["outcome"] = {"clean": read.total() - removed - review, "review": review, "removed": removed}
