"""Doing a stage once: an artifact whose settings, code and inputs are the same is found again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from posttrain.storage.files import exists, join
from posttrain.storage.hashes import sha256_json
from posttrain.storage.manifest import Manifest, load_manifest
from posttrain.storage.writer import ArtifactWriter


@dataclass(frozen=True)
class StageResult:
    manifest: Manifest
    skipped: bool
    why: str


def artifact_key(stage: str, settings: dict[str, Any], code: str, inputs: Iterable[Manifest]) -> str:
    """20 hex digits over the stage's settings, its code and the content of its inputs.

    Rejected rows count here: `improve` rewrites what the filter rejected.
    """
    return sha256_json([stage, settings, code, [(m.stage, m.content, _rejected_hashes(m)) for m in inputs]])[:20]


def _rejected_hashes(manifest: Manifest) -> list[str]:
    return [entry.sha256 for entry in manifest.files if entry.is_rejected]


def do_once(
    stage: str,
    *,
    settings: dict[str, Any],
    code: str,
    inputs: list[Manifest],
    work: Callable[[ArtifactWriter], None],
    workspace: str,
) -> StageResult:
    """Do a stage unless its artifact exists already; say which, and why.

    `settings` must be JSON. `work` fills the writer; it is called only where there is something to do.
    """
    key = artifact_key(stage, settings, code, inputs)
    path = join(workspace, "artifacts", stage, key)
    if exists(join(path, "manifest.json")):
        manifest = load_manifest(path)
        return StageResult(manifest, True, f"unchanged: same settings, code and inputs as {stage}/{key}")
    writer = ArtifactWriter(
        path, stage=stage, key=key, settings=settings, code=code,
        parents=[{"stage": m.stage, "path": m.path, "content": m.content} for m in inputs], shards=join(workspace, "shards"),
    )
    work(writer)
    return StageResult(writer.finish(), False, f"done: no artifact {stage}/{key} yet")
