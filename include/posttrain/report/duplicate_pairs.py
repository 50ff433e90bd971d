"""Duplicates: how many, how large their clusters are, between which sources, and near and semantic ones side by side."""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from posttrain.report import svg
from posttrain.report.dropped import turns_of, turns_of_row
from posttrain.report.mixture import Mixture
from posttrain.storage import Manifest, exists, open_parquet, read_table
from posttrain.text_numbers import numbers

CLUSTERS, SPARED = "clusters.parquet", "spared.parquet"
PAIRS = 6
"""Near duplicates that are shown, from the least alike to the most alike; and so many semantic ones, and spared ones."""
SIZES = (2, 3, 4, 5, 6, 11, 51)
SOURCES = 20
"""Pairs of sources that are listed."""


def duplicates_view(mixture: Mixture) -> dict[str, Any] | None:
    """None where there is neither a clusters file nor a count, as in older artifacts."""
    manifest = next((m for m in [*mixture.of("deduplicate"), *mixture.of("filter")]
                     if "duplicates" in m.facts or exists(m.file(CLUSTERS))), None)
    if manifest is None:
        return None
    view: dict[str, Any] = {"facts": manifest.facts.get("duplicates", {}), "clusters": 0, "rows": 0, "pairs": [], "sources": [],
                            "picture": None, "largest": 0, "shown_of": 0, "semantic": None, "spared": None}
    names = {entry.name for entry in manifest.files if entry.bytes}
    if SPARED in names:
        spared = read_table(manifest.file(SPARED)).sort_by([("cosine", "ascending"), ("id", "ascending")])
        view["spared"] = {"of": len(spared), "pairs": _pairs(manifest, _spread(spared), fell=None)}
    if CLUSTERS not in names:
        return view
    table = read_table(manifest.file(CLUSTERS))
    sizes = pc.value_counts(table["cluster"].combine_chunks()).field("counts").to_numpy(zero_copy_only=False)
    if not len(sizes):
        return view
    counts = np.bincount(np.searchsorted(np.array(SIZES), sizes, side="right") - 1, minlength=len(SIZES)).tolist()
    edges = [str(a) if b == a + 1 else f"{a}–{b - 1}" if b else f"{a}+" for a, b in zip(SIZES, [*SIZES[1:], 0], strict=True)]
    near = _fallen(table, "near_duplicate", "jaccard")
    if "cosine" in table.column_names:
        semantic = _fallen(table, "semantic_duplicate", "cosine")
        view["semantic"] = {"of": len(semantic), "pairs": _pairs(manifest, _spread(semantic), fell="semantic_duplicate")}
    return view | {
        "clusters": len(sizes), "rows": len(table), "largest": int(sizes.max()), "shown_of": len(near),
        "picture": svg.histogram(counts, edges, "Clusters by size", fill=svg.PALETTE[3]), "sources": _sources(table),
        "pairs": _pairs(manifest, _spread(near), fell="near_duplicate"),
    }


def _fallen(table: Any, reason: str, score: str) -> Any:
    return table.filter(pc.equal(table["reason"], reason)).sort_by([(score, "ascending"), ("id", "ascending")])


def _spread(table: Any) -> list[dict[str, Any]]:
    """Up to PAIRS rows from the first to the last one, evenly."""
    at = np.unique(np.linspace(0, len(table) - 1, min(PAIRS, len(table))).round().astype(np.int64))
    return table.take(at).to_pylist()


def _sources(table: Any) -> list[tuple[str, str, int]]:
    """(source of the dropped row, source of the kept row that stands for it, rows), the most frequent first."""
    kept = table.filter(pc.is_null(table["reason"])).select(["cluster", "id", "source"])
    kept = kept.rename_columns(["cluster", "kept_id", "keeper"])
    fallen = table.filter(pc.is_valid(table["reason"])).select(["cluster", "kept_id", "source"])
    joined = fallen.join(kept, ["cluster", "kept_id"], join_type="left outer")
    counts = joined.group_by(["source", "keeper"]).aggregate([([], "count_all")]).to_pylist()
    found = [(row["source"], row["keeper"] or "", row["count_all"]) for row in counts]
    return sorted(found, key=lambda pair: (-pair[2], pair[0], pair[1]))[:SOURCES]


def _pairs(manifest: Manifest, members: list[dict[str, Any]], *, fell: str | None) -> list[dict[str, Any]]:
    """The texts of rows and of the kept rows that they are near to, with what differs marked. `fell`: the reason for which the
    former were dropped; None where they are kept as well.
    """
    own = _find(manifest, {m["id"] for m in members}, fell)
    kept = _find(manifest, {m["kept_id"] for m in members}, None)
    return [{
        "jaccard": m.get("jaccard"), "cosine": m.get("cosine"), "source": m["source"], "id": m["id"], "kept_id": m["kept_id"],
        "dropped": marked(own[m["id"]], kept[m["kept_id"]]), "kept": marked(kept[m["kept_id"]], own[m["id"]]),
        "other_numbers": _numbers_of(own[m["id"]]) != _numbers_of(kept[m["kept_id"]]),
    } for m in members if m["id"] in own and m["kept_id"] in kept]


def _numbers_of(turns: str) -> list[float]:
    return sorted(set(numbers(turns)))


def _find(manifest: Manifest, ids: set[str], fell: str | None) -> dict[str, str]:
    """id → the beginning of the row's turns, among the rows dropped for that reason, or the kept ones where there is none. Ids
    are read from all files, bodies only from batches that hold one of them.
    """
    rejected = fell is not None
    found: dict[str, str] = {}
    for entry in manifest.files:
        if entry.is_rejected != rejected or not (rejected or entry.split) or not ids - found.keys():
            continue
        with open_parquet(manifest.file(entry.name)) as f:
            file = pq.ParquetFile(f)
            names = file.read(columns=["id"])["id"].to_pylist()
            wanted = [n for n, name in enumerate(names) if name in ids and name not in found]
            start = 0
            for batch in file.iter_batches(batch_size=1024) if wanted else ():
                for n in (n for n in wanted if start <= n < start + len(batch)):
                    row = batch.slice(n - start, 1).to_pylist()[0]
                    if not rejected or row["reason"] == fell:
                        found[names[n]] = "\n".join(turns_of(row["row"]) if rejected else turns_of_row(row))
                start += len(batch)
                if start > wanted[-1]:
                    break
    return found


def marked(text: str, other: str) -> list[tuple[str, bool]]:
    """`text` in pieces: (words, whether the other text lacks them)."""
    words, others = text.split(" "), other.split(" ")
    pieces: list[tuple[str, bool]] = []
    for kind, start, end, _, _ in difflib.SequenceMatcher(None, words, others, autojunk=False).get_opcodes():
        if end > start:
            pieces.append((" ".join(words[start:end]), kind != "equal"))
    return pieces
