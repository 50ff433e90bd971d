"""Contamination as a page shows it: by which rule, what it found where, what became of it, and examples side by side."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import pyarrow.parquet as pq

from posttrain.decontaminate.matches import MATCHES
from posttrain.decontaminate.presets import PRESETS
from posttrain.decontaminate.templates import RepeatedWording, repeated_wordings
from posttrain.filters.personal import MASKS, mask_text
from posttrain.recipe import Decontaminate
from posttrain.report.svg import FALLEN, box, drawing, label
from posttrain.schema import REASONS
from posttrain.storage import Manifest, open_parquet

WORDINGS = 20
PAIRS = 40
"""Examples on the page: the first of every eval set, source and decision, then the second ones, as far as there is room."""


def contamination_view(manifest: Manifest, review: Manifest | None = None) -> dict[str, Any]:
    """What contamination.html.j2 shows of a decontaminate artifact, and of the review of its band where there is one."""
    settings, facts = Decontaminate.model_validate(manifest.settings), manifest.facts
    preset, cells = PRESETS[settings.preset], facts["contamination"]
    hit = [cell for cell in cells if cell["contaminated"]]
    return {
        "settings": settings, "preset": preset, "source_of_preset": preset.source, "sign": preset.sign,
        "cut_offs": _cut_offs(settings), "outcome": facts.get("outcome", {}), "dry_run": facts.get("dry_run", False),
        "cells": sorted(hit, key=lambda cell: (-cell["share"], cell["eval"], cell["source"])),
        "heat": heat_map(hit, settings.dataset_threshold) if hit else "",
        "evals": len({cell["eval"] for cell in cells}), "clean_evals": sorted(
            {cell["eval"] for cell in cells} - {cell["eval"] for cell in hit}),
        "sources": len({cell["source"] for cell in cells}),
        "over": sorted({cell["source"] for cell in hit if cell["over_limit"]}),
        "reasons": [(reason, rows, REASONS.get(reason, "")) for reason, rows in sorted(
            manifest.reasons.items(), key=lambda line: (-line[1], line[0]))],
        "wordings": _wordings(manifest), "rules": facts.get("rules", []), "matches": facts.get("matches", {}),
        "pairs": [_pair(example) for example in _chosen(facts.get("examples", []))],
        "review": sorted(review.facts.get("decisions", {}).items(), key=lambda line: (-line[1], line[0])) if review else None,
        "unattended": review.facts.get("unattended") if review else None,
        "decided_by": sorted(review.facts.get("decided_by", {}).items()) if review else [],
    }


def _cut_offs(settings: Decontaminate) -> list[dict[str, Any]]:
    """A line per measure, and per eval set that has its own."""
    lines = [{"eval": "all", "measure": measure, **own.model_dump()} for measure, own in settings.cut_offs.items()]
    return lines + [{"eval": name, "measure": measure, **own.model_dump()}
                    for name, changed in settings.evals.items() for measure, own in changed.items()]


def _wordings(manifest: Manifest) -> list[RepeatedWording]:
    """The wordings of eval items that many rows share, the most frequent first."""
    if not any(entry.name == MATCHES for entry in manifest.files):
        return []
    columns = ["row_id", "source", "eval", "item_id", "matched_text", "decision"]
    with open_parquet(manifest.file(MATCHES)) as f:
        lines = (line for batch in pq.ParquetFile(f).iter_batches(columns=columns) for line in batch.to_pylist())
        return repeated_wordings(lines)[:WORDINGS]


def _chosen(examples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As many as there is room for, removals first and then the band, no cell twice before every cell had its turn."""
    cells: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    order = {"remove": 0, "review": 1, "keep": 2}
    for example in sorted(examples, key=lambda e: (order[e["decision"]], e["eval"], e["source"])):
        cells.setdefault((example["decision"], example["eval"], example["source"]), []).append(example)
    rounds = zip_longest(*cells.values())
    taken = [example for found in rounds for example in found if example][:PAIRS]
    return sorted(taken, key=lambda e: (order[e["decision"]], e["eval"], e["source"], e["rank"]))


def _pair(example: dict[str, Any]) -> dict[str, Any]:
    """Personal data is masked in what is shown."""
    return example | {"train": _masked(example["train"]),
                      "fields": [field | {"pieces": _masked(field["pieces"])} for field in example["fields"]]}


def _masked(pieces: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    return [(mask_text(text, tuple(MASKS)), mark) for text, mark in pieces]


def heat_map(cells: list[dict[str, Any]], limit: float) -> str:
    """eval sets × sources: how many items of the eval a source holds; the redder, the larger their share of the eval.

    A cell over the limit of the data-set rule has a frame.
    """
    evals, sources = sorted({c["eval"] for c in cells}), sorted({c["source"] for c in cells})
    left, top, wide, high = 230, 150, 46, 20
    parts = []
    for n, name in enumerate(sources):
        x = left + n * wide + wide / 2
        parts.append(f'<g transform="translate({x:.0f} {top - 8}) rotate(-45)">{label(0, 0, _short(name, 26))}</g>')
    for n, name in enumerate(evals):
        parts.append(label(left - 8, top + n * high + 14, _short(name, 34), anchor="end"))
    for cell in cells:
        x, y = left + sources.index(cell["source"]) * wide, top + evals.index(cell["eval"]) * high
        line = (f"{cell['source']} holds {cell['contaminated']:,} of {cell['items']:,} items of {cell['eval']} "
                f"({cell['share']:.2%}{', over the limit' if cell['over_limit'] else ''})")
        parts.append(box(x + 1, y + 1, wide - 2, high - 2, _red(cell["share"]), line))
        if cell["over_limit"]:
            parts.append(f'<rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{wide - 2}" height="{high - 2}" fill="none" '
                         f'stroke="{FALLEN}" stroke-width="2"/>')
        parts.append(label(x + wide / 2, y + 14, f"{cell['contaminated']:,}", size=10, anchor="middle"))
    return drawing(left + len(sources) * wide + 110, top + len(evals) * high + 10, parts + _legend(limit, left),
                   "contaminated items per eval set and source")


def _legend(limit: float, left: float) -> list[str]:
    """The colours from 0 to 100 %, with the line of the data-set rule."""
    parts = [label(8, 14, "share of the eval's items", size=10)]
    steps = (0.0, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
    for n, (low, share) in enumerate(zip(steps, steps[1:], strict=False)):
        parts += [box(8 + 26 * n, 20, 26, 12, _red(share), f"{low:.0%} to {share:.0%}"),
                  label(8 + 26 * n + 26, 43, f"{share:.0%}", size=8, anchor="end")]
    if limit in steps:
        x = 8 + 26 * steps.index(limit)
        parts.append(f'<line x1="{x}" y1="16" x2="{x}" y2="36" stroke="{FALLEN}" stroke-width="2"/>')
    parts.append(f'<rect x="8" y="54" width="12" height="12" fill="none" stroke="{FALLEN}" stroke-width="2"/>')
    parts.append(label(26, 64, f"over the limit of {limit:.3g} (data-set rule)" if limit < 0.001 else
                       f"over the limit of {100 * limit:.3g} % (data-set rule)", size=10))
    return parts


def _red(share: float) -> str:
    """White at 0, red at 1; small shares differ most, since the limit is one."""
    depth = min(1.0, share) ** 0.4
    return "#{:02x}{:02x}{:02x}".format(*(round(255 + (part - 255) * depth) for part in (0xE8, 0x6A, 0x4A)))


def _short(name: str, size: int) -> str:
    return name if len(name) <= size else name[: size - 1] + "…"
