"""A stage within a run that exists, or within one borrowed from the artifacts that a command was given."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import typer

from posttrain import pipeline
from posttrain.cli.artifact import check_free, place, show_counts
from posttrain.cli.rows import is_artifact, read_inputs
from posttrain.progress import Progress
from posttrain.recipe import Recipe
from posttrain.run import Run, load_run, start_run
from posttrain.shards import ROWS_FOR_WORKERS
from posttrain.storage import (
    ArtifactWriter,
    Manifest,
    StageResult,
    StorageError,
    do_once,
    exists,
    load_manifest,
    sha256_file,
    sha256_json,
    workspace_url,
)
from posttrain.train.launch import Launcher
from posttrain.workers import Workers, worker_count

log = logging.getLogger(__name__)


def stage_log(stage: str) -> Callable[[str], None]:
    """Where a stage's process says what it does: the log, which goes to standard error."""
    return logging.getLogger(f"posttrain.{stage}").info


def do_stage(run: Run, stage: str, source: str | None = None) -> list[StageResult]:
    """Do one stage of a run; a stage with an artifact per source for all sources, or for one. Ctrl-C ends its process."""
    with redirect_stdout(sys.stderr):
        if stage in pipeline.MAPPED_STAGES:
            names = [source] if source else [s.name for s in run.recipe.sources]
            rows = _rows_to_do(run, stage, names)
            largest_first = sorted(names, key=lambda name: -rows[name])
            with Workers(worker_count() if sum(rows.values()) >= ROWS_FOR_WORKERS else 1) as workers:
                results = {}
                progress = Progress(f"{stage}:", None if stage == "collect" else sum(rows.values()), len(names), "sources")
                for name, result in zip(largest_first, workers.map(_do_part, [(run, stage, name) for name in largest_first]),
                                        strict=True):
                    results[name] = result
                    progress.add(result.manifest.rows["read"])
            return [results[name] for name in names]
        if stage in pipeline.LIBRARY_STAGES:
            return [pipeline.LIBRARY_STAGES[stage](run)]
        return [pipeline.PROCESS_STAGES[stage](run, Launcher(stage_log(stage)))]


def _do_part(task: tuple[Run, str, str]) -> StageResult:
    run, stage, source = task
    return pipeline.MAPPED_STAGES[stage](run, source)


def _rows_to_do(run: Run, stage: str, sources: list[str]) -> dict[str, int]:
    """The rows of each source; none for collect, for how much there is to collect is known only afterwards."""
    return {name: 0 if stage == "collect" else run.manifest("collect", name).rows["kept"] for name in sources}


def do_in_run(stage: str, run_id: str, source: str | None, as_json: bool) -> None:
    """`STAGE --run RUN_ID`: the stage as the DAG would do it, recorded in the run."""
    run = load_run(run_id)
    if source and source not in {s.name for s in run.recipe.sources}:
        raise typer.BadParameter(f"run {run_id} has no source {source!r}; it has {', '.join(s.name for s in run.recipe.sources)}")
    for result in do_stage(run, stage, source):
        log.info("%s: %s", stage, result.why)
        show_counts(result.manifest, as_json)


def do_on_loan(
    stage: str, recipe: Recipe, paths: list[Path], out: Path, as_json: bool, first: str = "", **given: Manifest,
) -> None:
    """`STAGE --in … --out DIR` for a stage that works within a run; stage `first` is done before it.

    A run is made up of the given artifacts and everything that they were made from; its work is kept in the
    workspace, so that a killed training goes on where it stopped. The finished artifact is copied to `out`.
    """
    check_free(out)
    manifests = [*artifacts_of(paths), *given.values()]
    key = sha256_json([stage, recipe.model_dump(mode="json"), [m.content for m in manifests]])[:12]
    run = start_run(recipe, f"command-{stage}-{key}")
    for manifest in with_ancestors(manifests):
        run.record(manifest.stage, StageResult(manifest, True, "given on the command line"), _part(manifest))
    for name, manifest in given.items():
        run.record(name, StageResult(manifest, True, "given on the command line"))
    if first:
        do_stage(run, first)
    results = do_stage(run, stage)
    show_counts(place(results[-1].manifest, out, shutil.copytree), as_json)


def artifacts_of(paths: list[Path]) -> list[Manifest]:
    """The artifacts; files of rows become one in the workspace that stands for a mixture."""
    found = [load_manifest(str(path.resolve())) for path in paths if is_artifact(path)]
    files = [path for path in paths if not is_artifact(path)]
    return found + ([mixture_of(files)] if files else [])


def mixture_of(files: list[Path]) -> Manifest:
    """Rows in files as an artifact like that of `mix`: SFT, preference and RLVR rows, each in the split of its kind."""
    from posttrain.schema import kind_of
    from posttrain.storage import read_examples, scratch_folder

    folder = Path(scratch_folder(workspace_url(), "import"))
    inputs = read_inputs(files, folder / sha256_json([str(f.resolve()) for f in files])[:12])

    def work(out: ArtifactWriter) -> None:
        for rejected in inputs.unreadable:
            out.read(rejected.source)
            out.reject(rejected)
        for manifest in inputs.manifests:
            for example in read_examples(manifest):
                out.read(example.source)
                out.kept(example.source)
                out.add(kind_of(example), example)

    settings = {"files": [sha256_file(parent["path"]) for parent in inputs.parents]}
    result = do_once("mix", settings=settings, code="import", inputs=inputs.manifests, work=work, workspace=workspace_url())
    shutil.rmtree(folder, ignore_errors=True)
    return result.manifest


def with_ancestors(manifests: list[Manifest]) -> list[Manifest]:
    """The artifacts and, before them, all that they were made from, as far as it is still there."""
    found: dict[str, Manifest] = {}
    for manifest in manifests:
        for parent in manifest.parents:
            if parent["stage"] != "file" and exists(f"{parent['path']}/manifest.json"):
                found.update({m.path: m for m in with_ancestors([load_manifest(parent["path"])])})
        found[manifest.path] = manifest
    return list(found.values())


def _part(manifest: Manifest) -> str:
    """The source of an artifact that belongs to one: convert's settings call it name, collect's source."""
    if manifest.stage not in pipeline.MAPPED_STAGES:
        return ""
    name = manifest.settings.get("source") or manifest.settings.get("name")
    if not name:
        raise StorageError(f"{manifest.path} holds several sources; give the artifacts of a run")
    return str(name)
