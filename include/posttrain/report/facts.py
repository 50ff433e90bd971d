"""What the report says about a run, read from its manifests and nothing else. Works on a run that is not finished."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from posttrain.licences import LicenceLine, licence_lines
from posttrain.recipe import TRAINED
from posttrain.run import Run
from posttrain.storage import Manifest, exists, join, load_manifest, read_json, read_text


@dataclass(frozen=True)
class StageFacts:
    """One stage of one run; a stage with one artifact per source is summed over the sources. `seconds` is work, not waiting."""

    stage: str
    rows: dict[str, int]
    written: dict[str, int]
    reasons: dict[str, int]
    seconds: float
    skipped: bool
    why: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Drop:
    stage: str
    reason: str
    rows: int


@dataclass(frozen=True)
class RoundFacts:
    """One round of the loop."""

    run: Run
    stages: list[StageFacts]
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    """checkpoint → skill → score between 0 and 1; checkpoints in the order of training, which a manifest does not keep."""
    tasks: dict[str, Any] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    verdict: dict[str, Any] = field(default_factory=dict)
    contamination: list[dict[str, Any]] = field(default_factory=list)
    decontaminated: Manifest | None = None
    reviewed: Manifest | None = None
    curves: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    """trained stage → one object per logged step."""
    licences: list[LicenceLine] = field(default_factory=list)
    stop: str = ""
    """Why the loop ended with this round; empty where it went on, or has not ended."""

    def drops(self) -> list[Drop]:
        return [Drop(s.stage, reason, rows) for s in self.stages for reason, rows in s.reasons.items()]

    def stage(self, name: str) -> StageFacts | None:
        return next((s for s in self.stages if s.stage == name), None)


def read_round(run: Run) -> RoundFacts:
    """Gather a run's facts from its manifests."""
    manifests: dict[str, list[Manifest]] = {}
    for record in run.stage_records():
        manifests.setdefault(record["stage"], []).append(load_manifest(record["manifest"]))
    stop = join(run.folder, "stop.json")
    evaluated = manifests["evaluate"][0].facts if "evaluate" in manifests else {}
    return RoundFacts(
        run=run,
        stages=_stages(run, manifests),
        scores=_scores(run, evaluated["scores"]) if evaluated else {},
        tasks=evaluated.get("tasks", {}),
        thresholds=dict(run.recipe.gate.thresholds),
        verdict=manifests["gate"][0].facts if "gate" in manifests else {},
        contamination=manifests["decontaminate"][0].facts.get("contamination", []) if "decontaminate" in manifests else [],
        decontaminated=manifests["decontaminate"][0] if "decontaminate" in manifests else None,
        reviewed=manifests["review"][0] if "review" in manifests else None,
        curves={stage: _curve(manifests[stage][0]) for stage in TRAINED if stage in manifests},
        licences=licence_lines(run, manifests["mix"][0]) if "mix" in manifests else [],
        stop=read_json(stop)["why"] if exists(stop) else "",
    )


def _scores(run: Run, found: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {name: found[name] for name in run.recipe.evaluate.checkpoints if name in found}


def _stages(run: Run, manifests: dict[str, list[Manifest]]) -> list[StageFacts]:
    records: dict[str, list[dict[str, Any]]] = {}
    for record in run.stage_records():
        records.setdefault(record["stage"], []).append(record)
    stages = []
    for name, parts in manifests.items():
        rows, written, reasons = Counter(read=0, kept=0, rejected=0), Counter[str](), Counter[str]()
        for manifest in parts:
            rows.update(manifest.rows)
            written.update(manifest.written)
            reasons.update(manifest.reasons)
        stages.append(StageFacts(
            stage=name, rows=dict(rows), written=dict(written), reasons=dict(reasons),
            seconds=sum(m.seconds for m, r in zip(parts, records[name], strict=True) if not r["skipped"]),
            skipped=all(r["skipped"] for r in records[name]), why=_why(records[name]), paths=tuple(m.path for m in parts),
        ))
    return stages


def _why(records: list[dict[str, Any]]) -> str:
    """Why a stage was skipped or done; of a stage with many sources, how many were skipped."""
    skipped = [r for r in records if r["skipped"]]
    if len(records) == 1 or not skipped:
        return str(records[0]["why"]) if len(records) == 1 else f"done for {len(records)} sources"
    return f"unchanged for {len(skipped)} of {len(records)} sources: same settings, code and inputs"


def _curve(manifest: Manifest) -> list[dict[str, float]]:
    if not exists(manifest.file("metrics.jsonl")):
        return []
    return [json.loads(line) for line in read_text(manifest.file("metrics.jsonl")).splitlines() if line.strip()]
