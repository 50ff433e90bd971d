"""The commands on runs: do a whole one, list them, show one, follow a row, write the report."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from posttrain import pipeline
from posttrain.cli import options
from posttrain.cli.run_stage import do_stage
from posttrain.loop import decide, record_stop
from posttrain.recipe import STAGES
from posttrain.report import score_lines, verdict_of, write_mixture_report, write_report
from posttrain.report.facts import read_round
from posttrain.report.summary import summary_text, table
from posttrain.run import Run, load_run, readable_runs, rounds_of, start_run
from posttrain.shards import redone_text
from posttrain.storage import exists, join, workspace_url

RunArgument = Annotated[str, typer.Argument(help="Id of a run; `runs` lists them.", show_default=False)]


def stage_order() -> list[str]:
    """The stages of the pipeline in order. `base` is part of sft, which starts it."""
    known = {**pipeline.MAPPED_STAGES, **pipeline.LIBRARY_STAGES, **pipeline.PROCESS_STAGES}
    return [stage for stage in STAGES if stage in known]


def run(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or a .yaml file.", show_default=False)],
    until: Annotated[str, typer.Option("--until", help=f"Last stage: {', '.join(STAGES)}.")] = STAGES[-1],
    seed: options.Seed = None,
    run_id: Annotated[str | None, typer.Option("--run-id", help="Id of the run.", show_default="recipe and time")] = None,
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, max=20, help="At most so many rounds.", show_default="the recipe's"),
    ] = None,
    accept: options.Accept = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what `show` prints as one JSON object.")] = False,
) -> None:
    """Run the whole pipeline in this process, without Airflow, round after round; what is done already is skipped."""
    if until not in STAGES:
        raise typer.BadParameter(f"no stage {until!r}; there are {', '.join(STAGES)}")
    found = options.needed_recipe(recipe)
    if seed is not None:
        found = found.model_copy(update={"seed": seed})
    pipeline.check_inputs(found)
    pipeline.check_evals(found, workspace_url(), accept or ())
    name = run_id or f"{found.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    new = start_run(found, name, until=until, max_rounds=rounds)
    while run_stages(new):
        decision = decide(new)
        typer.echo(decision.why, err=True)
        if not decision.go:
            record_stop(new, decision.why)
            break
        conf = decision.conf
        new = start_run(found, decision.run_id, root_run_id=conf["root_run_id"], round=conf["round"], until=until,
                        max_rounds=conf["max_rounds"], focus=conf["focus"])
    write_report(new)
    typer.echo(json.dumps(describe(new), ensure_ascii=False) if as_json else summary_text(rounds_of(new)).rstrip())


def run_stages(run: Run) -> bool:
    """Stage after stage as far as the run wants to go; a failed gate ends it before release. Returns whether the gate spoke."""
    for stage in stage_order():
        if not run.wants(stage):
            return run.wants("gate")
        for result in do_stage(run, stage):
            rows = result.manifest.rows
            shards = "" if result.skipped else redone_text(result.manifest.facts)
            typer.echo(f"{stage:14} {'skipped' if result.skipped else 'done':8} {result.manifest.seconds:7.1f} s  "
                       f"read {rows['read']:,}, kept {rows['kept']:,}{f', {shards}' if shards else ''}  {result.why}", err=True)
            if stage == "gate" and not result.manifest.facts["passed"]:
                return True
    return True


def runs(as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False) -> None:
    """List the runs of the workspace, oldest first."""
    lines = []
    for found in reversed(list(readable_runs())):
        done = list(dict.fromkeys(record["stage"] for record in found.stage_records()))
        verdict = verdict_of(read_round(found))["verdict"]
        lines.append({"run_id": found.run_id, "root_run_id": found.root_run_id, "round": found.round, "recipe": found.recipe.name,
                      "until": found.until, "stages": done, "verdict": verdict, "folder": found.folder})
    if as_json:
        typer.echo(json.dumps(lines, ensure_ascii=False))
    elif lines:
        rows = [[r["run_id"], str(r["round"] + 1), r["recipe"], (r["stages"] or ["none"])[-1], r["verdict"]] for r in lines]
        typer.echo(table(["run", "round", "recipe", "last stage done", "gate"], rows, right=(1,)))
    else:
        typer.echo(f"no runs in {workspace_url()}")


def show(run_id: RunArgument, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show a run: counts and reasons of every stage, scores, verdict, paths."""
    found = load_run(run_id)
    typer.echo(json.dumps(describe(found), ensure_ascii=False) if as_json else summary_text([found]).rstrip())


def describe(run: Run) -> dict[str, Any]:
    """A run as one JSON object."""
    facts = read_round(run)
    report = join(run.folder, "report.html")
    release = facts.stage("release")
    return {
        "run_id": run.run_id, "root_run_id": run.root_run_id, "round": run.round, "recipe": run.recipe.name,
        "seed": run.recipe.seed, "until": run.until, "focus": run.focus, "folder": run.folder,
        "stages": [asdict(stage) for stage in facts.stages],
        "scores": facts.scores, "tasks": facts.tasks, "thresholds": facts.thresholds, "score_lines": score_lines(facts),
        **verdict_of(facts),
        "contamination": facts.contamination, "licences": [asdict(line) for line in facts.licences],
        "report": report if exists(report) else None, "release": release.paths[0] if release else None,
        "rounds": [r.run_id for r in rounds_of(run)],
    }


def report(
    run_id: Annotated[str, typer.Argument(help="Id of a run, or the folder of a mixture.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", help="The page of a mixture's folder.", show_default=False)] = None,
) -> None:
    """Write report.html of a run and all rounds before it, or, with --out, the page of a mixture's folder; print its path."""
    folder = exists(join(run_id, "manifest.json"))
    if folder and out is None:
        raise typer.BadParameter(f"{run_id} is an artifact: name the file to be written with --out FILE")
    if out is not None and not folder:
        raise typer.BadParameter("--out is for the folder of a mixture; the report of a run lies in the run's folder")
    typer.echo(write_mixture_report(run_id, str(out)) if folder else write_report(load_run(run_id)))


def lineage(
    row_id: Annotated[str, typer.Argument(help="Id of a row.", show_default=False)],
    run_id: Annotated[
        str | None, typer.Option("--run", help="Look in this run only.", show_default="released runs first"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array of steps.")] = False,
) -> None:
    """Walk a row back to its raw file and row, through every rewrite, with the rules that it passed."""
    from posttrain.lineage import trace

    steps = trace(row_id, load_run(run_id) if run_id else None, workspace_url())
    if as_json:
        typer.echo(json.dumps([asdict(step) for step in steps], ensure_ascii=False, default=str))
        return
    for step in steps:
        typer.echo(f"{step.stage:14} {step.row_id}: {step.what}")
        for name, value in step.rules.items():
            if value not in (None, [], {}):
                typer.echo(f"{'':14}   {name}: {', '.join(value) if isinstance(value, list) else value}")
        typer.echo(f"{'':14}   {step.artifact}")
        if step.stage == "collect":
            typer.echo(f"{'':14}   {step.row}")
