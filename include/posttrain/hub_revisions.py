"""Hub revisions: a branch or a tag becomes a commit once, and stays that commit until a person moves it.

The first use of a data set at `main`, or at any other name, asks the Hub and writes the commit into the lock of the workspace.
Every later use, by any process, run or machine of that workspace, takes it from there, without a network. A commit needs no lock.

    <workspace>/hub_revisions/<entity>--<name>@<revision>.json    {"id", "revision", "commit", "locked_at"}

A file for each entry, not one for all: sources are collected by several processes at a time, and in an object store none of them
could change its own line of a shared file. `python -m posttrain sources --locked` lists the entries, `--update` moves them.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from urllib.parse import quote

from posttrain.storage import exists, file_system, join, read_json, write_json

COMMIT = re.compile(r"[0-9a-f]{40}")
FOLDER = "hub_revisions"


class HubRevisionError(ValueError):
    """A revision cannot be resolved, or an entry of the lock cannot be read. The message names the data set, or the file."""


@dataclass(frozen=True)
class Locked:
    """One entry of the lock: the commit that a branch or a tag of a data set stands for in this workspace."""

    id: str
    revision: str
    commit: str
    locked_at: str


def commit_of(id: str, revision: str, workspace: str) -> str:
    """The commit of a revision: itself, the locked one, or the Hub's, which is locked then. Raises HubRevisionError."""
    if COMMIT.fullmatch(revision):
        return revision
    path = _path(id, revision, workspace)
    if not exists(path):
        entry = _ask(id, revision)
        if not exists(path):  # the Hub took its time: whoever was quicker decides for both
            write_json(path, asdict(entry))
    return _read(path).commit


def entries(workspace: str) -> list[Locked]:
    """The lock, sorted by data set and revision. Raises HubRevisionError."""
    fs, folder = file_system(join(workspace, FOLDER))
    if not fs.exists(folder):
        return []
    found = [fs.unstrip_protocol(name) for name in fs.ls(folder, detail=False) if name.endswith(".json")]
    return sorted((_read(path) for path in found), key=lambda entry: (entry.id, entry.revision))


def move(chosen: Iterable[Locked], workspace: str) -> list[tuple[Locked, Locked]]:
    """(before, now) of these entries after asking the Hub. Where it cannot be asked about one, none moves: HubRevisionError."""
    moved = [(entry, _ask(entry.id, entry.revision)) for entry in chosen]
    for before, now in moved:
        if now.commit != before.commit:
            write_json(_path(now.id, now.revision, workspace), asdict(now))
    return moved


def _path(id: str, revision: str, workspace: str) -> str:
    # No Hub name holds "--", so that two data sets share no file.
    return join(workspace, FOLDER, f"{id.replace('/', '--')}@{quote(revision, safe='')}.json")


def _read(path: str) -> Locked:
    try:
        entry = Locked(**read_json(path))
        right = COMMIT.fullmatch(entry.commit) is not None
    except (json.JSONDecodeError, TypeError):
        right = False
    if not right:
        raise HubRevisionError(f"{path} is no entry of the lock: it must hold id, revision, commit (40 hex digits) and "
                               "locked_at; mend it, or delete it to have the revision looked up again")
    return entry


def _ask(id: str, revision: str) -> Locked:
    from huggingface_hub import HfApi, errors

    try:
        commit = HfApi().dataset_info(id, revision=revision).sha
    except (errors.HTTPError, errors.HFValidationError, OSError) as error:
        raise HubRevisionError(
            f"revision {revision!r} of the Hub data set {id!r} cannot be resolved to a commit ({error}); "
            "give the commit (40 hex digits), which needs no look-up"
        ) from error
    if not commit:
        raise HubRevisionError(f"the Hub names no commit for revision {revision!r} of {id!r}")
    return Locked(id, revision, commit, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
