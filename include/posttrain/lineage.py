"""From a row of a mixture back to its raw row: every stage that it passed, and the rules that it passed there."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from posttrain.duplicates.clusters import VERDICTS
from posttrain.filters import RULES
from posttrain.run import Run, readable_runs
from posttrain.storage import Manifest, join, load_manifest, open_parquet

KEPT_IN = ("mix", "review", "decontaminate", "synthesize", "improve", "filter", "convert")
"""Stages that hold a row, the last one first."""


class RowNotFound(LookupError):
    """No run of the workspace has the row. `close` are ids that look like it."""

    def __init__(self, row_id: str, where: str, close: list[str]) -> None:
        hint = f"; close to it: {', '.join(close)}" if close else ""
        super().__init__(f"no row {row_id!r} in {where}{hint}")
        self.close = close


@dataclass(frozen=True)
class Step:
    """What one stage did with the row. `row` is the row as that stage left it; for `collect`, the raw row's own text."""

    stage: str
    row_id: str
    what: str
    artifact: str
    rules: dict[str, Any] = field(default_factory=dict)
    row: Any = None


def trace(row_id: str, run: Run | None, workspace: str) -> list[Step]:
    """The steps of a row, last stage first, down to the raw row of each source that it was made from.

    Without a run, the newest released run that has the row is taken, else the newest run that has it. A row
    that is not in the mixture is found among the rejected rows. Raises RowNotFound.
    """
    runs = [run] if run else _newest_first(workspace)
    if not runs:
        raise RowNotFound(row_id, f"{workspace}: it has no runs", [])
    for wanted in ("mixture", "anywhere"):
        for candidate in runs:
            hopeful = wanted == "anywhere" or _find(candidate, "mix", row_id)
            if hopeful and (steps := list(_steps(candidate, row_id, set()))):
                return steps
    where = f"run {run.run_id}" if run else f"the {len(runs)} runs of {workspace}"
    raise RowNotFound(row_id, where, close_ids(row_id, runs))


def close_ids(row_id: str, runs: list[Run]) -> list[str]:
    """At most five ids of these runs that look like `row_id`: those that hold it first, then similar spellings."""
    ids = sorted({found for run in runs for manifest in _manifests(run, "convert") + _manifests(run, "mix")
                  for found in _ids(manifest)})
    holding = [found for found in ids if row_id.lower() in found.lower()]
    return (holding or difflib.get_close_matches(row_id, ids[:50_000], n=5, cutoff=0.6))[:5]


def _newest_first(workspace: str) -> list[Run]:
    return sorted(readable_runs(workspace), key=lambda run: not run.has("release"))


# ---------------------------------------------------------------- walking


def _steps(run: Run, row_id: str, seen: set[str]) -> Iterator[Step]:
    """The steps of one row and, after them, those of the row that it was made from."""
    if row_id in seen:
        return
    seen.add(row_id)
    parent_id, origin = None, None
    for stage in KEPT_IN:
        for manifest in _manifests(run, stage):
            rejected = _rejected(manifest, row_id)
            if rejected:
                what = f"dropped: {rejected['reason']}" + (f" ({rejected['detail']})" if rejected["detail"] else "")
                rules = _rules(manifest, row_id, rejected["reason"])
                yield Step(stage, row_id, what, manifest.path, rules, rejected)
                origin = origin or rejected
            for row, split, times in _rows(manifest, row_id):
                rules = _rules(manifest, row_id) | _teacher_request(manifest, row)
                yield Step(stage, row_id, _what(stage, row, split, times), manifest.path, rules, row)
                parent_id, origin = parent_id or row.get("parent_id"), row if row.get("raw_file") else origin or row
    if origin and origin.get("raw_file"):
        yield from _raw(run, row_id, origin)
    if parent_id and parent_id != row_id:
        yield from _steps(run, parent_id, seen)


def _what(stage: str, row: dict[str, Any], split: str, times: int) -> str:
    if stage == "mix":
        return f"in split {split}" + (f", {times} times" if times > 1 else "")
    if stage in ("improve", "synthesize") or (stage == "review" and row.get("made_by") == "rewritten"):
        made = {"rewritten": "rewritten", "new": "new row made"}.get(row["made_by"], row["made_by"])
        return made + (f" from {row['parent_id']}" if row["parent_id"] else "") + (
            f", teacher request {row['request_id']}" if row["request_id"] else "")
    if split.startswith("review_"):
        return "in the review band"
    return f"kept as {split} row"


def _rules(manifest: Manifest, row_id: str, dropped_for: str | None = None) -> dict[str, Any]:
    """The rules that a stage applied to the row, from the settings in its manifest; of the filter, those that it passed."""
    settings = manifest.settings
    if manifest.stage == "convert":
        return {"family": settings.get("family"), "license": settings.get("license"), "origin": settings.get("origin")}
    if manifest.stage == "filter":
        return {"passed": _passed_rules(manifest.facts.get("rules", {}), dropped_for)}
    if manifest.stage in ("decontaminate", "review"):
        rule = settings.get("decontaminate", settings)
        return {"preset": rule.get("preset"), "ngram_size": rule.get("ngram_size"), "cut_offs": rule.get("cut_offs"),
                "best_match": _best_match(manifest, row_id)}
    return {}


def _passed_rules(applied: dict[str, int], dropped_for: str | None) -> list[str]:
    """The filter rules in the order in which they run, up to the one that dropped the row."""
    passed = []
    for name, reasons in [*((name, (reason,)) for name, reason, *_ in RULES), ("duplicates", VERDICTS)]:
        if dropped_for in reasons:
            break
        if name in applied:
            passed.append(name)
    return passed


def _teacher_request(manifest: Manifest, row: dict[str, Any]) -> dict[str, Any]:
    """Of a row that this stage had from the teacher: who the teacher is, and the journal's file of the request."""
    usage, request = manifest.facts.get("teacher"), row.get("request_id")
    if not usage or not request or manifest.stage not in ("improve", "synthesize", "review"):
        return {}
    return {"teacher": usage["model"], "journal_file": join(usage["journal"], request[:2], f"{request}.json")}


def _best_match(manifest: Manifest, row_id: str) -> dict[str, Any] | None:
    """The row's strongest overlap with an eval item, where the stage recorded one."""
    for entry in manifest.files:
        if entry.name.startswith("matches"):
            matches = _select(manifest.file(entry.name), {"row_id": row_id})
            return max(matches, key=lambda m: m["score"]) if matches else None
    return None


def _raw(run: Run, row_id: str, origin: dict[str, Any]) -> Iterator[Step]:
    """The row of the raw file, as it was collected."""
    for manifest in _manifests(run, "collect"):
        for entry in manifest.files:
            if entry.split != "raw":
                continue
            found = _select(manifest.file(entry.name), {"raw_file": origin["raw_file"], "raw_row": origin["raw_row"]})
            for row in found:
                facts = {"license": manifest.settings.get("license"), "origin": manifest.settings.get("origin")}
                what = f"raw row {row['raw_row']} of {row['raw_file']}"
                yield Step("collect", row_id, what, manifest.path, facts, row["raw"])
                return


# ---------------------------------------------------------------- finding


def _manifests(run: Run, stage: str) -> list[Manifest]:
    return [load_manifest(record["manifest"]) for record in run.stage_records() if record["stage"] == stage]


def _find(run: Run, stage: str, row_id: str) -> bool:
    return any(_rows(manifest, row_id) for manifest in _manifests(run, stage))


def _rows(manifest: Manifest, row_id: str) -> list[tuple[dict[str, Any], str, int]]:
    """The row in each split that has it, with the number of times that it stands there."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in manifest.files:
        if entry.split and not entry.split.endswith("raw"):
            found.setdefault(entry.split, []).extend(_select(manifest.file(entry.name), {"id": row_id}))
    return [(rows[0], split, len(rows)) for split, rows in found.items() if rows]


def _rejected(manifest: Manifest, row_id: str) -> dict[str, Any] | None:
    for entry in manifest.files:
        if entry.is_rejected:
            for row in _select(manifest.file(entry.name), {"id": row_id}):
                return row
    return None


def _select(path: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a Parquet file whose columns have these values; only row groups that may hold them are read."""
    import pyarrow.parquet as pq

    filters = [(column, "=", value) for column, value in values.items()]
    with open_parquet(path) as f:
        return pq.read_table(f, filters=filters).to_pylist()


def _ids(manifest: Manifest) -> Iterator[str]:
    import pyarrow.parquet as pq

    for entry in manifest.files:
        if entry.split and not entry.split.endswith("raw"):
            with open_parquet(join(manifest.path, entry.name)) as f:
                table = pq.ParquetFile(f)
                if "id" in table.schema_arrow.names:
                    yield from (str(value) for value in table.read(columns=["id"])["id"].to_pylist())
