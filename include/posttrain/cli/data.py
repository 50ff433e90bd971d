"""The commands of the data stages: rows in, an artifact out, by the functions that the DAGs call."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from posttrain import hub
from posttrain import recipe as settings_of
from posttrain.cli import options
from posttrain.cli.artifact import show_counts, unfinished, write_stage
from posttrain.cli.convert_filters import filtered_conversion
from posttrain.cli.evals import Evals, check_evals, eval_index, is_recipe, with_index
from posttrain.cli.mixture import default_mix
from posttrain.cli.raw import chosen, collect_all, raw_sources
from posttrain.cli.rows import UNSTATED, Inputs, read_inputs
from posttrain.cli.run_stage import do_in_run
from posttrain.convert import FAMILIES, convert_source, converter_modules
from posttrain.recipe import Recipe, data_root
from posttrain.storage import ArtifactWriter, Manifest, workspace_url

Work = Callable[[list[Manifest], ArtifactWriter], None]
OptionalIn = Annotated[
    list[Path] | None,
    typer.Option("--in", exists=True, show_default=False,
                 help="Artifact folder, or Parquet or JSONL rows (.gz and .zst too); several may follow one --in."),
]
RawIn = Annotated[
    list[Path] | None,
    typer.Option("--in", exists=True, show_default=False,
                 help="Raw file (json, jsonl, csv, tsv, txt, parquet; .gz, .zst) or collect artifact; several may follow."),
]
OptionalOut = Annotated[Path | None, typer.Option("--out", show_default=False, help="Folder for the artifact; new or empty.")]
SourceName = Annotated[str | None, typer.Option("--source", help="Name of the source.", show_default="the file's name")]
License = Annotated[str, typer.Option("--license", help="Licence of the source.")]
FamilyLicense = Annotated[
    str | None, typer.Option("--license", help="Licence of the source.", show_default=f"the family's, else {UNSTATED}"),
]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", help="COLUMN=VALUE of the rows that are taken, as in a recipe; several may follow."),
]
FamilyOption = Annotated[
    list[str] | None,
    typer.Option("--option", help="NAME=VALUE of an option of the family (`sources FAMILY` lists them); several may follow."),
]
Origin = Annotated[str | None, typer.Option("--origin", help="Where the source comes from.", show_default="the file's path")]
Category = Annotated[str, typer.Option("--category", help=f"One of {', '.join(settings_of.CATEGORIES)}.")]


def rows_stage(
    stage: str, module: str, paths: list[Path], out: Path, settings: dict[str, Any], work: Work, as_json: bool,
) -> None:
    """Read rows, do a stage on them, print its counts."""
    with unfinished(out) as folder:
        inputs = read_inputs(paths, folder)
        manifest = write_stage(stage, module, folder, out, inputs, settings, lambda writer: work(inputs.manifests, writer))
    show_counts(manifest, as_json)


# ---------------------------------------------------------------- raw rows


def collect(
    paths: RawIn = None, out: OptionalOut = None, source: SourceName = None, license: License = UNSTATED, origin: Origin = None,
    recipe: options.RecipeName = None, run: options.RunId = None, as_json: options.AsJson = False,
) -> None:
    """Record raw rows with sha256, licence and origin: files, or a --source of a --recipe (which may be a Hub data set)."""
    from posttrain import collect as stage

    if run:
        return do_in_run("collect", run, source, as_json)
    options.needed(out=out)
    found = options.recipe_of(recipe)
    if found and source and not paths:
        names = [s.name for s in found.sources]
        if source not in names:
            raise typer.BadParameter(f"recipe {found.name} has no source {source!r}; it has {', '.join(names)}")
        specs = [found.source(source)]
    else:
        options.needed(**{"in": paths})
        sources = raw_sources(paths or [], source)
        if len(sources) > 1 or sources[0].collected:
            raise typer.BadParameter("raw files of one source are wanted: give one file, or the --source that several make up")
        specs = sources[0].specs("messages", license, origin, "general")
    seed = found.seed if found else 0
    loads = [stage.pinned(spec.load, data_root(), seed) for spec in specs]
    settings = {"load": loads[0] if len(loads) == 1 else loads, "source": specs[0].name, "origin": specs[0].origin,
                "license": specs[0].license}

    def work(writer: ArtifactWriter) -> None:
        files = []
        for spec, pin in zip(specs, loads, strict=True):
            stage.collect(spec, data_root(), seed, writer, pin)
            files += writer.facts["files"]
        writer.facts["files"] = files

    with unfinished(out) as folder:
        manifest = write_stage("collect", "posttrain.collect", folder, out, Inputs(), settings, work)
    show_counts(manifest, as_json)


def convert(
    family: Annotated[str | None, typer.Option("--family", help="`sources` lists them.", show_default=False)] = None,
    paths: RawIn = None, out: OptionalOut = None, source: SourceName = None, license: FamilyLicense = None, origin: Origin = None,
    category: Category = "general", where: Where = None, option: FamilyOption = None,
    keywords: Annotated[
        bool, typer.Option("--apply-keyword-filter", "--apply-keyword-filters", help="Drop rows by the keyword rule."),
    ] = False,
    empty: Annotated[
        bool, typer.Option("--apply-empty-message-filter", "--apply-empty-message-filters", help="Drop rows with an empty turn."),
    ] = False,
    push_to_hub: Annotated[
        str | None, typer.Option("--push-to-hub", metavar="ENTITY/NAME", show_default=False,
                                 help="Upload the rows as this private data set; the token comes from HF_TOKEN."),
    ] = None,
    run: options.RunId = None, as_json: options.AsJson = False,
) -> None:
    """Raw rows → SFT examples, preference pairs and RLVR examples; an unreadable row is kept with file, row, field and reason."""
    if run and (keywords or empty or push_to_hub):
        raise typer.BadParameter("within a run, the recipe's `filter` and `release` do what the filters and the push would do")
    if run:
        return do_in_run("convert", run, source, as_json)
    options.needed(family=family, out=out, **{"in": paths})
    if family not in FAMILIES:
        raise typer.BadParameter(f"no source family {family!r}; there are {', '.join(sorted(FAMILIES))}")
    if category not in settings_of.CATEGORIES:
        raise typer.BadParameter(f"no category {category!r}; there are {', '.join(settings_of.CATEGORIES)}")
    if push_to_hub:
        hub.check_push(push_to_hub)
    sources = raw_sources(paths or [], source)
    choices = chosen(FAMILIES[family], license, where or [], option or [])
    licence = license or FAMILIES[family].license or UNSTATED
    specs = [[spec.model_copy(update=choices) for spec in s.specs(family, licence, origin, category)] for s in sources]
    settings = [spec[0].model_dump(mode="json", exclude={"load", "review"}) for spec in specs]
    with unfinished(out) as folder:
        inputs = collect_all(sources, specs, folder)

        def convert_all(writer: ArtifactWriter) -> None:
            for collected, spec in zip(inputs.manifests, specs, strict=True):
                convert_source(collected, spec[0], writer)

        def work(writer: ArtifactWriter) -> None:
            if keywords or empty:
                filtered_conversion(convert_all, writer, folder, keywords=keywords, empty=empty)
            else:
                convert_all(writer)

        applied = {"apply_keyword_filter": keywords, "apply_empty_message_filter": empty} if keywords or empty else {}
        manifest = write_stage("convert", converter_modules(family), folder, out, inputs,
                               (settings[0] if len(settings) == 1 else {"sources": settings}) | applied, work)
    show_counts(manifest, as_json)
    if not manifest.rows["kept"]:
        typer.echo(f"no row is of the family {family}: `python -m posttrain doctor FILE` says which families read it", err=True)
    if push_to_hub:
        typer.echo(f"pushed to {hub.push_rows(manifest, push_to_hub)}", err=True)


# ---------------------------------------------------------------- examples


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
    settings, teacher_settings, seed = _teacher(found, seed)
    improving = found.improve if found else settings_of.Improve()
    gaps = {skill: 1.0 for skill in sorted(focus or [])}

    def work(manifests: list[Manifest], writer: ArtifactWriter) -> None:
        with open_teacher(teacher_settings, workspace_url(), seed) as teacher:
            improve_prompts(_one(manifests), improving, gaps, teacher, writer)

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
    settings, teacher_settings, seed = _teacher(found, seed)
    making = found.synthesize if found else settings_of.Synthesize(rows={"persona": 20, "self_play": 20, "variation": 20})
    if rows:
        making = making.model_copy(update={"rows": _numbers(rows)})
    gaps = {skill: 1.0 for skill in sorted(focus or [])}
    later = int(bool(gaps))

    def work(manifests: list[Manifest], writer: ArtifactWriter) -> None:
        with open_teacher(teacher_settings, workspace_url(), seed) as teacher:
            synthesize_rows(_one(manifests), making, gaps, later, seed, teacher, writer)

    rows_stage("synthesize", "posttrain.synthesize", paths, out,
               settings | making.model_dump(mode="json") | {"focus": gaps, "round": later}, work, as_json)


def index_evals(
    evals: Annotated[
        str | None, typer.Option("--in", "--evals", show_default=False, help="Folder with one file per eval set, or a recipe."),
    ] = None,
    out: OptionalOut = None, recipe: options.RecipeName = None, run: options.RunId = None, as_json: options.AsJson = False,
) -> None:
    """Index eval sets (a folder with one file per set, or those of a recipe) and record the sha256 of every eval file."""
    if run:
        return do_in_run("index_evals", run, None, as_json)
    evals = evals or recipe
    options.needed(out=out, **{"in": evals})
    check_evals(evals)
    found = options.recipe_of(recipe or (evals if is_recipe(evals) else None))
    with unfinished(out) as folder:
        manifest = eval_index(evals, found.decontaminate if found else settings_of.Decontaminate(), folder, out)
    show_counts(manifest, as_json)


def review(
    paths: OptionalIn = None, evals: Evals = None, out: OptionalOut = None, recipe: options.RecipeName = None,
    seed: options.Seed = None, run: options.RunId = None, as_json: options.AsJson = False,
) -> None:
    """Decide on the review band of a decontaminate artifact as unattended runs do: what people of this workspace have decided
    holds; for the rest the judge, where the recipe lets it decide, then the teacher paraphrases and the row is checked again."""
    from posttrain.decontaminate.index import load_index
    from posttrain.decontaminate.review.band import log_unattended, review_band
    from posttrain.decontaminate.review.decision_log import DecisionLog, as_settings, decided_about
    from posttrain.decontaminate.review.queue import read_queue
    from posttrain.teacher.client import open_teacher

    if run:
        return do_in_run("review", run, None, as_json)
    evals = evals or recipe
    options.needed(out=out, evals=evals, **{"in": paths})
    check_evals(evals)
    found = options.recipe_of(recipe)
    settings, teacher_settings, seed = _teacher(found, seed)
    reviewing, rule = (found.review, found.decontaminate) if found else (settings_of.Review(), settings_of.Decontaminate())
    with unfinished(out) as folder:
        index = eval_index(evals, rule, folder, None)
        inputs = read_inputs(paths or [], folder)
        keyed = with_index(index, evals, inputs)
        items, log = read_queue(_one(inputs.manifests), load_index(index)), DecisionLog(workspace_url())
        decided = decided_about(log.lines(), ((item.content, item.evals) for item in items))

        def work(writer: ArtifactWriter) -> None:
            with open_teacher(teacher_settings, workspace_url(), seed) as teacher:
                review_band(_one(inputs.manifests), index, reviewing, rule, teacher, writer, decided)

        all_settings = settings | reviewing.model_dump(mode="json") | {"decontaminate": rule.model_dump(mode="json")}
        if decided:
            all_settings |= {"decisions": as_settings(decided)}
        manifest = write_stage("review", "posttrain.decontaminate.review", folder, out, keyed, all_settings, work)
    log_unattended(items, manifest, log, Path(manifest.path).name)
    show_counts(manifest, as_json)


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


def _teacher(recipe: Recipe | None, seed: int | None) -> tuple[dict[str, Any], settings_of.Teacher, int]:
    """What of the teacher stands in a manifest, its settings, and the seed."""
    teacher = recipe.teacher if recipe else settings_of.Teacher()
    seed = seed if seed is not None else recipe.seed if recipe else 0
    return {"teacher": teacher.model_dump(include={"connection", "model", "temperature"}), "seed": seed}, teacher, seed


def _one(manifests: list[Manifest]) -> Manifest:
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
