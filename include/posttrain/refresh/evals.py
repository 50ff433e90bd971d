"""Which eval sets of a recipe a mixture has not been compared with yet: by content, not by name.

    known     the mixture, or one that it was made from, was compared with exactly these files and fields
    new       no eval set of this name was
    changed   one of this name was, with other files or fields: the recipe says so, or a person accepted it

A file that changed under its old name is an error and no third case: scores before and after it could not be compared, and
whoever copied the wrong file over it would never know. A person accepts it by its hash (`accept`); that is kept in the
workspace, so that it is asked once.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from posttrain.decontaminate.eval_sets import EvalFilesChanged, pinned_evals
from posttrain.recipe import Recipe
from posttrain.storage import Manifest, exists, join, load_manifest, read_json, sha256_json, write_json

HASH = re.compile(r"[0-9a-f]{12,64}")
"""What accepts a changed file: the first 12 digits of its sha256, or more of them."""

ACCEPTED = "accepted_evals.json"
"""In the workspace: every change that a person accepted, in order."""


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


@dataclass(frozen=True)
class ChangedFile:
    """A file (or a Hub data set) whose content is another one than the mixture was compared with, under the same name."""

    eval: str
    file: str
    before: str
    after: str


def eval_states(recipe: Recipe, root: Path, mixture: Manifest, workspace: str, accept: Collection[str] = ()) -> list[EvalState]:
    """The state of every eval set of the recipe, in its order. `accept`: beginnings of sha256 sums of files.

    Raises EvalFilesChanged, naming every file that changed under its name with both hashes, unless all are accepted; ValueError
    for something in `accept` that is no hash or that no changed file has; collect.SourceError where a file is missing.
    """
    for digest in accept:
        if not HASH.fullmatch(digest):
            raise ValueError(f"{digest!r} accepts nothing: give at least the first 12 hex digits of the new file's sha256")
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
    _accept(changes, accept, recipe.name, mixture, workspace)
    return states


def content_of(pin: dict[str, Any]) -> str:
    """The content of an eval set, whatever it and its files are called: the fields that count, and what stands in the files."""
    load = {key: value for key, value in pin.items() if key not in ("name", "fields", "normaliser", "files", "revision")}
    return sha256_json([pin["fields"], load, sorted(digest for _, digest in pin.get("files", ()))])


def changed_files(before: dict[str, Any], now: dict[str, Any]) -> list[ChangedFile]:
    """What changed under its name: files that both have with different content; a Hub revision that became another commit.

    Another path, other fields, more files, another revision: the recipe was edited, which is how a change is meant.
    """
    if now["kind"] == "file" and before["kind"] == "file":
        old = dict(before["files"])
        return [ChangedFile(now["name"], file, old[file], digest)
                for file, digest in now["files"] if file in old and old[file] != digest]
    address = ("kind", "id", "config", "split", "files", "revision")
    if now["kind"] == "hub" and all(before.get(key) == now.get(key) for key in address) and before["commit"] != now["commit"]:
        return [ChangedFile(now["name"], f"{now['id']}@{now['revision']}", before["commit"], now["commit"])]
    return []


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


# ---------------------------------------------------------------- accepting a change


def accepted_changes(workspace: str) -> list[dict[str, str]]:
    """Every change that was accepted in this workspace: eval, file, before, after, recipe, at."""
    path = join(workspace, ACCEPTED)
    return list(read_json(path)) if exists(path) else []


def _accept(changes: list[ChangedFile], accept: Collection[str], recipe: str, mixture: Manifest, workspace: str) -> None:
    """Write down the changes that `accept` names. Raises EvalFilesChanged for the others."""
    log = accepted_changes(workspace)
    known = {(line["eval"], line["file"], line["after"]) for line in log}
    fresh = [change for change in changes if (change.eval, change.file, change.after) not in known]
    meant = [change for change in fresh if any(change.after.startswith(digest) for digest in accept)]
    unused = [digest for digest in accept if not any(change.after.startswith(digest) for change in changes)]
    if unused:
        raise ValueError(f"no eval file that changed has the sha256 {', '.join(unused)}; nothing was accepted")
    if refused := [change for change in fresh if change not in meant]:
        raise EvalFilesChanged(_complaint(refused, recipe, mixture))
    if meant:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        write_json(join(workspace, ACCEPTED), [*log, *(
            {"eval": c.eval, "file": c.file, "before": c.before, "after": c.after, "recipe": recipe, "at": at} for c in meant)])


def _complaint(changes: list[ChangedFile], recipe: str, mixture: Manifest) -> str:
    lines = [f"  {c.file} (eval {c.eval}): {c.before} when the mixture was compared with it, now {c.after}" for c in changes]
    accept = " ".join(f"--accept {c.after[:12]}" for c in changes)
    hashes = ", ".join(f'"{c.after[:12]}"' for c in changes)
    return "\n".join([
        f"eval files changed under the same name; nothing was compared, and the mixture {mixture.path} stays as it is.", *lines,
        "Put the old file back; or give the new version a name of its own in the recipe, so that scores on the two stay apart;",
        f"or, where the change is meant, accept it: python -m posttrain refresh-evals {recipe} {accept}",
        f"(in the form of the DAG refresh_eval_index: accept = [{hashes}])",
    ])


# ---------------------------------------------------------------- for whoever watches the files


def content_of_recipe(recipe: Recipe, root: Path) -> dict[str, str]:
    """Eval set → its content now. Two looks at the same files give the same."""
    return {pin["name"]: content_of(pin) for pin in pinned_evals(recipe.evals, root, recipe.seed)}
