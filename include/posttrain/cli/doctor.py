"""`doctor`: which source families read an unknown file, and why the others do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posttrain.cli import options
from posttrain.raw_files import READERS, file_format

if TYPE_CHECKING:
    from posttrain.convert.doctor import BadRow, Diagnosis, Fit

SHOWN = 10


def doctor(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, show_default=False,
                             help="A file of rows: json, jsonl, csv, tsv, txt or parquet; .gz and .zst too."),
    ],
    rows: Annotated[int, typer.Option("--rows", min=1, help="Look at the first so many rows.")] = 200,
    as_json: options.AsJson = False,
) -> None:
    """Which source families read an unknown file, best first, why the others do not, and the first bad rows."""
    from posttrain.convert.doctor import as_json as object_of
    from posttrain.convert.doctor import diagnose

    if file_format(file) is None:
        raise typer.BadParameter(f"{file}: no reader for this ending; allowed: {', '.join(READERS)}, each also .gz or .zst")
    diagnosis = diagnose(file, rows)
    if as_json:
        typer.echo(_printable(json.dumps(object_of(diagnosis), ensure_ascii=False)))
    else:
        typer.echo(_printable(_page(file, diagnosis)))


def _page(file: Path, diagnosis: Diagnosis) -> str:
    fits = [fit for fit in diagnosis.fits if fit.understood]
    others = [fit for fit in diagnosis.fits if not fit.understood]
    columns = ", ".join(diagnosis.columns) or "none (the rows are no objects)"
    lines = [f"{file}: the first {diagnosis.rows:,} rows, columns: {columns}"]
    if diagnosis.broken:
        lines += [f"  {len(diagnosis.broken):,} of them cannot be read:", *map(_bad, diagnosis.broken[:3])]
    if not fits:
        lines.append("No family reads it." if diagnosis.rows else "The file holds no rows.")
    else:
        best = fits[0]
        lines += ["", f"Best: {best.family} converts {best.converted:,} of {best.rows:,} rows to {', '.join(best.kinds)}",
                  f"  python -m posttrain convert --family {best.family} --in {file} --out OUT"]
        lines += _why(best)
        if best.same_as:
            more = len(best.same_as) - SHOWN
            lines.append(f"  the very same texts: {', '.join(best.same_as[:SHOWN])}{f' and {more} more' if more > 0 else ''}")
        further = [fit for fit in fits if fit is not best and fit.family not in best.same_as]
        if further:
            lines += ["", f"Others that read it ({len(further)}):"]
        for fit in further[:SHOWN]:
            columns = ", ".join(fit.columns) or "any columns"
            lines.append(f"  {fit.share:>6.1%}  {fit.family}: {', '.join(fit.kinds)}, from {columns}")
    if others and diagnosis.rows:
        alike = {str((fit.columns, fit.bad_rows)): fit for fit in reversed(others)}.values()  # one of several with one complaint
        nearest = sorted(alike, key=lambda fit: -len(fit.columns))[: SHOWN // 2]
        lines += ["", f"{len(others)} families do not read it. The nearest:"]
        for fit in nearest:
            lines += [f"  {fit.family} (reads {', '.join(fit.columns) or 'none of the columns'})", *_why(fit)]
    return "\n".join(lines)


def _why(fit: Fit) -> list[str]:
    counts = [f"    {count:,} × {reason}" for reason, count in sorted(fit.reasons.items(), key=lambda item: -item[1])]
    return counts + [_bad(row) for row in fit.bad_rows[:2]]


def _bad(row: BadRow) -> str:
    return f"    row {row.row}: {row.reason} in {row.field!r}" + (f": {row.detail[:120]}" if row.detail else "")


def _printable(text: str) -> str:
    """A lone surrogate, which a broken row may hold, as its escape."""
    return text.encode("utf-8", "backslashreplace").decode()
