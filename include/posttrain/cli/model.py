"""The commands of the model stages. Each works within a run: one that exists, or one made of the artifacts given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from posttrain.cli import options
from posttrain.cli.checkpoint import checkpoint_artifact, checkpoint_name
from posttrain.cli.data import OptionalIn, OptionalOut
from posttrain.cli.evals import check_evals, evals_with_task, is_recipe
from posttrain.cli.rows import is_artifact
from posttrain.cli.run_stage import artifacts_of, do_in_run, do_on_loan, with_ancestors
from posttrain.recipe import Gate, Recipe
from posttrain.storage import Manifest, load_manifest, workspace_url

DEFAULT_RECIPE = "demo"


def recipe_with_seed(name: str, seed: int | None) -> Recipe:
    recipe = options.needed_recipe(name)
    return recipe if seed is None else recipe.model_copy(update={"seed": seed})


def sft(
    paths: OptionalIn = None, out: OptionalOut = None, recipe: options.ModelRecipe = DEFAULT_RECIPE, seed: options.Seed = None,
    run: options.RunId = None, as_json: options.AsJson = False,
) -> None:
    """Fine-tune the recipe's base model on a mixture (--in MIX); loss on assistant tokens only."""
    _stage("sft", paths, out, recipe, seed, run, as_json, ["mix"])


def preferences(
    paths: OptionalIn = None, out: OptionalOut = None, recipe: options.ModelRecipe = DEFAULT_RECIPE, seed: options.Seed = None,
    run: options.RunId = None, as_json: options.AsJson = False,
) -> None:
    """Sample answers of an SFT checkpoint (--in SFT, and MIX for other prompts), let the teacher judge, binarise."""
    _stage("preferences", paths, out, recipe, seed, run, as_json, ["sft", "mix"])


def dpo(
    paths: OptionalIn = None, out: OptionalOut = None, recipe: options.ModelRecipe = DEFAULT_RECIPE, seed: options.Seed = None,
    run: options.RunId = None, as_json: options.AsJson = False,
) -> None:
    """Length-normalised DPO of an SFT checkpoint on pairs (--in PREFERENCES, which knows its checkpoint)."""
    _stage("dpo", paths, out, recipe, seed, run, as_json, ["sft", "preferences"])


def rlvr(
    paths: OptionalIn = None, out: OptionalOut = None, recipe: options.ModelRecipe = DEFAULT_RECIPE, seed: options.Seed = None,
    run: options.RunId = None, as_json: options.AsJson = False,
) -> None:
    """GRPO of a DPO checkpoint with verifiers as rewards (--in DPO, which knows its mixture)."""
    _stage("rlvr", paths, out, recipe, seed, run, as_json, ["dpo", "mix"])


def gate(
    paths: OptionalIn = None, out: OptionalOut = None, recipe: options.ModelRecipe = DEFAULT_RECIPE,
    run: options.RunId = None, as_json: options.AsJson = False,
) -> None:
    """Compare the scores of an evaluation (--in EVALUATE) with the recipe's thresholds; name every gap."""
    _stage("gate", paths, out, recipe, None, run, as_json, ["evaluate"])


def release(
    paths: OptionalIn = None, out: OptionalOut = None, recipe: options.ModelRecipe = DEFAULT_RECIPE,
    run: options.RunId = None, as_json: options.AsJson = False,
) -> None:
    """Build the release folder of a run whose gate passed (--run RUN_ID, or --in GATE, which knows the rest)."""
    _stage("release", paths, out, recipe, None, run, as_json, ["gate", "evaluate", "mix"])


def evaluate(
    paths: OptionalIn = None,
    evals: Annotated[
        str | None,
        typer.Option("--evals", show_default=False, help="A recipe, an index artifact, or a folder with one file per eval set."),
    ] = None,
    out: OptionalOut = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="Recipe with the settings.", show_default="--evals, else demo"),
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="For a folder of eval sets: the task under include/evals that runs them."),
    ] = None,
    seed: options.Seed = None, run: options.RunId = None, as_json: options.AsJson = False,
) -> None:
    """Run checkpoints (--in: checkpoint artifacts, or folders that transformers can load) on evals; keep every generation."""
    if run:
        return do_in_run("evaluate", run, None, as_json)
    options.needed(evals=evals, out=out, **{"in": paths})
    check_evals(evals)
    given: dict[str, Manifest] = {}
    for path in paths or []:
        if checkpoint_name(path) in given:
            raise typer.BadParameter(f"two checkpoints are called {checkpoint_name(path)!r}: evaluate them one by one")
        given[checkpoint_name(path)] = checkpoint_artifact(path, workspace_url())
    names = tuple(given)
    settings = recipe_with_seed(recipe or (evals if is_recipe(evals) else DEFAULT_RECIPE), seed)
    sets = settings.evals
    if is_artifact(Path(evals)):
        given["index_evals"] = load_manifest(str(Path(evals).resolve()))
    else:
        sets = evals_with_task(evals, task)
    if not any(e.task for e in sets):
        raise typer.BadParameter("no eval of --evals has a task: name the one that runs them with --task")
    settings = settings.model_copy(update={
        "evals": sets, "evaluate": settings.evaluate.model_copy(update={"checkpoints": names}), "gate": Gate(),
    })
    do_on_loan("evaluate", settings, [], out, as_json, first="" if "index_evals" in given else "index_evals", **given)


def _stage(
    stage: str, paths: list[Path] | None, out: Path | None, recipe: str, seed: int | None, run: str | None, as_json: bool,
    wanted: list[str],
) -> None:
    if run:
        return do_in_run(stage, run, None, as_json)
    options.needed(out=out, **{"in": paths})
    found = {m.stage for m in with_ancestors(artifacts_of(paths or []))}
    missing = [name for name in wanted if name not in found]
    if missing:
        raise typer.BadParameter(f"no artifact of {', '.join(missing)} in --in, nor behind the artifacts given there")
    do_on_loan(stage, recipe_with_seed(recipe, seed), paths or [], out, as_json)
