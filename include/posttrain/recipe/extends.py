"""`extends`: one recipe on top of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from posttrain.recipe.complaints import complaint
from posttrain.recipe.errors import RecipeError, allowed
from posttrain.recipe.files import BY_NAME, Layer, find, named_recipe, read_file, recipe_names
from posttrain.section import Section


class Extends(Section):
    """A recipe that is another one with changes. Sections are merged key by key, other lists are given whole; a source or
    an eval stands for the one of its name, or comes after the others."""

    recipe: str = Field(description="a name, or the path of a .yaml file beside this one")
    without_sources: tuple[str, ...] = ()


def read_layers(path: Path, above: tuple[Path, ...] = ()) -> tuple[list[Layer], dict[str, Any]]:
    """The files that a recipe is made of, the one that all others extend first, and what they say together."""
    layer = read_file(path)
    if "extends" not in layer.value:
        return [layer], layer.value
    try:
        extends = Extends.model_validate(layer.value["extends"])
    except ValidationError as error:
        lines = [complaint(item | {"loc": ("extends", *item["loc"])}, [layer], layer.value) for item in error.errors()]
        raise RecipeError("\n".join(lines)) from error
    line = f"{path}:{find(layer.text, ['extends', 'recipe'])[1]}: extends.recipe: "
    by_path = extends.recipe.endswith((".yaml", ".yml"))
    base = path.parent / extends.recipe if by_path else named_recipe(extends.recipe)
    if not base.is_file():
        raise RecipeError(f"{line}no recipe {extends.recipe!r}; {allowed(extends.recipe, recipe_names())}, or a .yaml file")
    if base.resolve() in {p.resolve() for p in (*above, path)}:
        raise RecipeError(f"{line}{extends.recipe!r} extends this recipe itself")
    layers, merged = read_layers(base, (*above, path))
    names = [_name(source) for source in merged.get("sources") or ()]
    for n, name in enumerate(extends.without_sources):
        if name not in names:
            where = f"{path}:{find(layer.text, ['extends', 'without_sources', n])[1]}: extends.without_sources.{n}"
            raise RecipeError(f"{where}: {extends.recipe} has no source {name!r}; {allowed(name, filter(None, names))}")
    own = {key: value for key, value in layer.value.items() if key != "extends"}
    for key in BY_NAME:
        kept = [item for item in merged.get(key) or () if not (key == "sources" and _name(item) in extends.without_sources)]
        if isinstance(own.get(key), list):
            own[key] = _named_over(kept, own[key])
        elif key in merged and key not in own:
            own[key] = kept
    return [*layers, layer], merge(merged, own)


def _named_over(base: list[Any], changes: list[Any]) -> list[Any]:
    """The items of `base`, each replaced by the change of its name; then the changes that are new."""
    changed = {name: item for item in changes if (name := _name(item))}
    known = {name for item in base if (name := _name(item))}
    return [changed.get(_name(item) or "", item) for item in base] + [item for item in changes if _name(item) not in known]


def _name(item: Any) -> str | None:
    name = item.get("name") if isinstance(item, dict) else None
    return name if isinstance(name, str) else None


def merge(base: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """`base` with the overrides in it, section by section and key by key; a list is given whole."""
    merged = dict(base)
    for key, value in overrides.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        # Of another kind, a section is another section: a file's path has no place beside a Hub id.
        same_kind = both and value.get("kind", merged[key].get("kind")) == merged[key].get("kind")
        merged[key] = merge(merged[key], value) if same_kind else value
    return merged
