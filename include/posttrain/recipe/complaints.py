"""What is wrong with a recipe, in one line: FILE:LINE, the key path, and what would have been allowed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, get_args

from posttrain.recipe.errors import allowed
from posttrain.recipe.files import BY_NAME, Layer, find
from posttrain.recipe.recipe import Recipe


def complaint(item: Any, layers: list[Layer], merged: dict[str, Any], replaced: Collection[str] = ()) -> str:
    """One of pydantic's errors as a line. `merged` is what the layers say together; `replaced`: see reading.py."""
    location = item.get("ctx", {}).get("path") or item["loc"]
    # pydantic puts the tag of a chosen kind into the path; the file has no such key.
    path = [part for n, part in enumerate(location) if not (n and location[n - 1] in _KINDED and part in _KINDS)]
    keys = ".".join(str(part) for part in path)
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = f"unknown key; {allowed(str(path[-1]), _fields_at(list(location[:-1])))}"
    return f"{_place(path, layers, merged, replaced)}: {keys + ': ' if keys else ''}{message}"


def _place(path: list[Any], layers: list[Layer], merged: dict[str, Any], replaced: Collection[str]) -> str:
    """FILE:LINE of the file in which most of the key path stands; of two alike, the one that extends the other."""
    best, place = -1, layers[-1].where
    for layer in layers:
        own = path
        if len(layers) > 1 and len(path) > 1 and path[0] in BY_NAME and path[0] not in replaced:
            item = merged[path[0]][path[1]]
            at = next((n for n, mine in enumerate(layer.value.get(path[0]) or ()) if mine is item), None)
            own = [path[0], at, *path[2:]] if at is not None else path[:1]
        depth, line = find(layer.text, own)
        if depth >= best:
            best, place = depth, f"{layer.where}:{line}" if line else layer.where
    return place


_KINDED, _KINDS = ("load", "model", "tokenizer"), ("hub", "file", "procedural", "tiny", "own")


def _fields_at(location: list[Any]) -> list[str]:
    """The keys that the section at `location` allows, by walking the models' annotations."""
    models: list[Any] = [Recipe]
    for n, part in enumerate(location):
        if isinstance(part, int):
            continue
        if n and location[n - 1] in _KINDED:
            models = [model for model in models if part in get_args(model.model_fields["kind"].annotation)]
            continue
        # A part that is no field is a key of the user's in a mapping: `mix.temperature.sft`.
        models = [leaf for model in models if part in model.model_fields
                  for leaf in _leaves(model.model_fields[part].annotation) if hasattr(leaf, "model_fields")] or [
                      model for model in models if part not in model.model_fields]
    return sorted({name for model in models for name in model.model_fields})


def _leaves(annotation: Any) -> list[Any]:
    arguments = get_args(annotation)
    return [leaf for a in arguments for leaf in _leaves(a)] if arguments else [annotation]
