"""The artifacts behind a mixture: those of a run, or those that a mixture's manifest names as its parents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from posttrain.mix.books import Books, books_of
from posttrain.recipe import DATA_STAGES, Recipe
from posttrain.run import Run
from posttrain.storage import Manifest, StorageError, exists, join, load_manifest


@dataclass(frozen=True)
class Mixture:
    """`manifests`: every artifact of a data stage once, in pipeline order. `gone`: what is named and is not there any more.

    `recipe` is None where only the mixture's folder is known, `mix` where the run has not got so far.
    """

    name: str
    recipe: Recipe | None
    manifests: list[Manifest]
    mix: Manifest | None
    tokenized: Manifest | None
    gone: list[str]
    books: Books

    def of(self, *stages: str) -> list[Manifest]:
        return [manifest for manifest in self.manifests if manifest.stage in stages]


def mixture_of_run(run: Run) -> Mixture:
    """The data half of a run, as far as it has got."""
    found: dict[str, Manifest] = {}
    tokenized, gone = None, []
    for record in run.stage_records():
        if record["stage"] not in (*DATA_STAGES, "tokenize"):
            continue
        try:
            manifest = load_manifest(record["manifest"])
        except StorageError as error:
            gone.append(str(error))
            continue
        if record["stage"] == "tokenize":
            tokenized = manifest
        else:
            found[manifest.path] = manifest
    return _mixture(run.run_id, run.recipe, list(found.values()), tokenized, gone)


def mixture_of_folder(folder: str) -> Mixture:
    """A mixture's artifact and all that it descends from.

    A parent is looked for where the manifest says it lay, and beside the mixture, where a whole workspace was moved to.
    Raises StorageError where the folder holds no artifact of the stage mix.
    """
    mix = load_manifest(folder)
    if mix.stage != "mix":
        raise StorageError(f"{folder} is an artifact of {mix.stage}, not of mix")
    found, gone = {mix.path: mix}, []
    todo = [mix]
    while todo:
        child = todo.pop()
        for parent in child.parents:
            path = next((p for p in _places(child, parent) if exists(join(p, "manifest.json"))), None)
            if path is None:
                gone.append(f"{parent['path']} has no manifest.json")
            elif path not in found:
                found[path] = load_manifest(path)
                todo.append(found[path])
    order = {stage: n for n, stage in enumerate(DATA_STAGES)}
    manifests = sorted((m for m in found.values() if m.stage in order), key=lambda m: (order[m.stage], sorted(m.by_source)))
    return _mixture(folder.rstrip("/").rsplit("/", 1)[-1], None, manifests, None, sorted(set(gone)))


def _places(child: Manifest, parent: dict[str, str]) -> Iterator[str]:
    yield parent["path"]
    if child.path.count("/") >= 2:
        yield join(child.path.rsplit("/", 2)[0], parent["stage"], parent["path"].rstrip("/").rsplit("/", 1)[-1])


def _mixture(
    name: str, recipe: Recipe | None, manifests: list[Manifest], tokenized: Manifest | None, gone: list[str],
) -> Mixture:
    books = books_of(name, recipe.name if recipe else "", [m for m in manifests if m.stage != "index_evals"], gone)
    mix = next((m for m in manifests if m.stage == "mix"), None)
    return Mixture(name, recipe, manifests, mix, tokenized, gone, books)
