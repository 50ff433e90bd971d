"""The plan of a mixture before anything runs: rows by source and category against what is available.

What is available is taken from the workspace as far as a run has got with the same source: its clean rows, else its converted
ones, else its raw rows; else the size of a procedural source, or the published size of the pool (`pool` beside the amount); else
it is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow.compute as pc

from posttrain.licence_terms import allowed_terms, refused_terms
from posttrain.mix import SPLITS
from posttrain.mix.choice import rows_wanted, temperature_rows
from posttrain.mix.pool import parts_of
from posttrain.recipe import Amount, Recipe, Source
from posttrain.run import Run, readable_runs
from posttrain.storage import Manifest, StorageError, read_table

DECIDE_CLEAN_ROWS = ("sources", "evals", "filter", "improve", "synthesize", "decontaminate", "review")
"""Sections of a recipe that decide which rows reach the mixture: a run with the same ones knows what there is."""


@dataclass(frozen=True)
class Available:
    """Rows of a source by kind; raw rows and pools, whose kind nobody knows yet, count for every kind under ""."""

    known_from: str
    rows: dict[str, int]

    def of(self, kinds: tuple[str, ...]) -> int:
        """The rows that a split of these kinds can take. A prompt that stands in an SFT and in an RLVR row is one prompt, so
        that of two kinds the more frequent one counts."""
        return self.rows[""] if "" in self.rows else max(self.rows.get(kind, 0) for kind in kinds)


@dataclass(frozen=True)
class PlanLine:
    """What one amount will take. `planned` and `available` are None where they are not known."""

    split: str
    source: str
    category: str
    asked: str
    planned: int | None
    available: int | None
    known_from: str
    warning: str = ""


@dataclass(frozen=True)
class CategoryLine:
    """The rows of a category in a split, all sources together; `quota` caps them."""

    split: str
    category: str
    planned: int
    available: int | None
    quota: int | None


@dataclass
class Plan:
    recipe: str
    lines: list[PlanLine]
    categories: list[CategoryLine]
    totals: dict[str, int] = field(default_factory=dict)
    """Rows a split, after the quotas; amounts of unknown size are left out."""
    notes: list[str] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        return [f"{line.split}: {line.source}: {line.warning}" for line in self.lines if line.warning]

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"warnings": self.warnings}


def make_plan(recipe: Recipe, workspace: str) -> Plan:
    """The plan of the recipe's mixture with what the workspace knows. Nothing is run and nothing is written."""
    found = available_rows(recipe, workspace)
    lines = [line for split in SPLITS for line in _split_lines(recipe, split, found)]
    categories = list(_categories(recipe, lines))
    totals = {split: sum(line.planned for line in categories if line.split == split) for split in SPLITS
              if any(line.split == split for line in lines)}
    notes = []
    if recipe.mix.language_quotas:
        notes.append("language quotas are not in these numbers: " + ", ".join(
            f"at most {rows:,} rows in {language}" for language, rows in sorted(recipe.mix.language_quotas.items())))
    if any(amount.prompts != "any" for amount in recipe.mix.preference_prompts):
        notes.append("reused and unused prompts are a part of what is available, which is known when SFT is mixed")
    if recipe.mix.disjoint:
        notes.append(f"prompts are kept apart in the order {', '.join(recipe.mix.disjoint)}: a later split may find fewer rows")
    return Plan(recipe.name, lines, categories, totals, notes)


# ---------------------------------------------------------------- lines


def _split_lines(recipe: Recipe, split: str, found: dict[str, Available]) -> Iterator[PlanLine]:
    for amount in getattr(recipe.mix, split):
        yield _line(recipe, split, amount, found)
    drawn = recipe.mix.temperature.get(split)  # type: ignore[call-overload]
    if drawn is None:
        return
    sizes = {source: _size(recipe, split, Amount(source=source, count=0), found) for source in drawn.sources}
    known = {source: size.of(SPLITS[split]) for source, size in sizes.items() if size is not None}
    rows = temperature_rows(known, drawn) if len(known) == len(sizes) else {}
    asked = f"temperature {drawn.temperature:g} of {drawn.total:,}"
    for source in drawn.sources:
        size = sizes[source]
        planned, available = rows.get(source), known.get(source)
        warning = _refused(recipe, source) or (_warning(planned or 0, available, size) if rows else
                                               "no share can be told before every source is known")
        yield PlanLine(split, source, _category(recipe, source), asked, planned, available,
                       size.known_from if size else "unknown", warning)


def _line(recipe: Recipe, split: str, amount: Amount, found: dict[str, Available]) -> PlanLine:
    size = _size(recipe, split, amount, found)
    available = size.of(SPLITS[split]) if size else None
    asked = f"{amount.count:,} rows" if amount.count is not None else f"× {amount.proportion:g}"
    asked += f", at most {amount.at_most:,}" if amount.at_most is not None else ""
    asked += f", {amount.prompts} prompts" if amount.prompts != "any" else ""
    planned = amount.count if available is None else rows_wanted(amount, available) if available else 0
    refused = _refused(recipe, amount.source)
    warning = refused or _warning(planned if available else amount.count or 0, available, size)
    return PlanLine(split, amount.source, _category(recipe, amount.source), asked, planned, available,
                    size.known_from if size else "unknown", warning)


def _warning(wanted: int, available: int | None, size: Available | None) -> str:
    if available is None:
        return ""
    if available == 0:
        return f"no row is available ({size.known_from if size else 'unknown'})" if wanted else ""
    if wanted > available:
        return f"{wanted:,} rows of {available:,}: {wanted - available:,} are repeats (× {wanted / available:.4g})"
    return ""


def _size(recipe: Recipe, split: str, amount: Amount, found: dict[str, Available]) -> Available | None:
    """What is known of a source: nothing of it is available where its licence is not allowed."""
    if _refused(recipe, amount.source):
        return Available("licence", {"": 0})
    if amount.source in found:
        return found[amount.source]
    spec = _spec(recipe, amount.source)
    if spec and spec.load.kind == "procedural":
        return Available("recipe", {"": spec.load.rows})
    return Available("published pool", {"": amount.pool}) if amount.pool is not None else None


def _refused(recipe: Recipe, source: str) -> str:
    """Which terms of the source's licence the recipe does not allow, or ""."""
    spec = _spec(recipe, source)
    if spec is None:
        return ""
    refused = refused_terms(spec.license, non_commercial=spec.non_commercial, allowed=allowed_terms(recipe.mix))
    closed = ", ".join(f"mix.allow_{term} is false" for term in refused)
    return f"licence {spec.license!r} is not allowed: {closed}" if refused else ""


def _spec(recipe: Recipe, source: str) -> Source | None:
    return next((spec for spec in recipe.sources if spec.name == source), None)


def _category(recipe: Recipe, source: str) -> str:
    spec = _spec(recipe, source)
    return spec.category if spec else "made by the run"


def _categories(recipe: Recipe, lines: list[PlanLine]) -> Iterator[CategoryLine]:
    for split in SPLITS:
        own = [line for line in lines if line.split == split]
        for category in dict.fromkeys(line.category for line in own):
            of_category = [line for line in own if line.category == category]
            quota = recipe.mix.quotas.get(category) if split in recipe.mix.quota_splits else None  # type: ignore[call-overload]
            planned = sum(line.planned or 0 for line in of_category)
            sizes = {line.source: line.available for line in of_category}
            available = None if None in sizes.values() else sum(size or 0 for size in sizes.values())
            yield CategoryLine(split, category, planned if quota is None else min(planned, quota), available, quota)


# ---------------------------------------------------------------- what the workspace knows


def available_rows(recipe: Recipe, workspace: str) -> dict[str, Available]:
    """Rows of every source that a run of the workspace has got, the newest run first and the latest stage first."""
    runs = list(readable_runs(workspace))
    clean = next((rows for run in runs if _same_data(run.recipe, recipe) and (rows := _clean_rows(run)) is not None), None)
    if clean is not None:
        return {source: clean.get(source, Available("clean rows", {"": 0})) for source in
                {*clean, *(spec.name for spec in recipe.sources)}}
    found: dict[str, Available] = {}
    for stage, name in (("convert", "converted rows"), ("collect", "raw rows")):
        for run in runs:
            for spec in recipe.sources:
                if spec.name not in found and spec in run.recipe.sources and (manifest := _manifest(run, stage, spec.name)):
                    found[spec.name] = Available(name, manifest.written if stage == "convert" else {"": manifest.rows["kept"]})
    return found


def _manifest(run: Run, stage: str, part: str = "") -> Manifest | None:
    try:
        return run.manifest(stage, part)
    except StorageError:
        return None


def _same_data(one: Recipe, other: Recipe) -> bool:
    return all(getattr(one, section) == getattr(other, section) for section in DECIDE_CLEAN_ROWS)


def _clean_rows(run: Run) -> dict[str, Available] | None:
    """Rows by source and kind that the run's mixture can take, or None where the run has not come so far."""
    manifests = [_manifest(run, "decontaminate"), _manifest(run, "review")]
    if None in manifests:
        return None
    counts: Counter[tuple[str, str]] = Counter()
    for part in parts_of([manifest for manifest in manifests if manifest is not None]):
        values = pc.value_counts(read_table(part.path, ["source"])["source"])
        counts.update({(value["values"], part.kind): value["counts"] for value in values.to_pylist()})
    return {source: Available("clean rows", {kind: rows for (name, kind), rows in counts.items() if name == source})
            for source in {source for source, _ in counts}}
