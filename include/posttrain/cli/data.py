"""The commands that make rows of rows (filter, improve, synthesize, mix), and what other stage commands share with them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from posttrain import recipe as settings_of
from posttrain.cli import options
from posttrain.cli.artifact import show_counts, unfinished, write_stage
from posttrain.cli.mixture import default_mix
from posttrain.cli.rows import read_inputs
from posttrain.cli.run_stage import do_in_run
from posttrain.recipe import Recipe
from posttrain.storage import ArtifactWriter, Manifest, workspace_url

Work = Callable[[list[Manifest], ArtifactWriter], None]
OptionalIn = Annotated[
    list[Path] | None,
    typer.Option("--in", exists=True, show_default=False,
                 help="Artifact folder, or Parquet or JSONL rows (.gz and .zst too); several may follow one --in."),
]
OptionalOut = Annotated[Path | None, typer.Option("--out", show_default=False, help="Folder for the artifact; new or empty.")]


def rows_stage(
    stage: str, module: str, paths: list[Path], out: Path, settings: dict[str, Any], work: Work, as_json: bool,
) -> None:
    """Read rows, do a stage on them, print its counts."""
    with unfinished(out) as folder:
        inputs = read_inputs(paths, folder)
        manifest = write_stage(stage, module, folder, out, inputs, settings, lambda writer: work(inputs.manifests, writer))
    show_counts(manifest, as_json)


def filter_rows(
    paths: OptionalIn = None, out: OptionalOut = None, recipe: options.RecipeName = None, run: options.RunId = None,
    as_json: options.AsJson = False,
) -> None:
    """Drop rows by the rules keyword → empty → quality, then exact duplicates; every dropped row keeps its reason."""
    from posttrain.filters import filter_examples, stage_settings

    if run:
        return do_in_run("filter", run, None, as_json)
    options.needed(out=out, **{"in": paths})
    found = options.recipe_of(recipe)
    settings = found.filter if found else settings_of.Filter()
    rows_stage("filter", "posttrain.filters", paths, out, stage_settings(settings),
               lambda manifests, writer: filter_examples(manifests, settings, writer), as_json)


def improve(
    paths: OptionalIn = None, out: OptionalOut = None, recipe: options.RecipeName = None,
    focus: Annotated[list[str] | None, typer.Option("--focus", help="Skill to aim at; several may follow one --focus.")] = None,
    seed: options.Seed = None, run: options.RunId = None, as_json: options.AsJson = False,
) -> None:
    """Rewrite prompts that were too simple into reasoning questions; the teacher's answers are verified."""
    from posttrain.improve import improve_prompts
    from posttrain.teacher.client import open_teacher

    if run:
        return do_in_run("improve", run, None, as_json)
    options.needed(out=out, **{"in": paths})
    found = options.recipe_of(recipe)
    settings, teacher_settings, seed = teacher_of(found, seed)
    improving = found.improve if found else settings_of.Improve()
    gaps = {skill: 1.0 for skill in sorted(focus or [])}

    def work(manifests: list[Manifest], writer: ArtifactWriter) -> None:
        with open_teacher(teacher_settings, workspace_url(), seed) as teacher:
            improve_prompts(one_of(manifests), improving, gaps, teacher, writer)

    rows_stage("improve", "posttrain.improve", paths, out,
               settings | improving.model_dump(mode="json") | {"focus": gaps}, work, as_json)


def synthesize(
    paths: OptionalIn = None, out: OptionalOut = None, recipe: options.RecipeName = None,
    rows: Annotated[
        list[str] | None,
        typer.Option("--rows", help="METHOD=NUMBER with method persona, self_play or variation; several may follow."),
    ] = None,
    focus: Annotated[list[str] | None, typer.Option("--focus", help="Skill to aim at; several may follow one --focus.")] = None,
    seed: options.Seed = None, run: options.RunId = None, as_json: options.AsJson = False,
) -> None:
    """Make new rows from seeds with the teacher; its answers are verified before a row counts."""
    from posttrain.synthesize import synthesize_rows
    from posttrain.teacher.client import open_teacher

    if run:
        return do_in_run("synthesize", run, None, as_json)
    options.needed(out=out, **{"in": paths})
    found = options.recipe_of(recipe)
    settings, teacher_settings, seed = teacher_of(found, seed)
    making = found.synthesize if found else settings_of.Synthesize(rows={"persona": 20, "self_play": 20, "variation": 20})
    if rows:
        making = making.model_copy(update={"rows": _numbers(rows)})
    gaps = {skill: 1.0 for skill in sorted(focus or [])}
    later = int(bool(gaps))

    def work(manifests: list[Manifest], writer: ArtifactWriter) -> None:
        with open_teacher(teacher_settings, workspace_url(), seed) as teacher:
            synthesize_rows(one_of(manifests), making, gaps, later, seed, teacher, writer)

    rows_stage("synthesize", "posttrain.synthesize", paths, out,
               settings | making.model_dump(mode="json") | {"focus": gaps, "round": later}, work, as_json)


def mix(
    paths: OptionalIn = None, out: OptionalOut = None, recipe: options.RecipeName = None, seed: options.Seed = None,
    allow_non_commercial: Annotated[
        bool, typer.Option("--allow-non-commercial", help="Keep rows under non-commercial licences."),
    ] = False,
    plan: Annotated[
        str | None, typer.Option("--plan", help="Run nothing: print what the mixture of this recipe takes of what is available."),
    ] = None,
    run: options.RunId = None, as_json: options.AsJson = False,
) -> None:
    """Mix rows into the splits sft, preference_prompts, preference and rlvr; without a recipe, all of every source."""
    from posttrain.cli.books import show_plan
    from posttrain.mix import mix_rows

    if plan:
        return show_plan(plan, as_json)
    if run:
        return do_in_run("mix", run, None, as_json)
    options.needed(out=out, **{"in": paths})
    found = options.recipe_of(recipe)
    with unfinished(out) as folder:
        inputs = read_inputs(paths or [], folder)
        settings = found.mix if found else default_mix(inputs.manifests)
        if allow_non_commercial:
            settings = settings.model_copy(update={"allow_non_commercial": True})
        licenses = {s.name: s.non_commercial for s in found.sources} if found else {}
        seed = seed if seed is not None else found.seed if found else 0
        manifest = write_stage(
            "mix", "posttrain.mix", folder, out, inputs,
            settings.model_dump(mode="json") | {"seed": seed, "non_commercial": licenses},
            lambda writer: mix_rows(inputs.manifests, settings, licenses, seed, writer),
        )
    show_counts(manifest, as_json)


# ---------------------------------------------------------------- settings


def teacher_of(recipe: Recipe | None, seed: int | None) -> tuple[dict[str, Any], settings_of.Teacher, int]:
    """What of the teacher stands in a manifest, its settings, and the seed."""
    teacher = recipe.teacher if recipe else settings_of.Teacher()
    seed = seed if seed is not None else recipe.seed if recipe else 0
    return {"teacher": teacher.model_dump(include={"connection", "model", "temperature"}), "seed": seed}, teacher, seed


def one_of(manifests: list[Manifest]) -> Manifest:
    """The only input of a stage that takes one."""
    if len(manifests) != 1:
        raise typer.BadParameter(f"this stage takes one artifact or file, not {len(manifests)}; `filter` makes one of many")
    return manifests[0]


def _numbers(pairs: list[str]) -> dict[str, int]:
    numbers = {}
    for pair in pairs:
        found = re.fullmatch(r"(persona|self_play|variation)=(\d+)", pair)
        if not found:
            raise typer.BadParameter(f"--rows takes METHOD=NUMBER with method persona, self_play or variation, not {pair!r}")
        numbers[found[1]] = int(found[2])
    return numbers
