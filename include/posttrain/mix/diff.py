"""What changed between two mixtures, and why.

Rows are told apart by split, source and id; a row is *changed* where its text or labels differ (the place in the raw file does
not count). Why a row is in one mixture alone is found in the artifacts that the other one was made from: the stage that dropped
it and its reason, a source that is gone or new, a source whose raw data changed, a stage whose settings or code changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from posttrain.mix.chain import KEY, Chain
from posttrain.recipe import STAGES
from posttrain.run import load_run
from posttrain.storage import Manifest, exists, join, load_manifest

EXAMPLES = 5
"""Ids that are shown of the rows with one reason."""


@dataclass(frozen=True)
class Count:
    """Rows of one split, source and category in both mixtures."""

    split: str
    source: str
    category: str
    rows_a: int
    rows_b: int
    added: int
    removed: int
    changed: int


@dataclass(frozen=True)
class Reason:
    """Why rows were added (found in A), removed (found in B) or changed; a row that is repeated counts every time."""

    what: str
    source: str
    why: str
    rows: int
    examples: list[str]


@dataclass(frozen=True)
class Setting:
    """A setting, the code or the raw data of a stage, in A and in B; None where the stage is not there."""

    stage: str
    key: str
    a: Any
    b: Any


@dataclass
class Difference:
    a: str
    b: str
    counts: list[Count] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """No row was added, removed or changed."""
        return not any(count.added or count.removed or count.changed for count in self.counts)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"same": self.same}


def find_mixture(name: str, workspace: str) -> Manifest:
    """A mixture by the id of its run or by its folder. Raises StorageError with the runs that there are."""
    if exists(join(name, "manifest.json")) or name.endswith("manifest.json"):
        return load_manifest(name)
    return load_run(name, workspace).manifest("mix")


def compare_mixtures(a: Manifest, b: Manifest) -> Difference:
    """The difference from A to B: `added` rows are in B alone."""
    one, other = Chain(a), Chain(b)
    found = Difference(a.path, b.path, settings=list(_settings(one, other)))
    if a.content == b.content:
        found.counts = list(_counts(_joined(one.rows, one.rows)))
        return found
    rows = _joined(one.rows, other.rows)
    found.counts = list(_counts(rows))
    found.reasons = [*_reasons("added", rows, one, other), *_reasons("removed", rows, other, one), *_changes(rows, one, other)]
    return found


# ---------------------------------------------------------------- rows


def _joined(a: pa.Table, b: pa.Table) -> pa.Table:
    """KEY, category, rows_a, rows_b, added, removed, changed and B's digest of every row that is in A or in B."""
    both = a.rename_columns([*KEY, "category_a", "digest_a", "rows_a"]).join(
        b.rename_columns([*KEY, "category_b", "digest_b", "rows_b"]), keys=KEY, join_type="full outer").combine_chunks()
    rows_a, rows_b = pc.fill_null(both["rows_a"], 0), pc.fill_null(both["rows_b"], 0)
    differs = pc.fill_null(pc.not_equal(both["digest_a"], both["digest_b"]), False)
    zero = pa.scalar(0, pa.int64())
    return pa.table({
        **{name: both[name] for name in KEY}, "category": pc.coalesce(both["category_b"], both["category_a"]),
        "rows_a": rows_a, "rows_b": rows_b,
        "added": pc.max_element_wise(pc.subtract(rows_b, rows_a), zero),
        "removed": pc.max_element_wise(pc.subtract(rows_a, rows_b), zero),
        "changed": pc.if_else(differs, pc.min_element_wise(rows_a, rows_b), zero), "digest": both["digest_b"],
    }).sort_by([(name, "ascending") for name in KEY])


def _counts(rows: pa.Table) -> Iterator[Count]:
    by, sums = ["split", "source", "category"], ["rows_a", "rows_b", "added", "removed", "changed"]
    grouped = rows.group_by(by).aggregate([(name, "sum") for name in sums]).sort_by([(name, "ascending") for name in by])
    for row in grouped.to_pylist():
        yield Count(*(row[name] for name in by), *(row[f"{name}_sum"] for name in sums))


# ---------------------------------------------------------------- why


def _reasons(what: str, rows: pa.Table, absent: Chain, present: Chain) -> list[Reason]:
    """Why rows that `present` has are not (or not so often) in `absent`: what happened to them there."""
    # `added`: in B alone, so that A says why it had not the row. `removed`: in A alone, and B says why.
    where, counted = ("A", "rows_a") if what == "added" else ("B", "rows_b")
    some = rows.filter(pc.greater(rows[what], 0)).select(["source", "id", what, counted])
    looked_up = some.join(absent.dropped, keys=["source", "id"], join_type="left outer").sort_by(
        [("source", "ascending"), ("id", "ascending")])
    elsewhere = set(zip(absent.rows["source"].to_pylist(), absent.rows["id"].to_pylist(), strict=True))
    reasons = _Tally(what)
    for row in looked_up.to_pylist():
        name = (row["source"], row["id"])
        if row[counted]:
            why = f"repeated fewer times in {where}"
        elif row["why"]:
            why = f"{row['why']} in {where}"
        elif name in elsewhere:
            why = f"in another split of {where}"
        else:
            why = _source_reason(row["source"], where, absent, present)
        reasons.add(row["source"], why, row[what], row["id"])
    return reasons.lines()


def _source_reason(source: str, where: str, absent: Chain, present: Chain) -> str:
    """Why a source's row is not known at all."""
    if source not in absent.sources:
        return f"{where} has no source {source}"
    if absent.raw.get(source) != present.raw.get(source):
        return f"the source changed: {where} has no such row (sha256 {_short(absent.raw, source)}, {_short(present.raw, source)})"
    if absent.files != present.files:
        return f"the input files differ: {where} has no such row"
    return _stage_reason(source, absent, present) or f"unexplained: {where} does not know the row"


def _stage_reason(source: str, one: Chain, other: Chain) -> str:
    """The first stage on the way of the source's rows that works differently, or ""."""
    stages, others = one.stages(), other.stages()
    for stage in STAGES:
        for part in ("", source):
            mine, theirs = stages.get((stage, part)), others.get((stage, part))
            if mine and theirs and (mine.code != theirs.code or mine.settings != theirs.settings) and (
                    part or source in mine.by_source or source in theirs.by_source):
                return f"the settings of {stage} differ" if mine.settings != theirs.settings else f"the code of {stage} differs"
    made = [stage for stage in ("improve", "synthesize") if (own := stages.get((stage, ""))) and source in own.by_source]
    changed = [stage for stage in made if (stage, "") in others and stages[stage, ""].content != others[stage, ""].content]
    return f"{changed[0]} worked on other rows" if changed else ""


def _changes(rows: pa.Table, one: Chain, other: Chain) -> list[Reason]:
    tally = _Tally("changed")
    changed = rows.filter(pc.greater(rows["changed"], 0)).select(["source", "id", "changed", "digest"])
    before = one.rows.filter(pc.is_in(one.rows["digest_min"], value_set=changed["digest"].combine_chunks()))
    texts = set(zip(before["source"].to_pylist(), before["digest_min"].to_pylist(), strict=True))
    for row in changed.to_pylist():
        source = row["source"]
        moved = ": the row moved, A has its text under another id" if (source, row["digest"]) in texts else ""
        if one.raw.get(source) != other.raw.get(source):
            why = f"the source changed (sha256 {_short(one.raw, source)}, {_short(other.raw, source)}){moved}"
        elif one.files != other.files:
            why = f"the input files differ{moved}"
        else:
            why = _stage_reason(source, one, other) or "unexplained: same source, settings and code"
        tally.add(source, why, row["changed"], row["id"])
    return tally.lines()


def _short(raw: dict[str, str], source: str) -> str:
    return raw[source][:8] if source in raw else "none"


class _Tally:
    def __init__(self, what: str) -> None:
        self.what = what
        self._rows: dict[tuple[str, str], int] = {}
        self._examples: dict[tuple[str, str], list[str]] = {}

    def add(self, source: str, why: str, rows: int, example: str) -> None:
        self._rows[source, why] = self._rows.get((source, why), 0) + rows
        examples = self._examples.setdefault((source, why), [])
        if len(examples) < EXAMPLES and example not in examples:
            examples.append(example)

    def lines(self) -> list[Reason]:
        """The most frequent first."""
        return [Reason(self.what, source, why, rows, self._examples[source, why])
                for (source, why), rows in sorted(self._rows.items(), key=lambda item: (-item[1], item[0]))]


# ---------------------------------------------------------------- settings


def _settings(one: Chain, other: Chain) -> Iterator[Setting]:
    for path in sorted({*one.files, *other.files}):
        if one.files.get(path) != other.files.get(path):
            yield Setting("file", path, one.files.get(path), other.files.get(path))
    stages, others = one.stages(), other.stages()
    for stage, part in sorted({*stages, *others}, key=lambda name: (STAGES.index(name[0]) if name[0] in STAGES else 99, name[1])):
        mine, theirs = stages.get((stage, part)), others.get((stage, part))
        label = f"{stage} {part}".strip()
        if mine is None or theirs is None:
            yield Setting(label, "(artifact)", mine and mine.key, theirs and theirs.key)
            continue
        if mine.code != theirs.code:
            yield Setting(label, "(code)", mine.code, theirs.code)
        if stage == "collect" and mine.content != theirs.content:
            yield Setting(label, "(raw rows)", mine.content, theirs.content)
        left, right = dict(_flat(mine.settings)), dict(_flat(theirs.settings))
        for key in sorted({*left, *right}):
            if left.get(key) != right.get(key):
                yield Setting(label, key, left.get(key), right.get(key))


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """`{"mix": {"seed": 1}}` → ("mix.seed", 1); an item of a list that names its source goes by that name."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        for number, item in enumerate(value):
            yield from _flat(item, f"{path}.{item.get('source') or item.get('name') or number}")
    else:
        yield path, value
