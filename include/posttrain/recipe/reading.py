"""Reading a recipe: from its files, or from a mapping that is one already."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from posttrain.recipe.complaints import complaint
from posttrain.recipe.errors import RecipeError, allowed
from posttrain.recipe.extends import merge, read_layers
from posttrain.recipe.files import Layer, named_recipe, recipe_names
from posttrain.recipe.recipe import Recipe


def load_recipe(name_or_path: str, overrides: dict[str, Any] | None = None) -> Recipe:
    """Read and check a recipe by name or path. `overrides` are merged into it key by key and checked with it.

    Raises RecipeError with file, line, key path and what is allowed.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = named_recipe(name_or_path)
    if not path.is_file():
        raise RecipeError(f"no recipe {name_or_path!r}; {allowed(name_or_path, recipe_names())}, or the path of a .yaml file")
    layers, merged = read_layers(path)
    return _checked(merge(merged, overrides or {}), layers, replaced=set(overrides or {}))


def check_recipe(value: dict[str, Any], where: str, text: str = "") -> Recipe:
    """Validate a recipe that is already a mapping. Raises RecipeError naming every wrong key at once."""
    return _checked(value, [Layer(where, text, value)])


def _checked(value: dict[str, Any], layers: list[Layer], replaced: Collection[str] = ()) -> Recipe:
    """`replaced`: lists that the overrides gave whole, so that none of their items stands in a file."""
    try:
        return Recipe.model_validate(value)
    except ValidationError as error:
        found = error.errors()
        inner = {item["loc"][: len(item["loc"]) - n] for item in found for n in range(1, len(item["loc"]))}
        # A list with a wrong item counts as too short as well, which is not what is wrong with it.
        lines = [complaint(item, layers, value, replaced) for item in found
                 if not (item["type"] == "too_short" and item["loc"] in inner)]
        raise RecipeError("\n".join(lines)) from error
