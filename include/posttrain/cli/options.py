"""The options that several commands share, with one help text each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from posttrain.recipe import Recipe, RecipeError, load_recipe, recipe_names

STAGE_PANEL, DATA_PANEL, RUN_PANEL = "Stages", "Data", "Runs"

In = Annotated[
    list[Path],
    typer.Option("--in", exists=True, show_default=False,
                 help="Artifact folder, or Parquet or JSONL rows (.gz and .zst too); several may follow one --in."),
]
Out = Annotated[Path, typer.Option("--out", show_default=False, help="Folder for the artifact; must not exist yet, or be empty.")]
RecipeName = Annotated[
    str | None,
    typer.Option("--recipe", help="Take the settings from this recipe (name or .yaml file).", show_default="default settings"),
]
ModelRecipe = Annotated[str, typer.Option("--recipe", help="Recipe with the settings of the stage (name or .yaml file).")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed.", show_default="the recipe's, else 0")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the counts as one JSON object on standard output.")]
RunId = Annotated[str | None, typer.Option("--run", help="Do the stage within this run instead, without --in and --out.")]

Accept = Annotated[
    list[str] | None,
    typer.Option("--accept", show_default=False,
                 help="New sha256 (12 digits or more) of an eval file that changed under its name on purpose."),
]


def recipe_of(name: str | None, overrides: dict[str, Any] | None = None) -> Recipe | None:
    """The named recipe. A name that no recipe has is wrong use; a recipe with wrong keys is a failure."""
    if name is None:
        return None
    if not name.endswith((".yaml", ".yml")) and name not in recipe_names():
        raise typer.BadParameter(f"no recipe {name!r}; there are {', '.join(recipe_names()) or 'none'}; or give a .yaml file")
    if name.endswith((".yaml", ".yml")) and not Path(name).is_file():
        raise typer.BadParameter(f"no file {name!r}")
    return load_recipe(name, overrides)


def needed(**options_given: Any) -> None:
    """Without --run, a stage needs these options."""
    missing = [name for name, value in options_given.items() if not value]
    if missing:
        raise typer.BadParameter(f"missing: {', '.join('--' + name for name in missing)} (or --run RUN_ID)")


def needed_recipe(name: str) -> Recipe:
    recipe = recipe_of(name)
    if recipe is None:
        raise RecipeError("a recipe is needed here")
    return recipe
