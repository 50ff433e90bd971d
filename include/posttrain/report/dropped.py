"""What the filter's rules dropped, masked or reported, and what other stages rejected, each with examples to judge it by."""

from __future__ import annotations

import hashlib
import heapq
import json
from typing import Any

import pyarrow.parquet as pq

from posttrain.filters.counts import EXAMPLES, SHOWN, TURNS_SHOWN
from posttrain.filters.personal import MASKS, mask_text
from posttrain.report.mixture import Mixture
from posttrain.schema import REASONS
from posttrain.storage import Manifest, open_parquet

STAGES = ("collect", "convert", "improve", "synthesize", "decontaminate", "review")
"""Stages whose rejected rows are shown beside the filter's; what `mix` leaves over is in the flow and is no verdict on a row."""


def rules_view(mixture: Mixture) -> list[dict[str, Any]]:
    """A line per rule that spoke, those that drop first: {rule, action, reason, meaning, rows, sources, examples}.

    Empty for a filter artifact without `rule_details`, as older ones are.
    """
    lines = []
    for manifest in mixture.of("filter"):
        for rule, found in manifest.facts.get("rule_details", {}).items():
            lines.append({"rule": rule, "meaning": REASONS.get(found["reason"], ""), **found})
    return sorted(lines, key=lambda line: (line["action"] != "drop", -line["rows"], line["rule"]))


def silent_rules(mixture: Mixture) -> list[str]:
    """Rules that were on and spoke against no row."""
    spoke = {line["rule"] for line in rules_view(mixture)}
    return [rule for manifest in mixture.of("filter") for rule in manifest.facts.get("rules", {}) if rule not in spoke]


def rejected_view(mixture: Mixture) -> list[dict[str, Any]]:
    """A line per stage and reason of STAGES: {stage, reason, meaning, rows, examples}; `rows` is the manifests' sum."""
    lines = []
    for stage in STAGES:
        manifests = mixture.of(stage)
        reasons: dict[str, int] = {}
        for manifest in manifests:
            for reason, rows in manifest.reasons.items():
                reasons[reason] = reasons.get(reason, 0) + rows
        examples = _examples(manifests) if reasons else {}
        lines += [{"stage": stage, "reason": reason, "meaning": REASONS.get(reason, ""), "rows": rows,
                   "examples": examples.get(reason, [])} for reason, rows in sorted(reasons.items(), key=lambda r: -r[1])]
    return lines


def _examples(manifests: list[Manifest]) -> dict[str, list[dict[str, Any]]]:
    """Ten rejected rows a reason: those whose hashed ids are least. One batch of rows is held at a time."""
    kept: dict[str, list[tuple[int, int, dict[str, Any]]]] = {}
    number = 0
    for manifest in manifests:
        for entry in manifest.files:
            if not entry.is_rejected:
                continue
            with open_parquet(manifest.file(entry.name)) as f:
                for batch in pq.ParquetFile(f).iter_batches(batch_size=2048):
                    ids, sources, reasons = (batch[name].to_pylist() for name in ("id", "source", "reason"))
                    places = zip(ids, sources, reasons, _or_none(batch, "raw_file"), _or_none(batch, "raw_row"), strict=True)
                    for n, (row_id, source, reason, file, row) in enumerate(places):
                        number += 1
                        key = f"{source}\0{row_id}\0{file}\0{row}".encode("utf-8", "surrogatepass")
                        rank = -int.from_bytes(hashlib.blake2b(key, digest_size=8).digest())
                        heap = kept.setdefault(reason, [])
                        if len(heap) < EXAMPLES:
                            heapq.heappush(heap, (rank, number, shown_row(batch.slice(n, 1).to_pylist()[0])))
                        elif rank > heap[0][0]:
                            heapq.heapreplace(heap, (rank, number, shown_row(batch.slice(n, 1).to_pylist()[0])))
    return {reason: [shown for _, _, shown in sorted(heap, key=lambda e: -e[0])] for reason, heap in kept.items()}


def _or_none(batch: Any, name: str) -> list[Any]:
    return batch[name].to_pylist() if name in batch.schema.names else [None] * len(batch)


def shown_row(row: dict[str, Any]) -> dict[str, Any]:
    """A rejected row as the report shows it: {id, source, detail, turns}, cut, personal data masked."""
    file, number = row.get("raw_file"), row.get("raw_row")
    place = f"{file} row {number}" if file is not None else ""
    detail = ", ".join(filter(None, [f"field {row['field']!r}" if row.get("field") else "", row.get("detail") or "", place]))
    return {"id": row.get("id") or "", "source": row.get("source") or "", "detail": _masked(detail),
            "turns": turns_of(row.get("row"))}


def turns_of(body: str | None) -> list[str]:
    """The beginning of the first turns of a row's JSON; of raw rows in any other form, the beginning of the text."""
    try:
        row = json.loads(body or "")
    except (ValueError, RecursionError):
        row = None
    return (turns_of_row(row) if isinstance(row, dict) else []) or [_masked(body or "", 2 * SHOWN)]


def turns_of_row(row: dict[str, Any]) -> list[str]:
    """The same of a row; empty where it holds no turns."""
    messages = row.get("messages") or row.get("chosen") or row.get("rejected")
    if not isinstance(messages, list) or not all(isinstance(m, dict) and "role" in m for m in messages):
        return []
    return [f"{m['role']}: {_masked(str(m.get('content') or ''))}" for m in messages[:TURNS_SHOWN]]


def _masked(text: str, size: int = SHOWN) -> str:
    return mask_text(text[: 5 * size], tuple(MASKS))[:size]
