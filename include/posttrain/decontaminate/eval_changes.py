"""An eval file that changed under its name stops whatever was about to read it, until a person has said that it is meant.

Scores before and after the change could not be compared, and whoever copied the wrong file over it would never know. A person
accepts a change by the new file's hash (`accept`); that is kept in the workspace, so that it is asked once.

What a file was before is known from the runs of the workspace (`check_eval_versions`), and for a refresh from the mixture.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.decontaminate.eval_sets import EvalFilesChanged, pinned_evals
from posttrain.recipe import Recipe
from posttrain.run import run_records
from posttrain.storage import exists, join, load_manifest, read_json, sha256_json, write_json

HASH = re.compile(r"[0-9a-f]{12,64}")
"""What accepts a changed file: the first 12 digits of its sha256, or more of them."""

ACCEPTED = "accepted_evals.json"
"""In the workspace: every change that a person accepted, in order."""


@dataclass(frozen=True)
class ChangedFile:
    """A file (or a Hub data set) whose content is another one than the mixture was compared with, under the same name."""

    eval: str
    file: str
    before: str
    after: str


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


# ---------------------------------------------------------------- what the runs of a workspace were compared with


def check_eval_versions(recipe: Recipe, root: Path, workspace: str, accept: Collection[str] = ()) -> None:
    """Compare the recipe's eval files with those of the earlier runs of this recipe in the workspace.

    A content that any of these runs had is known, so that an old file may be put back. Raises EvalFilesChanged, naming every
    file that changed under its name with both hashes, unless all are accepted; ValueError for something in `accept` that is no
    hash or that no changed file has; collect.SourceError where a file is missing.
    """
    check_hashes(accept)
    pins = pinned_evals(recipe.evals, root, recipe.seed)
    before: dict[str, dict[str, Any]] = {}
    known: set[str] = set()
    for old in _indexed(recipe.name, workspace):
        before.setdefault(old["name"], old)
        known.add(content_of(old))
        if all(content_of(pin) in known for pin in pins):
            break
    changes = [change for pin in pins if pin["name"] in before and content_of(pin) not in known
               for change in changed_files(before[pin["name"]], pin)]
    accept_changes(changes, accept, recipe.name, workspace,
                   f"when recipe {recipe.name} was run last", f"python -m posttrain run {recipe.name}", "this DAG")


def _indexed(recipe: str, workspace: str) -> Iterator[dict[str, Any]]:
    """The eval sets that the runs of a recipe were compared with, as pinned then; those of the newest run first."""
    for record in run_records(workspace, recipe, "index_evals"):
        if exists(join(record["manifest"], "manifest.json")):
            yield from load_manifest(record["manifest"]).settings.get("evals", [])


# ---------------------------------------------------------------- accepting a change


def accepted_changes(workspace: str) -> list[dict[str, str]]:
    """Every change that was accepted in this workspace: eval, file, before, after, recipe, at."""
    path = join(workspace, ACCEPTED)
    return list(read_json(path)) if exists(path) else []


def check_hashes(accept: Collection[str]) -> None:
    """Raises ValueError for what can be no file's sha256, whether a file changed or not."""
    for digest in accept:
        if not HASH.fullmatch(digest):
            raise ValueError(f"{digest!r} accepts nothing: give at least the first 12 hex digits of the new file's sha256")


def accept_changes(
    changes: list[ChangedFile], accept: Collection[str], recipe: str, workspace: str, when: str, command: str, dag: str,
) -> None:
    """Write down the changes that `accept` names. Raises EvalFilesChanged for the others, which says since `when` they are
    others, and by which command or DAG to accept them; ValueError for a hash that no file has which was ever asked about."""
    log = accepted_changes(workspace)
    known = {(line["eval"], line["file"], line["after"]) for line in log}
    fresh = [change for change in changes if (change.eval, change.file, change.after) not in known]
    meant = [change for change in fresh if any(change.after.startswith(digest) for digest in accept)]
    asked = [*(change.after for change in changes), *(line["after"] for line in log)]
    unused = [digest for digest in accept if not any(after.startswith(digest) for after in asked)]
    if unused:
        raise ValueError(f"no eval file that changed has the sha256 {', '.join(unused)}; nothing was accepted")
    if refused := [change for change in fresh if change not in meant]:
        raise EvalFilesChanged(_complaint(refused, when, command, dag))
    if meant:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        write_json(join(workspace, ACCEPTED), [*log, *(
            {"eval": c.eval, "file": c.file, "before": c.before, "after": c.after, "recipe": recipe, "at": at} for c in meant)])


def _complaint(changes: list[ChangedFile], when: str, command: str, dag: str) -> str:
    lines = [f"  {c.file} (eval {c.eval}): sha256 {c.before} {when}, now {c.after}" for c in changes]
    accept = " ".join(f"--accept {c.after[:12]}" for c in changes)
    hashes = ", ".join(f'"{c.after[:12]}"' for c in changes)
    return "\n".join([
        "eval files changed under the same name; nothing was compared.", *lines,
        "Put the old file back; or give the new version a name of its own in the recipe, so that scores on the two stay apart;",
        f"or, where the change is meant, accept it: {command} {accept}", f"(in the form of {dag}: accept = [{hashes}])",
    ])
