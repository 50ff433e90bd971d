"""The data-set rule: how many instances of each eval one source of training rows contaminates."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

from posttrain.decontaminate.index import EvalIndex
from posttrain.decontaminate.matches import Finding
from posttrain.decontaminate.presets import Preset
from posttrain.storage import ArtifactWriter


@dataclass
class ContaminationTable:
    """eval × source: the eval items whose best score over the source's turns is above the rule (never a union of turns).

    The data-set rule: more than 2 % of an eval's instances, strictly (Tülu 3 paper, section 3.2), or at least 2 % (`seed`).
    """

    index: EvalIndex
    dataset_threshold: float
    preset: Preset
    items: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    removed_rows: dict[tuple[str, str], set[Hashable]] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)

    def count(self, source: str, row: Hashable, findings: Iterable[Finding]) -> None:
        """Count one training row with its findings. `row` names it; a row that is counted twice under one name is one row."""
        self.sources.add(source)
        hits = [finding for finding in findings if finding.decision == "remove"]
        for finding in hits:
            self.items.setdefault((finding.eval, source), set()).add(finding.match.item)
        for name in {finding.eval for finding in hits}:
            self.removed_rows.setdefault((name, source), set()).add(row)

    def state(self) -> dict[str, Any]:
        """All of it as JSON, for another process or a later run."""
        return {
            "sources": sorted(self.sources),
            "items": [[*cell, sorted(items)] for cell, items in sorted(self.items.items())],
            "removed_rows": [[*cell, sorted(rows, key=repr)] for cell, rows in sorted(self.removed_rows.items())],
        }

    def merge(self, state: dict[str, Any]) -> None:
        """Add what another process counted over the same index."""
        self.sources.update(state["sources"])
        for name, source, items in state["items"]:
            self.items.setdefault((name, source), set()).update(items)
        for name, source, rows in state["removed_rows"]:
            self.removed_rows.setdefault((name, source), set()).update(
                tuple(row) if isinstance(row, list) else row for row in rows)

    def rows(self) -> list[dict[str, Any]]:
        """One row a cell, evals in recipe order, sources by name; cells without contamination included."""
        sizes = {name: self.index.items_of(name) for name in self.index.eval_names}
        return [self._cell(name, source, sizes[name]) for name in self.index.eval_names for source in sorted(self.sources)]

    def _cell(self, name: str, source: str, items: int) -> dict[str, Any]:
        hit = len(self.items.get((name, source), ()))
        share = hit / items if items else 0.0
        return {"eval": name, "source": source, "items": items, "contaminated": hit, "share": round(share, 6),
                "removed_rows": len(self.removed_rows.get((name, source), ())),
                "over_limit": self.preset.reaches(share, self.dataset_threshold)}

    def overlapping_sources(self) -> dict[str, list[str]]:
        """Source → the evals that it overlaps by more than the data-set rule allows."""
        found: dict[str, list[str]] = {}
        for row in self.rows():
            if row["over_limit"]:
                found.setdefault(row["source"], []).append(row["eval"])
        return found

    def tsv(self) -> bytes:
        rows = self.rows()
        columns = ("eval", "source", "items", "contaminated", "share", "removed_rows", "over_limit")
        lines = ["\t".join(columns)] + ["\t".join(_cell_text(row[column]) for column in columns) for row in rows]
        return ("\n".join(lines) + "\n").encode()


def write_table(table: ContaminationTable, out: ArtifactWriter) -> None:
    """`contamination.tsv`, and the same as facts for the report."""
    out.write_bytes("contamination.tsv", table.tsv())
    out.facts["contamination"] = table.rows()
    out.facts["ngram_size"] = table.index.ngram_size


def _cell_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
