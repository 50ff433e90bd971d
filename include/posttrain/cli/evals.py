"""Eval sets named on the command line: an index artifact, a recipe, or a folder with one file per eval set; index_evals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from posttrain import recipe as settings_of
from posttrain.cli import options
from posttrain.cli.artifact import show_counts, unfinished, write_stage
from posttrain.cli.data import OptionalOut
from posttrain.cli.rows import Inputs, is_artifact
from posttrain.cli.run_stage import do_in_run
from posttrain.recipe import Decontaminate, EvalSet, recipe_names
from posttrain.storage import ArtifactWriter, Manifest, load_manifest

Evals = Annotated[
    str | None,
    typer.Option("--evals", show_default=False, help="Folder with one file per eval set, an index artifact, or a recipe."),
]


def check_evals(given: str) -> None:
    """Evals that are neither there nor a recipe are wrong use."""
    if not Path(given).exists() and given not in recipe_names():
        raise typer.BadParameter(f"--evals {given}: no such folder or file; recipes are {', '.join(recipe_names())}")


def is_recipe(given: str) -> bool:
    """A .yaml file or the name of a recipe, where no file or folder has that name."""
    return Path(given).suffix in (".yaml", ".yml") or (not Path(given).exists() and given in recipe_names())


def eval_index(given: str, settings: Decontaminate, folder: Path, out: Path | None) -> Manifest:
    """The index of the eval sets: the artifact itself, or a new one at `out` (under `folder` where none is wanted)."""
    from posttrain.decontaminate.build_index import index_eval_sets
    from posttrain.decontaminate.eval_sets import pinned_evals
    from posttrain.decontaminate.files import resolve_evals

    if is_artifact(Path(given)):
        return load_manifest(str(Path(given).resolve()))
    evals, root, seed = resolve_evals(given)
    indexed = {"evals": pinned_evals(evals, root, seed), "ngram_size": settings.ngram_size, "index": settings.index,
               "dense_model": settings.dense_model}

    def work(writer: ArtifactWriter) -> None:
        index_eval_sets(evals, root, seed, settings, writer)

    place = out or folder / "index_evals"
    return write_stage("index_evals", "posttrain.decontaminate.build_index", folder, place, Inputs(), indexed, work)


def with_index(index: Manifest, evals: str, inputs: Inputs) -> Inputs:
    """The inputs of a stage that looks rows up in the eval index. An index made for this command alone is named by its evals."""
    kept = is_artifact(Path(evals))
    parent = {"stage": index.stage, "path": index.path if kept else evals, "content": index.content}
    return Inputs([index, *inputs.manifests], [parent, *inputs.parents], inputs.unreadable)


def evals_with_task(given: str, task: str | None) -> tuple[EvalSet, ...]:
    """The eval sets of a recipe, or of a folder, each with the harness task that runs it and its file's whole path."""
    from posttrain.decontaminate.files import resolve_evals

    evals, root, _ = resolve_evals(given)
    if is_recipe(given):
        return evals
    return tuple(
        e.model_copy(update={"task": task, "load": e.load.model_copy(update={"path": str(root / e.load.path)})}) for e in evals
    )


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
