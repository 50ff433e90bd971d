"""`compare`: an own mixture beside a published one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from posttrain.cli import options
from posttrain.cli.rows import is_artifact, read_file, row_files
from posttrain.schema import Example, Rejected
from posttrain.storage import load_manifest, read_examples

Mixture = Annotated[
    Path, typer.Argument(exists=True, show_default=False, help="Own mixture: an artifact folder, or a file of rows."),
]
Published = Annotated[
    Path,
    typer.Argument(exists=True, show_default=False,
                   help="Published mixture: its Parquet or JSONL files (a file or a folder), or the artifact of its conversion."),
]


def compare(mixture: Mixture, published: Published, as_json: options.AsJson = False) -> None:
    """An own mixture beside a published one, source by source: rows here, rows there, difference, and rows that are the same."""
    from posttrain.compare import SourceLine, compare_mixtures

    unreadable = {"here": 0, "there": 0}
    lines = compare_mixtures(_examples(mixture, unreadable, "here"), _examples(published, unreadable, "there"))
    total = {name: sum(getattr(line, name) for line in lines) for name in ("here", "there", "same")}
    if as_json:
        sources = [{**asdict(line), "difference": line.difference} for line in lines]
        typer.echo(json.dumps({"sources": sources, "total": total, "unreadable": unreadable}, ensure_ascii=False))
        return
    if not lines:
        typer.echo(f"{published} holds no rows that can be compared")
    else:
        width = max(len(line.source) for line in lines)
        typer.echo(f"{'kind':<10} {'source':<{width}} {'here':>9} {'there':>9} {'difference':>10} {'same text':>9}")
        for line in [*lines, SourceLine("", "total", **total)]:
            typer.echo(f"{line.kind:<10} {line.source:<{width}} {line.here:>9,} {line.there:>9,} {line.difference:>+10,} "
                       f"{line.same:>9,}")
    for side, rows in unreadable.items():
        if rows:
            typer.echo(f"{rows:,} rows {side} are no examples and are not counted", err=True)


def _examples(path: Path, unreadable: dict[str, int], side: str) -> Iterator[Example]:
    if is_artifact(path):
        yield from read_examples(load_manifest(str(path.resolve())))
        return
    for file in row_files(path):
        for found in read_file(file):
            if isinstance(found, Rejected):
                unreadable[side] += 1
            else:
                yield found
