"""Which eval sets of a recipe a mixture has not been compared with yet: by content, not by name.

    known     the mixture, or one that it was made from, was compared with exactly these files and fields
    new       no eval set of this name was
    changed   one of this name was, with other files or fields: the recipe says so, or a person accepted it

A file that changed under its old name is an error and no third case (eval_changes.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from posttrain.decontaminate.eval_changes import accept_changes, changed_files, check_hashes, content_of
from posttrain.decontaminate.eval_sets import pinned_evals
from posttrain.recipe import Recipe
from posttrain.storage import Manifest, exists, join, load_manifest


@dataclass(frozen=True)
class EvalState:
    """One eval set of the recipe. `pin` and `before` are entries of `pinned_evals`: fields, and the sha256 of every file."""

    name: str
    status: Literal["known", "new", "changed"]
    pin: dict[str, Any]
    before: dict[str, Any] | None = None

    @property
    def content(self) -> str:
        return content_of(self.pin)


def eval_states(recipe: Recipe, root: Path, mixture: Manifest, workspace: str, accept: Collection[str] = ()) -> list[EvalState]:
    """The state of every eval set of the recipe, in its order. `accept`: beginnings of sha256 sums of files.

    Raises EvalFilesChanged, naming every file that changed under its name with both hashes, unless all are accepted; ValueError
    for something in `accept` that is no hash or that no changed file has; collect.SourceError where a file is missing.
    """
    check_hashes(accept)
    pins = pinned_evals(recipe.evals, root, recipe.seed)
    compared = compared_evals(mixture)
    known = {content_of(pin) for pin in compared}
    states, changes = [], []
    for pin in pins:
        before = next((old for old in compared if old["name"] == pin["name"]), None)
        status: Literal["known", "new", "changed"] = "known" if content_of(pin) in known else "changed" if before else "new"
        states.append(EvalState(pin["name"], status, pin, before if status == "changed" else None))
        if status == "changed" and before:
            changes += changed_files(before, pin)
    accept_changes(changes, accept, recipe.name, workspace, "when the mixture was compared with it",
                   f"python -m posttrain refresh-evals {recipe.name}", "the DAG refresh_eval_index")
    return states


def compared_evals(mixture: Manifest) -> list[dict[str, Any]]:
    """The eval sets that the mixture, or any artifact that it was made from, was compared with: the latest first."""
    found = []
    for manifest in ancestors(mixture):
        if manifest.stage == "index_evals":
            found += manifest.settings.get("evals", [])
    return found


def ancestors(manifest: Manifest) -> Iterator[Manifest]:
    """Everything that an artifact was made from, as far as it is there: parents first, then theirs."""
    seen, todo = {manifest.path}, [manifest]
    while todo:
        for parent in todo.pop(0).parents:
            if parent["path"] not in seen and exists(join(parent["path"], "manifest.json")):
                seen.add(parent["path"])
                todo.append(load_manifest(parent["path"]))
                yield todo[-1]


# ---------------------------------------------------------------- for whoever watches the files


def content_of_recipe(recipe: Recipe, root: Path) -> dict[str, str]:
    """Eval set → its content now. Two looks at the same files give the same."""
    return {pin["name"]: content_of(pin) for pin in pinned_evals(recipe.evals, root, recipe.seed)}
