"""The files of recipes: where they lie, what one says, and in which line."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from posttrain.recipe.errors import RecipeError

RECIPE_FOLDER = Path(__file__).parents[2] / "recipes"


def named_recipe(name: str) -> Path:
    """Where the recipe of this name is, or would be."""
    return RECIPE_FOLDER / f"{name}.yaml"


def recipe_names() -> list[str]:
    """The recipes that exist: the files of include/recipes."""
    return sorted(path.stem for path in RECIPE_FOLDER.glob("*.yaml"))


@dataclass(frozen=True)
class Layer:
    """One file of a recipe: the text says in which line a wrong key stands."""

    where: str
    text: str
    value: dict[str, Any]


BY_NAME = ("sources", "evals")
"""Lists whose items go by their name where one recipe extends another."""


def read_file(path: Path) -> Layer:
    """Raises RecipeError with the line where a file is no YAML, or says a key twice."""
    text = path.read_text(encoding="utf-8")
    try:
        value = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise RecipeError(f"{where}: not valid YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(value, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys, not {type(value).__name__}")
    return Layer(str(path), text, value)


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping: YAML would silently take the last."""


def _mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set[Any]()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(None, None, "a key is a plain text", key_node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def find(text: str, path: list[Any]) -> tuple[int, int | None]:
    """How many parts of the key path stand in the YAML text, and the 1-based line of the last one that does."""
    if not text:
        return 0, None
    node, depth, line = yaml.compose(text, Loader=yaml.SafeLoader), 0, None
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
        depth += 1
    return depth, line
