"""`refresh-evals`: take the rows of new or changed eval sets out of the current mixture, without Airflow."""

from __future__ import annotations

import json
import os
import sys
from contextlib import redirect_stdout
from typing import Annotated, Any

import typer

from posttrain.cli import options
from posttrain.refresh import Refresh, band_rows, compare, index_new, new_version, review, start_refresh
from posttrain.report.summary import table
from posttrain.run import load_run
from posttrain.storage import exists, join, load_manifest, workspace_url


def refresh_evals(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or a .yaml file.", show_default=False)],
    mixture: Annotated[
        str | None,
        typer.Option("--mixture", help="Id of a run, or the folder of a mixture.", show_default="the newest of the recipe"),
    ] = None,
    accept: options.Accept = None,
    workspace: Annotated[
        str | None, typer.Option("--workspace", help="Folder or URL.", show_default="POSTTRAIN_WORKSPACE, else ./workspace"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare the current mixture with the recipe's new or changed eval sets alone; if rows fall, make a new version of it."""
    from posttrain.report.refresh import write_refresh_report

    found = options.needed_recipe(recipe)
    if workspace:
        os.environ["POSTTRAIN_WORKSPACE"] = workspace
    with redirect_stdout(sys.stderr):
        refresh = start_refresh(found, workspace_url(), accept=accept or (), **_given(mixture, workspace_url()))
        page, new = None, None
        if refresh.pending:
            index_new(refresh)
            compare(refresh)
            review(refresh)
            new = new_version(refresh)
            page = write_refresh_report(refresh)
    facts = describe(refresh) | {"new": new.manifest.path if new else None, "report": page}
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    lines = [[e["eval"], e["status"], *(f"{e[key]:,}" if key in e else "" for key in ("items", "removed", "band"))]
             for e in facts["evals"]]
    typer.echo(table(["eval", "", "items", "rows to be removed", "rows in the band"], lines, right=(2, 3, 4)))
    typer.echo()
    if new:
        rows = new.manifest.rows
        typer.echo(f"{rows['rejected']:,} of {rows['read']:,} rows fell: run {refresh.run.run_id} has the new version")
        typer.echo(new.manifest.path)
    else:
        why = "no row falls" if refresh.pending else "it was compared with all of these evals before"
        typer.echo(f"the mixture {refresh.mixture.path} stays as it is: {why}")
    if page:
        typer.echo(page)


def _given(mixture: str | None, workspace: str) -> dict[str, Any]:
    """The mixture that the command names, and the run that it is from, where it names a run."""
    if mixture is None:
        return {}
    if exists(join(mixture, "manifest.json")):
        return {"mixture": load_manifest(mixture)}
    return {"mixture": load_run(mixture, workspace).manifest("mix"), "base_run_id": mixture}


def describe(refresh: Refresh) -> dict[str, Any]:
    """What was compared, as one JSON object."""
    evals = []
    for state in refresh.states:
        line: dict[str, Any] = {"eval": state.name, "status": state.status}
        if state.status != "known":
            run = refresh.of(state)
            comparison = run.manifest("refresh")
            line |= {"items": run.manifest("index_evals").facts["evals"][state.name]["items"],
                     "removed": comparison.rows["rejected"], "band": band_rows(comparison)}
        evals.append(line)
    return {"run_id": refresh.run.run_id, "recipe": refresh.run.recipe.name, "mixture": refresh.mixture.path, "evals": evals}
