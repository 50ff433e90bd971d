"""The commands on what became of the rows: the plan of a mixture, the books of a run, the difference between two mixtures."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from posttrain.cli import options
from posttrain.mix.books import CHAIN, keep_books
from posttrain.mix.diff import compare_mixtures, find_mixture
from posttrain.mix.plan import make_plan
from posttrain.report.summary import table
from posttrain.run import load_run
from posttrain.storage import workspace_url

Mixture = Annotated[str, typer.Argument(help="Id of a run, or the folder of a mixture.", show_default=False)]


def show_plan(recipe: str, as_json: bool) -> None:
    """`mix --plan RECIPE`: what the mixture will take of what there is. Nothing is run."""
    plan = make_plan(options.needed_recipe(recipe), workspace_url())
    if as_json:
        typer.echo(json.dumps(plan.as_json(), ensure_ascii=False))
        return
    lines = [[line.split, line.source, line.category, line.asked, _number(line.planned), _number(line.available), line.known_from]
             for line in plan.lines]
    typer.echo(table(["split", "source", "category", "asked", "rows", "available", "known from"], lines, right=(4, 5)))
    typer.echo()
    categories = [[c.split, c.category, _number(c.planned), _number(c.available), _number(c.quota) if c.quota is not None else "",
                   f"{100 * c.planned / plan.totals[c.split]:.1f} %" if plan.totals[c.split] else ""] for c in plan.categories]
    typer.echo(table(["split", "category", "rows", "available", "quota", "share"], categories, right=(2, 3, 4, 5)))
    typer.echo()
    for split, rows in plan.totals.items():
        unknown = [line.source for line in plan.lines if line.split == split and line.planned is None]
        typer.echo(f"{split}: {rows:,} rows" + (f" and what is not known yet of {', '.join(unknown)}" if unknown else ""))
    for note in plan.notes:
        typer.echo(f"note: {note}")
    for warning in plan.warnings:
        typer.echo(f"WARNING: {warning}")


def _number(rows: int | None) -> str:
    return "unknown" if rows is None else f"{rows:,}"


def books(
    run_id: Annotated[str, typer.Argument(help="Id of a run; `runs` lists them.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Reconcile pool, converted, filtered, deduplicated, decontaminated and mixed rows; exit 1 if a row is unexplained."""
    found = keep_books(load_run(run_id))
    if as_json:
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False))
    else:
        chains = {source: found.chain(source) for source in found.sources()}
        steps = [step for step in CHAIN if any(step in chain for chain in chains.values())]
        lines = [[source, *(f"{chain[step]:,}" if step in chain else "" for step in steps)] for source, chain in chains.items()]
        total = ["all", *(f"{sum(chain.get(step, 0) for chain in chains.values()):,}" for step in steps)]
        typer.echo(table(["source", *steps], [*lines, total], right=tuple(range(1, len(steps) + 1))))
        typer.echo()
        dropped = [[stage, source, reason, f"{rows:,}"] for stage, source, reason, rows in found.reasons()]
        typer.echo(table(["dropped by", "source", "reason", "rows"], dropped, right=(3,)) if dropped else "no row was dropped")
        for stage, source, rows in found.joined():
            typer.echo(f"{stage} {source}: {rows:,} rows are a part of another row's example")
        typer.echo()
        typer.echo(f"unexplained rows: {found.unexplained:,}")
    for problem in found.problems:
        typer.echo(f"unexplained: {problem}", err=True)
    if found.problems:
        raise typer.Exit(1)


def diff(
    mix_a: Mixture, mix_b: Mixture, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what changed from one mixture to another, and why: rows by source and category, reasons, settings."""
    found = compare_mixtures(find_mixture(mix_a, workspace_url()), find_mixture(mix_b, workspace_url()))
    if as_json:
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False))
        return
    if found.same:
        typer.echo("the same rows in both")
    counts = [[c.split, c.source, c.category, *(f"{n:,}" for n in (c.rows_a, c.rows_b, c.added, c.removed, c.changed))]
              for c in found.counts if c.added or c.removed or c.changed]
    if counts:
        typer.echo(table(["split", "source", "category", "rows in A", "rows in B", "added", "removed", "changed"], counts,
                         right=(3, 4, 5, 6, 7)))
        typer.echo()
        reasons = [[r.what, r.source, f"{r.rows:,}", r.why, ", ".join(r.examples[:2])] for r in found.reasons]
        typer.echo(table(["what", "source", "rows", "why", "for example"], reasons, right=(2,)))
    if found.settings:
        typer.echo()
        settings = [[s.stage, s.key, _short(s.a), _short(s.b)] for s in found.settings]
        typer.echo(table(["stage", "setting", "in A", "in B"], settings))


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
