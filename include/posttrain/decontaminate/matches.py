"""What becomes of a training row, and the evidence: one line a (row, eval item) in `matches.parquet`."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from posttrain.decontaminate.coverage import Match
from posttrain.decontaminate.index import EvalIndex
from posttrain.decontaminate.normalize import words
from posttrain.decontaminate.search import EvalSearch
from posttrain.recipe import Decontaminate
from posttrain.storage import ArtifactWriter, read_batches

Decision = Literal["remove", "review", "keep"]
DECISIONS: tuple[Decision, ...] = ("remove", "review", "keep")
MATCHES = "matches.parquet"

MATCHES_SCHEMA = pa.schema([
    ("row_id", pa.string()),
    ("source", pa.string()),
    ("turn", pa.int32()),
    ("eval", pa.string()),
    ("item_id", pa.string()),
    ("measure", pa.string()),
    ("score", pa.float64()),
    ("decision", pa.string()),
    ("matched_text", pa.string()),
    ("eval_text", pa.string()),
    ("rule", pa.string()),
    ("best_field", pa.string()),
    ("best_field_score", pa.float64()),
])
"""`turn` counts the conversation's messages from 0. `matched_text` is the covered words as the normaliser gives them,
` … ` where words are left out. A line with decision `keep` is an item of several texts of which one is covered and
the mean is not above the rule: reported, because a leaked question without its passage is worth knowing."""


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """What decontamination needs of a training row: its user turns, each with its place in the conversation."""

    id: str
    source: str
    turns: list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One training row against one eval item, with the decision of the rule."""

    match: Match
    turn: int
    eval: str
    item_id: str
    is_short: bool
    decision: Decision
    rule: str


def lowest_score(settings: Decontaminate) -> float:
    """The score above which a match matters to these settings."""
    return settings.threshold if settings.review_above is None else min(settings.threshold, settings.review_above)


def find_contamination(rows: list[TrainingRow], search: EvalSearch, settings: Decontaminate) -> list[list[Finding]]:
    """The findings of each row of a batch, in the order of turn and item; an empty list for a clean row."""
    owners = [(n, place) for n, row in enumerate(rows) for place, _ in row.turns]
    tokens = [words(text) for row in rows for _, text in row.turns]
    found: list[list[Finding]] = [[] for _ in rows]
    for match in search.score(tokens, lowest_score(settings)):
        row, place = owners[match.turn]
        found[row].append(_judge(match, place, search.index, settings))
    return found


def _judge(match: Match, turn: int, index: EvalIndex, settings: Decontaminate) -> Finding:
    n, band = index.ngram_size, settings.review_above
    is_short = all(len(index.words(text)) < n for text in index.texts(match.item))
    removed_by = "short item verbatim" if is_short else f"{n}-gram coverage > {settings.threshold:g}"
    decision: Decision = "keep"
    rule = f"{settings.preset}: {n}-gram coverage, mean of {len(match.scores)} texts, not > {settings.threshold:g}"
    if match.score > settings.threshold:
        decision, rule = "remove", f"{settings.preset}: {removed_by}"
    elif band is not None and match.score > band:
        decision, rule = "review", f"review band: {n}-gram coverage > {band:g} (not part of {settings.preset})"
    name_of_eval = index.eval_names[index.eval_of_item[match.item]]
    return Finding(match, turn, name_of_eval, index.item_id[match.item].as_py(), is_short, decision, rule)


def decide(findings: list[Finding]) -> Decision:
    """What becomes of the row: the hardest decision of its findings."""
    decisions = {finding.decision for finding in findings}
    return "remove" if "remove" in decisions else "review" if "review" in decisions else "keep"


def removal_reason(findings: list[Finding]) -> str:
    """The key of `schema.REASONS` for a row that is removed."""
    return "short_item_copied" if all(f.is_short for f in findings if f.decision == "remove") else "contaminated"


def strongest(findings: list[Finding]) -> Finding:
    return max(findings, key=lambda finding: finding.match.score)


def describe(finding: Finding) -> str:
    return f"{finding.eval} {finding.item_id}: score {finding.match.score:.3g} in turn {finding.turn} ({finding.rule})"


def match_row(row: TrainingRow, finding: Finding, index: EvalIndex) -> dict[str, Any]:
    """The line of `matches.parquet`."""
    texts = [index.text[text].as_py() for text in index.texts(finding.match.item)]
    best = finding.match.scores.index(finding.match.best)
    return {
        "row_id": row.id, "source": row.source, "turn": finding.turn, "eval": finding.eval, "item_id": finding.item_id,
        "measure": "short_item" if finding.is_short else "ngram_coverage", "score": finding.match.score,
        "decision": finding.decision,
        "matched_text": "\n".join(
            covered_text(text, places) for text, places in zip(texts, finding.match.covered, strict=True) if places),
        "eval_text": "\n".join(texts), "rule": finding.rule,
        "best_field": index.field[index.texts(finding.match.item)[best]].as_py(), "best_field_score": finding.match.best,
    }


def covered_text(text: str, places: tuple[int, ...]) -> str:
    """The covered words of a text: "the cat sat … on the mat"."""
    tokens = words(text)
    runs = groupby(enumerate(places), key=lambda pair: pair[1] - pair[0])
    return " … ".join(" ".join(tokens[place] for _, place in run) for _, run in runs)


class Evidence:
    """The lines of `matches.parquet`, compressed as they come: a training set that copies a template of an eval has a
    line for each row and item, and they would not fit into memory as rows."""

    def __init__(self, index: EvalIndex) -> None:
        self.decisions: Counter[str] = Counter()
        self._index = index
        self._buffer = io.BytesIO()
        self._writer = pq.ParquetWriter(self._buffer, MATCHES_SCHEMA, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def add(self, row: TrainingRow, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.decisions[finding.decision] += 1
            self._rows.append(match_row(row, finding, self._index))
        if len(self._rows) >= 20_000:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=MATCHES_SCHEMA))
        self._rows = []

    def write(self, out: ArtifactWriter) -> None:
        self._flush()
        self._writer.close()
        out.write_bytes(MATCHES, self._buffer.getvalue())
        out.facts["matches"] = {name: self.decisions[name] for name in DECISIONS}


def merge_evidence(files: list[str], out: ArtifactWriter) -> None:
    """One `matches.parquet` of those of all shards, in their order."""
    buffer, decisions = io.BytesIO(), Counter[str]()
    with pq.ParquetWriter(buffer, MATCHES_SCHEMA, compression="zstd") as writer:
        for file in files:
            for batch in read_batches(file):
                decisions.update(batch.column("decision").to_pylist())
                writer.write_batch(batch)
    out.write_bytes(MATCHES, buffer.getvalue())
    out.facts["matches"] = {name: decisions[name] for name in DECISIONS}
