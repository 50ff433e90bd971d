"""The manifest of an artifact: what a stage did, and which files it left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from posttrain.storage.files import exists, join, read_json


class StorageError(RuntimeError):
    """An artifact is missing, half-written or does not add up."""


@dataclass
class FileEntry:
    """One file of an artifact. `split` is the part's name (`sft`, `rlvr`, …), or "" for any other file."""

    name: str
    split: str
    rows: int
    bytes: int
    sha256: str

    @property
    def is_rejected(self) -> bool:
        """Whether it holds dropped rows."""
        return not self.split and self.name.startswith(("rejected-", "removed-"))


@dataclass
class Manifest:
    """What a stage did. `content` hashes the kept rows and output files, and not the rejected rows.

    `rows`: read, kept and rejected input rows, and per split the rows written (a source row may yield several).
    `by_source`: the same three counts per source. `reasons`: dropped rows per reason.
    """

    stage: str
    key: str
    path: str
    content: str
    settings: dict[str, Any]
    code: str
    parents: list[dict[str, str]]
    files: list[FileEntry]
    rows: dict[str, int]
    written: dict[str, int]
    by_source: dict[str, dict[str, int]]
    reasons: dict[str, int]
    facts: dict[str, Any] = field(default_factory=dict)
    """Whatever else the stage counted: tokens, cost, contamination per eval, scores."""
    seconds: float = 0.0

    def counts(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "rows": self.rows,
            "written": self.written,
            "reasons": self.reasons,
            "by_source": self.by_source,
            "facts": self.facts,
            "path": self.path,
        }

    def file(self, name: str) -> str:
        """The full path of one file or folder of the artifact."""
        return join(self.path, name)


def load_manifest(path: str) -> Manifest:
    """Read the manifest of an artifact folder (or the manifest file itself)."""
    folder = path.removesuffix("/manifest.json").rstrip("/")
    if not exists(join(folder, "manifest.json")):
        raise StorageError(f"{folder} has no manifest.json: the stage that writes it has not finished")
    value = read_json(join(folder, "manifest.json"))
    value["files"] = [FileEntry(**entry) for entry in value["files"]]
    value["path"] = folder
    return Manifest(**value)
