"""What becomes of a training row, and the evidence: one line a (row, eval item) in `matches.parquet`."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from posttrain.decontaminate import balanced
from posttrain.decontaminate.coverage import Match
from posttrain.decontaminate.index import EvalIndex
from posttrain.decontaminate.presets import PRESETS, CutOffs, Measure
from posttrain.decontaminate.search import EvalSearch
from posttrain.decontaminate.spans import covered_text, runs, tokens_of, turn_places
from posttrain.decontaminate.turns import TrainingRow, Turns, turns_of_lists
from posttrain.recipe import Decontaminate
from posttrain.storage import ArtifactWriter, read_batches

Decision = Literal["remove", "review", "keep"]
DECISIONS: tuple[Decision, ...] = ("remove", "review", "keep")
MATCHES = "matches.parquet"

_SPAN = [("start", pa.int32()), ("end", pa.int32())]

MATCHES_SCHEMA = pa.schema([
    ("row_id", pa.string()),
    ("source", pa.string()),
    ("turn", pa.int32()),
    ("eval", pa.string()),
    ("item_id", pa.string()),
    ("measure", pa.string()),
    ("score", pa.float64()),
    ("decision", pa.string()),
    ("train_spans", pa.list_(pa.struct(_SPAN))),
    ("eval_spans", pa.list_(pa.struct([("field", pa.int32()), *_SPAN]))),
    ("matched_text", pa.string()),
    ("eval_text", pa.string()),
    ("rule", pa.string()),
    ("signals", pa.list_(pa.string())),
    ("best_field", pa.string()),
    ("best_field_score", pa.float64()),
])
"""`turn` counts the conversation's messages from 0. A span is [start, end) in the words of the turn, or of the item's text
number `field`, as `normalize.words` gives them. `matched_text` is the item's covered words, ` … ` where words are left out.
A line with decision `keep` is an item of several texts of which one is covered and the mean is not over the rule:
reported, because a leaked question without its passage is worth knowing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One training row against one eval item, with the decision of the rule. `turn` is the place in the conversation."""

    match: Match
    turn: int
    eval: str
    item_id: str
    is_short: bool
    decision: Decision
    rule: str
    signals: tuple[str, ...] = ()

    @property
    def measure(self) -> Measure:
        return self.match.measure


def find_contamination(rows: list[TrainingRow], search: EvalSearch, settings: Decontaminate) -> list[list[Finding]]:
    """The findings of each row of a batch, in the order of turn, item and measure; an empty list for a clean row."""
    found = findings_of(turns_of_lists(row.turns for row in rows), search, settings)
    return [found.get(n, []) for n in range(len(rows))]


def findings_of(turns: Turns, search: EvalSearch, settings: Decontaminate) -> dict[int, list[Finding]]:
    """Row number → its findings, in the order of turn, item and measure, for the rows of a batch that have any."""
    matches = [match for measure, floor in settings.floors().items() for match in search.score(measure, turns.texts, floor)]
    judged = PRESETS[settings.preset].judged
    found: dict[int, list[Finding]] = {}
    pairs = groupby(sorted(matches, key=lambda match: (match.turn, match.item)), key=lambda match: (match.turn, match.item))
    for (turn, _), own in pairs:
        place = int(turns.places[turn])
        findings = [finding for match in own if (finding := _judge(match, place, search.index, settings))]
        if judged and findings:
            findings = _judge_pair(findings, turns.texts[turn], search.index)
        if findings:
            found.setdefault(int(turns.rows[turn]), []).extend(findings)
    return found


def _judge_pair(found: list[Finding], turn: str, index: EvalIndex) -> list[Finding]:
    """One finding of a pair that reached a cut-off: by `balanced`, unless a cut-off of the recipe removes the row anyway.

    A pair that is kept is reported where the published rule would have removed it: somebody will ask why it stayed.
    """
    if removed := [finding for finding in found if finding.decision == "remove"]:
        return removed[:1]
    best = max(found, key=lambda finding: (finding.match.score, finding.measure == "ngram_coverage"))
    matches = {finding.measure: finding.match for finding in found}
    verdict = balanced.judge(index, turn, best.match.item, matches)
    published, coverage = PRESETS["tulu3"], matches.get("ngram_coverage")
    if verdict.decision == "keep" and not (
            coverage and published.reaches(coverage.score, published.cut_offs["ngram_coverage"].remove)):
        return []
    is_short = any(finding.is_short for finding in found)
    return [replace(best, is_short=is_short, decision=verdict.decision, rule=verdict.rule, signals=verdict.signals)]


def _judge(match: Match, turn: int, index: EvalIndex, settings: Decontaminate) -> Finding | None:
    """The finding, or None where not even the item's best text is over a cut-off."""
    preset, name = PRESETS[settings.preset], index.eval_names[index.eval_of_item[match.item]]
    cut_offs = settings.cut_offs_of(name, match.measure)
    is_short = match.measure == "ngram_coverage" and all(
        len(index.words(text)) < index.ngram_size for text in index.texts(match.item))
    decision: Decision = "keep"
    if preset.reaches(match.score, cut_offs.remove):
        decision = "remove"
    elif preset.reaches(match.score, cut_offs.review):
        decision = "review"
    elif not any(preset.reaches(match.best, cut_off) for cut_off in (cut_offs.remove, cut_offs.review)):
        return None
    rule = rule_name(name, match, decision, is_short, settings)
    return Finding(match, turn, name, index.item_id[match.item].as_py(), is_short, decision, rule)


def rule_name(eval_name: str, match: Match, decision: Decision, is_short: bool, settings: Decontaminate) -> str:
    """What decided: `tulu3: 8-gram coverage > 0.5`, or `recipe: …` where the recipe changed what the preset says."""
    preset, cut_offs = PRESETS[settings.preset], settings.cut_offs_of(eval_name, match.measure)
    name = f"{settings.ngram_size}-gram coverage" if match.measure == "ngram_coverage" else match.measure
    limits = [cut_off for cut_off in (cut_offs.review, cut_offs.remove) if cut_off is not None]
    if decision == "keep":
        what, cut_off = f"{name}, mean of {len(match.scores)} texts, not {preset.sign} {limits[0]:g}", limits[0]
    else:
        cut_off = cut_offs.remove if decision == "remove" else cut_offs.review
        what = "short item verbatim" if is_short and decision == "remove" else f"{name} {preset.sign} {cut_off:g}"
    published = preset.cut_offs.get(match.measure, CutOffs())
    if cut_off in (published.remove, published.review) and settings.turns == "user" and (
            settings.ngram_size == 8 or match.measure != "ngram_coverage"):
        return f"{settings.preset}: {what}"
    return f"recipe: {what} (not part of {settings.preset})"


def decide(findings: list[Finding]) -> Decision:
    """What becomes of the row: the hardest decision of its findings."""
    decisions = {finding.decision for finding in findings}
    return "remove" if "remove" in decisions else "review" if "review" in decisions else "keep"


def removal_reason(findings: list[Finding]) -> str:
    """The key of `schema.REASONS` for a row that is removed."""
    return "short_item_copied" if all(f.is_short for f in findings if f.decision == "remove") else "contaminated"


def strongest(findings: list[Finding]) -> Finding:
    """The finding with the highest score among those that decided."""
    decision = decide(findings)
    return max((f for f in findings if f.decision == decision), key=lambda finding: finding.match.score)


def describe(finding: Finding) -> str:
    return f"{finding.eval} {finding.item_id}: score {finding.match.score:.3g} in turn {finding.turn} ({finding.rule})"


def match_row(row: TrainingRow, finding: Finding, index: EvalIndex) -> dict[str, Any]:
    """The line of `matches.parquet`."""
    match, numbers = finding.match, index.texts(finding.match.item)
    texts = [index.text[text].as_py() for text in numbers]
    tokens = [tokens_of(text) for text in texts]
    turn = next(text for place, text in row.turns if place == finding.turn)
    best = match.scores.index(match.best)
    return {
        "row_id": row.id, "source": row.source, "turn": finding.turn, "eval": finding.eval, "item_id": finding.item_id,
        "measure": match.measure, "score": match.score, "decision": finding.decision,
        "train_spans": [{"start": begin, "end": end}
                        for begin, end in runs(turn_places(match, index, turn))],
        "eval_spans": [{"field": k, "start": begin, "end": end}
                       for k, places in enumerate(match.covered) for begin, end in runs(places)],
        "matched_text": "\n".join(
            covered_text(own, places) for own, places in zip(tokens, match.covered, strict=True) if places),
        "eval_text": "\n".join(texts), "rule": finding.rule, "signals": list(finding.signals),
        "best_field": index.field[numbers[best]].as_py(), "best_field_score": match.best,
    }


class Evidence:
    """The lines of `matches.parquet`, compressed as they come: a training set that copies a template of an eval has a
    line for each row and item, and they would not fit into memory as rows."""

    def __init__(self, index: EvalIndex) -> None:
        self.decisions: Counter[str] = Counter()
        self._index = index
        self._buffer = io.BytesIO()
        self._writer: pq.ParquetWriter | None = None
        self._rows: list[dict[str, Any]] = []

    def add(self, row: TrainingRow, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.decisions[finding.decision] += 1
            self._rows.append(match_row(row, finding, self._index))
        if len(self._rows) >= 20_000:
            self._flush()

    def _flush(self) -> pq.ParquetWriter:
        writer = self._writer = self._writer or pq.ParquetWriter(self._buffer, MATCHES_SCHEMA, compression="zstd")
        writer.write_table(pa.Table.from_pylist(self._rows, schema=MATCHES_SCHEMA))
        self._rows = []
        return writer

    def _bytes(self) -> bytes:
        self._flush().close()
        return self._buffer.getvalue()

    def write_file(self, path: Path) -> None:
        path.write_bytes(self._bytes())

    def write(self, out: ArtifactWriter) -> None:
        out.write_bytes(MATCHES, self._bytes())
        out.facts["matches"] = {name: self.decisions[name] for name in DECISIONS}


def merge_evidence(files: list[str], out: ArtifactWriter) -> None:
    """One `matches.parquet` of those of all shards, in their order. Facts: matches by decision, and by decision and rule."""
    buffer, decisions, rules = io.BytesIO(), Counter[str](), Counter[tuple[str, str]]()
    with pq.ParquetWriter(buffer, MATCHES_SCHEMA, compression="zstd") as writer:
        for file in files:
            for batch in read_batches(file):
                own = batch.column("decision").to_pylist()
                decisions.update(own)
                rules.update(zip(own, batch.column("rule").to_pylist(), strict=True))
                writer.write_batch(batch)
    out.write_bytes(MATCHES, buffer.getvalue())
    out.facts["matches"] = {name: decisions[name] for name in DECISIONS}
    out.facts["rules"] = [{"decision": decision, "rule": rule, "matches": number} for (decision, rule), number in sorted(
        rules.items(), key=lambda line: (DECISIONS.index(line[0][0]), -line[1], line[0][1]))]
