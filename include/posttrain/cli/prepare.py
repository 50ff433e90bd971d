"""`prepare`: all sources of a recipe at once. `sample`: a sheet of random rows of one of them, to look at before deciding."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from posttrain.cli import options
from posttrain.cli.rows import is_artifact, read_file
from posttrain.prepare import Prepared, prepare_run, prepare_source, prepare_sources
from posttrain.recipe import Recipe
from posttrain.sample_sheet import Sheet, csv_sheet, draw_rows, html_sheet
from posttrain.schema import Example
from posttrain.storage import Manifest, load_manifest, read_examples, read_rejected, write_atomic
from posttrain.workers import worker_count

REJECTED_SHOWN = 10


class SourcesFailed(RuntimeError):
    """Some sources of a recipe could not be prepared; the others are."""


def prepare(
    recipe: Annotated[str, typer.Argument(help="Recipe (name or .yaml file).", show_default=False)],
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Sources at a time.", show_default="POSTTRAIN_WORKERS, else the cores"),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Collect and convert all sources of a recipe in parallel processes; what is done already is skipped."""
    from posttrain.collect import check_files
    from posttrain.recipe import data_root

    found = options.needed_recipe(recipe)
    check_files([source.load for source in found.sources], data_root())
    started, total = time.monotonic(), len(found.sources)
    rows, finished = 0, 0

    def done(result: Prepared) -> None:
        nonlocal rows, finished
        rows, finished = rows + result.read, finished + 1
        seconds = max(time.monotonic() - started, 0.001)
        left = f", about {seconds / finished * (total - finished):,.0f} s left" if finished < total else ""
        state = result.error or f"{result.kept:,} of {result.read:,} rows" + (" (unchanged)" if result.unchanged else "")
        typer.echo(f"[{finished}/{total}] {result.source}: {state}; {rows / seconds:,.0f} rows/s{left}", err=True)

    try:
        results = prepare_sources(prepare_run(found), jobs or worker_count(), done)
    except KeyboardInterrupt:  # typer would end with this status as well, but without a word
        typer.echo(f"interrupted with {finished} of {total} sources done; the same command goes on with the others", err=True)
        raise typer.Exit(130) from None
    failed = [result for result in results if result.error]
    if as_json:
        total_rows = {name: sum(getattr(r, name) for r in results) for name in ("read", "kept", "rejected")}
        typer.echo(json.dumps({"sources": [asdict(r) for r in results], "total": total_rows}, ensure_ascii=False))
    else:
        typer.echo(_table(results, time.monotonic() - started))
    if failed:
        raise SourcesFailed(f"{len(failed)} of {total} sources failed; the others are prepared:\n"
                            + "\n".join(f"  {result.source}: {result.error}" for result in failed))


def _table(results: list[Prepared], seconds: float) -> str:
    width = max(len("source"), *(len(result.source) for result in results))
    lines = [f"{'source':<{width}} {'family':<22} {'read':>10} {'kept':>10} {'rejected':>9} {'seconds':>8}  rows written"]
    for r in results:
        written = ", ".join(f"{kind} {count:,}" for kind, count in r.written.items())
        what = r.error or written + (" (unchanged)" if r.unchanged else "")
        lines.append(f"{r.source:<{width}} {r.family:<22} {r.read:>10,} {r.kept:>10,} {r.rejected:>9,} {r.seconds:>8.1f}  {what}")
    read, kept, rejected = (sum(getattr(r, name) for r in results) for name in ("read", "kept", "rejected"))
    lines.append(f"{'total':<{width}} {'':<22} {read:>10,} {kept:>10,} {rejected:>9,} {seconds:>8.1f}")
    return "\n".join(lines)


# ---------------------------------------------------------------- sample


def sample(
    source: Annotated[
        str, typer.Argument(help="Source of the recipe; without --recipe, a convert artifact or a file.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", help="The sheet: a .csv or .html file.", show_default=False)],
    recipe: options.RecipeName = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="So many random rows.")] = 50,
    seed: options.Seed = None,
) -> None:
    """Write a sheet of random rows of a source (CSV or HTML), for the person who reviews it."""
    if out.suffix not in (".csv", ".html"):
        raise typer.BadParameter(f"--out is a .csv or .html file, not {str(out)!r}")
    if out.exists():
        raise FileExistsError(f"{out} exists: give another --out")
    found = options.recipe_of(recipe)
    seed = seed if seed is not None else found.seed if found else 0
    sheet = _of_recipe(found, source, rows, seed) if found else _of_path(Path(source), rows, seed)
    with write_atomic(str(out.resolve())) as file:
        file.write((csv_sheet(sheet) if out.suffix == ".csv" else html_sheet(sheet)).encode("utf-8", "backslashreplace"))
    typer.echo(f"{out}: {len(sheet.examples):,} random rows of {source} (seed {seed})")


def _of_recipe(recipe: Recipe, name: str, rows: int, seed: int) -> Sheet:
    names = [source.name for source in recipe.sources]
    if name not in names:
        raise typer.BadParameter(f"recipe {recipe.name} has no source {name!r}; it has {', '.join(names)}")
    spec = recipe.source(name)
    manifest = load_manifest(prepare_source(prepare_run(recipe), name).path)
    review = f"{spec.review.decision} by {spec.review.by}, {spec.review.date}: {spec.review.note}" if spec.review else "none yet"
    facts = {"recipe": recipe.name, "source": name, "family": spec.family, "origin": spec.origin, "licence": spec.license,
             "non-commercial": "yes" if spec.non_commercial else "no", "review": review}
    return _of_manifest(manifest, f"{name}: sample for review", facts, rows, seed)


def _of_path(path: Path, rows: int, seed: int) -> Sheet:
    if not path.exists():
        raise typer.BadParameter(f"{str(path)!r} is no artifact and no file; a source of a recipe needs --recipe")
    if is_artifact(path):
        return _of_manifest(load_manifest(str(path.resolve())), f"{path}: sample", {}, rows, seed)
    drawn = draw_rows((row for row in read_file(path) if isinstance(row, Example)), rows, seed)
    return Sheet(f"{path}: sample", {"file": str(path)}, drawn)


def _of_manifest(manifest: Manifest, title: str, facts: dict[str, str], rows: int, seed: int) -> Sheet:
    counts = manifest.rows
    facts = facts | {"rows": f"{counts['read']:,} read, {counts['kept']:,} kept, {counts['rejected']:,} rejected"}
    facts |= {f"rejected: {reason}": f"{count:,}" for reason, count in manifest.reasons.items()}
    drawn = draw_rows(read_examples(manifest), rows, seed)
    return Sheet(title, facts, drawn, draw_rows(read_rejected(manifest), REJECTED_SHOWN, seed))
