"""Shards: a stage's input part file by part file, worked on by several processes, each result an artifact of its own.

    <workspace>/shards/<stage>/<key>/   addressed by content like a stage's artifact; its manifest is written last

A stage cut into shards does again only those whose rows changed, and goes on after a kill with those that are missing.
Neither the number of workers nor the order in which they finish decides anything.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from posttrain.progress import Progress
from posttrain.schema import SCHEMAS
from posttrain.storage import ArtifactWriter, Manifest, exists, join, load_manifest, read_table, sha256_json
from posttrain.workers import Workers, worker_count

log = logging.getLogger(__name__)

ROWS_FOR_WORKERS = 20_000
"""Below this the start of a worker, a second or two of imports, costs more than it saves."""


@dataclass(frozen=True)
class Shard:
    """One part file of an input artifact."""

    path: str
    split: str
    rows: int
    sha256: str


ShardWork = Callable[[Shard, Any, ArtifactWriter], None]
"""Fills the writer with what one shard gives. A function of a module: it travels to other processes by its name."""


@dataclass(frozen=True)
class _Task:
    work: ShardWork
    shard: Shard
    arguments: Any
    stage: str
    key: str
    path: str


def shards_of(inputs: Iterable[Manifest]) -> list[Shard]:
    """The part files with examples of all inputs, in their order."""
    return [Shard(m.file(entry.name), entry.split, entry.rows, entry.sha256)
            for m in inputs for entry in m.files if entry.split in SCHEMAS]


def workers_for(shards: list[Shard]) -> Workers:
    """Processes for the shards: as many as there are cores, or none where there is little to do."""
    return Workers(worker_count() if sum(shard.rows for shard in shards) >= ROWS_FOR_WORKERS else 1)


def work_shards(
    out: ArtifactWriter, shards: list[Shard], work: ShardWork, arguments: Any, workers: Workers, content: str = "",
) -> list[Manifest]:
    """The artifact of every shard, in the order of `shards`: found again where it exists, else made by `work`.

    What decides a shard's result beside its rows are the stage's settings and code, which the writer knows, and `content`, that
    of the stage's other inputs. `arguments` are passed to `work` as they are.
    Facts: {"shards": {"all", "redone"}}.
    """
    tasks = [_Task(work, shard, arguments, out.stage, *_place(out, shard, content)) for shard in shards]
    missing = {task.path: task for task in tasks if not exists(join(task.path, "manifest.json"))}  # the same rows twice: once
    out.facts["shards"] = {"all": len(tasks), "redone": len(missing)}
    progress = Progress(f"{out.stage}:", sum(task.shard.rows for task in missing.values()), len(missing))
    # The longest first, so that no worker begins a long one when the others have ended.
    todo = sorted(missing.values(), key=lambda task: -task.shard.rows)
    for task, _ in zip(todo, workers.map(_do, todo), strict=True):
        progress.add(task.shard.rows)
    where = f"{workers.started} worker processes" if workers.started else "this process"
    log.info("%s: %s, in %s", out.stage, redone_text(out.facts), where)
    return [load_manifest(task.path) for task in tasks]


def redone_text(facts: dict[str, Any]) -> str:
    """ "redone 3 of 57 shards" by a stage's facts; "" where the stage is not cut into shards."""
    shards = facts.get("shards")
    return f"redone {shards['redone']} of {shards['all']} shards" if shards else ""


def take_counts(manifest: Manifest, out: ArtifactWriter) -> None:
    """Count the rows that a shard's artifact read and rejected; what is kept of it is for the stage to say."""
    for source, rows in manifest.by_source.items():
        out.read(source, rows["read"])
    for entry in manifest.files:
        if entry.is_rejected:
            table = read_table(manifest.file(entry.name), ["source", "reason"])
            pairs = Counter(zip(table.column("source").to_pylist(), table.column("reason").to_pylist(), strict=True))
            for (source, reason), rows in pairs.items():
                out.rejected(source, reason, rows)


def _place(out: ArtifactWriter, shard: Shard, content: str) -> tuple[str, str]:
    key = sha256_json([out.stage, out.settings, out.code, content, shard.split, shard.sha256])[:20]
    return key, join(out.shards, out.stage, key)


def _do(task: _Task) -> None:
    writer = ArtifactWriter(task.path, stage=task.stage, key=task.key)
    task.work(task.shard, task.arguments, writer)
    writer.finish()
