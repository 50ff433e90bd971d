"""The books of a run: pool → converted → filtered → deduplicated → decontaminated → mixed, by source and reason.

Nothing here is taken from a stage's word alone: rows are counted again in the files (by their `source` column; dropped rows also
by `reason`) and compared with the manifests, and what a stage left behind is compared with what the next one read. A row that
one of these counts has and the other has not is unexplained.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from posttrain.recipe import DATA_STAGES, SPLITS
from posttrain.run import Run
from posttrain.schema import SCHEMAS
from posttrain.storage import Manifest, StorageError, join, load_manifest, open_parquet, read_table, write_json

log = logging.getLogger(__name__)

BEGINS = ("collect", "improve", "synthesize")
"""Stages whose rows come from outside the chain: raw files and the teacher. `improve` counts the rewrites that it asks for."""

REFRESH = "refresh"
"""A later version of a mixture, without the rows that a new eval set contains (posttrain.refresh): a mixture made of another."""

TAKES = {"convert": ("raw",), "review": tuple(f"review_{kind}" for kind in SCHEMAS), REFRESH: SPLITS}
"""The splits that a stage reads of the stages before it; every other stage reads the three kinds of rows."""

MIXTURES = ("mix", REFRESH)

GROWS = ("convert", "improve", "synthesize")
"""Stages in which one row that is kept may become several: the SFT and the RLVR example of one problem. In `convert` several rows
may also become one, the messages of a tree or the answers to a prompt: the manifest's fact `joined` counts all but the first."""

CHAIN = ("pool", "converted", "made", "filtered", "deduplicated", "decontaminated", "mixed", "refreshed")
"""`mixed` counts rows of the pool that any split took; `refreshed` the rows that are left in all splits, repeats counted."""


@dataclass
class Entry:
    """One source in one artifact. `came` are the rows that the stages before left for it; None where the rows begin here.

    `joined` are kept rows that have no example of their own, being part of another row's.
    """

    stage: str
    source: str
    came: int | None
    read: int
    kept: int
    rejected: dict[str, int]
    written: int
    joined: int = 0


@dataclass
class Books:
    run_id: str
    recipe: str
    entries: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unexplained: int = 0

    def sources(self) -> list[str]:
        return sorted({entry.source for entry in self.entries})

    def chain(self, source: str) -> dict[str, int]:
        """Rows of the source after each step of CHAIN: what is left, not what went."""
        own: dict[str, list[Entry]] = {}
        for entry in self.entries:
            if entry.source == source:
                own.setdefault(entry.stage, []).append(entry)

        def count(stages: tuple[str, ...], name: str) -> int:
            return sum(getattr(entry, name) for stage in stages for entry in own.get(stage, []))

        made = count(("improve", "synthesize"), "written")
        duplicates = sum(rows for stage in own for entry in own[stage] for reason, rows in entry.rejected.items()
                         if "duplicate" in reason and stage not in BEGINS)
        after_filter = [stage for stage in ("deduplicate", "filter") if stage in {e.stage for e in self.entries}]
        deduplicated = count(tuple(after_filter[:1]), "written")
        removed = sum(rows for entry in own.get("decontaminate", []) for rows in entry.rejected.values())
        dropped_in_review = sum(rows for entry in own.get("review", []) for rows in entry.rejected.values())
        steps = {"pool": count(("collect",), "read"), "converted": count(("convert",), "written"), "made": made,
                 "filtered": deduplicated + duplicates, "deduplicated": deduplicated,
                 "decontaminated": deduplicated + made - removed - dropped_in_review, "mixed": count(("mix",), "kept"),
                 "refreshed": min((entry.kept for entry in own.get(REFRESH, [])), default=0)}  # each version has fewer
        done = {entry.stage for entry in self.entries}
        needs = {"converted": "convert", "filtered": "filter", "deduplicated": "filter", "decontaminated": "decontaminate",
                 "mixed": "mix", "refreshed": REFRESH}
        return {step: rows for step, rows in steps.items() if needs.get(step, "collect") in done}

    def reasons(self) -> list[tuple[str, str, str, int]]:
        """(stage, source, reason, rows) of all dropped rows."""
        return [(entry.stage, entry.source, reason, rows) for entry in self.entries for reason, rows in entry.rejected.items()]

    def joined(self) -> list[tuple[str, str, int]]:
        """(stage, source, rows) of all rows that became a part of another row's example."""
        return [(entry.stage, entry.source, entry.joined) for entry in self.entries if entry.joined]

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"chain": {source: self.chain(source) for source in self.sources()}}


def keep_books(run: Run) -> Books:
    """The books of a run as far as it has got."""
    manifests, gone = [], []
    for record in run.stage_records():
        if record["stage"] in DATA_STAGES and record["stage"] != "index_evals":
            try:
                manifests.append(load_manifest(record["manifest"]))
            except StorageError as error:
                gone.append(f"{record['stage']} {record['part']}: the artifact is gone: {error}")
    return books_of(run.run_id, run.recipe.name, manifests, gone)


def books_of(name: str, recipe: str, manifests: list[Manifest], gone: list[str]) -> Books:
    """The books over the artifacts of data stages; one that stands twice counts once. `gone`: what is known to be missing."""
    books = Books(name, recipe, problems=list(gone))
    artifacts = {manifest.path: _Artifact(manifest) for manifest in manifests}
    for artifact in artifacts.values():
        for problem, rows in [*_own_problems(artifact), *_left_behind(artifact, artifacts)]:
            books.problems.append(f"{artifact.name}: {problem}")
            books.unexplained += rows
        for entry, problems in _entries(artifact, artifacts):
            books.entries.append(entry)
            for problem, rows in problems:
                books.problems.append(f"{artifact.name}: {entry.source}: {problem}")
                books.unexplained += rows
    return books


def write_books(run: Run) -> Books:
    """Write `books.json` into the run's folder; every unexplained row is also said in the log."""
    books = keep_books(run)
    write_json(join(run.folder, "books.json"), books.as_json())
    for problem in books.problems:
        log.error("books: %s", problem)
    log.info("books: %d unexplained rows", books.unexplained)
    return books


class _Artifact:
    """A manifest and what its files say."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    @property
    def stage(self) -> str:
        return REFRESH if self.manifest.stage == "mix" and "refreshed" in self.manifest.facts else self.manifest.stage

    @property
    def name(self) -> str:
        return f"{self.manifest.stage}/{self.manifest.key}"

    @cached_property
    def written(self) -> dict[str, Counter[str]]:
        """Split → source → rows in the files. Raw rows have no source column: they are those of the artifact's only source."""
        found: dict[str, Counter[str]] = {}
        for entry in self.manifest.files:
            if entry.split:
                found.setdefault(entry.split, Counter()).update(self._by_source(entry.name))
        return found

    def _by_source(self, name: str) -> Counter[str]:
        with open_parquet(self.manifest.file(name)) as f:
            file = pq.ParquetFile(f)
            if "source" not in file.schema_arrow.names:
                only = next(iter(self.manifest.by_source), "(no source)")
                return Counter({only: file.metadata.num_rows})
            table = file.read(columns=["source"])
        return Counter({source or "": rows for source, rows in _counted(table, ["source"])})

    @cached_property
    def rejected(self) -> Counter[tuple[str, str]]:
        """(source, reason) → rows in the files of dropped rows."""
        found: Counter[tuple[str, str]] = Counter()
        for entry in self.manifest.files:
            if entry.is_rejected:
                table = read_table(self.manifest.file(entry.name), ["source", "reason"])
                found.update({(source or "", reason): rows for source, reason, rows in _counted(table, ["source", "reason"])})
        return found

    def rows_of(self, splits: tuple[str, ...]) -> Counter[str]:
        return sum((rows for split, rows in self.written.items() if split in splits), Counter())


def _counted(table: pa.Table, columns: list[str]) -> Iterator[tuple]:
    grouped = table.group_by(columns).aggregate([([], "count_all")])
    return zip(*(grouped[name].to_pylist() for name in [*columns, "count_all"]), strict=True)


def _takes(stage: str) -> tuple[str, ...]:
    return TAKES.get(stage, tuple(SCHEMAS))


# ---------------------------------------------------------------- one artifact


def _entries(artifact: _Artifact, artifacts: dict[str, _Artifact]) -> Iterator[tuple[Entry, list[tuple[str, int]]]]:
    """Every source of the artifact, with the rows that nobody can explain: (what is wrong, rows)."""
    manifest = artifact.manifest
    came = None if artifact.stage in BEGINS else _came(artifact, artifacts)
    written = sum(artifact.written.values(), Counter())
    rejected_by_source: dict[str, dict[str, int]] = {}
    for (source, reason), rows in sorted(artifact.rejected.items()):
        rejected_by_source.setdefault(source, {})[reason] = rows
    for source in sorted({*manifest.by_source, *(came or {}), *written, *rejected_by_source}):
        said = manifest.by_source.get(source, {"read": 0, "kept": 0, "rejected": 0})
        rejected = rejected_by_source.get(source, {})
        entry = Entry(artifact.stage, source, None if came is None else came[source], said["read"], said["kept"], rejected,
                      written[source], manifest.facts.get("joined", {}).get(source, 0))
        yield entry, list(_source_problems(entry, said))


def _source_problems(entry: Entry, said: dict[str, int]) -> Iterator[tuple[str, int]]:
    in_files = sum(entry.rejected.values())
    if entry.came is not None and entry.came != entry.read:
        yield f"{entry.came:,} rows came, {entry.read:,} were read", abs(entry.came - entry.read)
    if entry.read != entry.kept + in_files:
        yield (f"{entry.read:,} read, but {entry.kept:,} kept and {in_files:,} dropped with a reason",
               abs(entry.read - entry.kept - in_files))
    if said["rejected"] != in_files:
        yield f"the manifest says {said['rejected']:,} dropped, the files hold {in_files:,}", abs(said["rejected"] - in_files)
    least = entry.kept - entry.joined
    if entry.stage != "mix" and (entry.written < least or (entry.written > least and entry.stage not in GROWS)):
        joined = f", {entry.joined:,} of them joined to others" if entry.joined else ""
        yield f"{entry.kept:,} kept{joined}, but the files hold {entry.written:,}", abs(least - entry.written)


def _came(artifact: _Artifact, artifacts: dict[str, _Artifact]) -> Counter[str]:
    parents = [artifacts[parent["path"]] for parent in artifact.manifest.parents if parent["path"] in artifacts]
    return sum((parent.rows_of(_takes(artifact.stage)) for parent in parents), Counter())


def _own_problems(artifact: _Artifact) -> Iterator[tuple[str, int]]:
    """What does not fit within the manifest itself."""
    manifest = artifact.manifest
    for entry in manifest.files:
        if entry.split or entry.is_rejected:
            with open_parquet(manifest.file(entry.name)) as f:
                rows = pq.ParquetFile(f).metadata.num_rows
            if rows != entry.rows:
                yield f"{entry.name} holds {rows:,} rows, the manifest says {entry.rows:,}", abs(rows - entry.rows)
    for split in sorted({*manifest.written, *artifact.written}):
        said, rows = manifest.written.get(split, 0), sum(artifact.written.get(split, Counter()).values())
        if said != rows:
            yield f"split {split} holds {rows:,} rows, the manifest says {said:,}", abs(said - rows)
    reasons: Counter[str] = Counter()
    for (_, reason), rows in artifact.rejected.items():
        reasons[reason] += rows
    for reason in sorted({*manifest.reasons, *reasons}):
        if manifest.reasons.get(reason, 0) != reasons[reason]:
            yield (f"{reason}: the files hold {reasons[reason]:,} rows, the manifest says {manifest.reasons.get(reason, 0):,}",
                   abs(manifest.reasons.get(reason, 0) - reasons[reason]))
    for name in ("read", "kept", "rejected"):
        total = sum(source[name] for source in manifest.by_source.values())
        if manifest.rows.get(name, 0) != total:
            yield (f"the sources' {name} rows sum to {total:,}, the manifest says {manifest.rows.get(name, 0):,}",
                   abs(manifest.rows.get(name, 0) - total))
    if artifact.stage in MIXTURES:
        yield from _mixture_problems(manifest)


def _mixture_problems(manifest: Manifest) -> Iterator[tuple[str, int]]:
    """The rows of a split are what its amounts took, less what its quotas dropped and what fell in later versions."""
    taken: Counter[str] = Counter()
    for amount in manifest.facts.get("amounts", []):
        taken[amount["split"]] += amount["taken"]
    for quota in manifest.facts.get("quotas", []):
        taken[quota["split"]] -= quota["dropped"]
    taken.subtract(manifest.facts.get("refreshed", {}).get("fell_since_mixed", {}))
    for split in sorted({*taken, *manifest.written}):
        if taken[split] != manifest.written.get(split, 0):
            yield (f"split {split}: the amounts took {taken[split]:,} rows, {manifest.written.get(split, 0):,} were written",
                   abs(taken[split] - manifest.written.get(split, 0)))


def _left_behind(artifact: _Artifact, artifacts: dict[str, _Artifact]) -> Iterator[tuple[str, int]]:
    """Rows that no later stage of the run reads, though the run went on to the mixture."""
    if artifact.stage in MIXTURES or "mix" not in {other.stage for other in artifacts.values()}:
        return
    taken = {split for other in artifacts.values() if other.stage not in BEGINS
             and artifact.manifest.path in {parent["path"] for parent in other.manifest.parents} for split in _takes(other.stage)}
    for split, rows in artifact.written.items():
        if split not in taken and (split in SCHEMAS or split == "raw" or split.startswith("review_")):
            yield f"no later stage read its {rows.total():,} rows of split {split}", rows.total()
