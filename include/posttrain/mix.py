"""Mix: clean rows → the four splits of a training mixture.

    sft                 SCHEMAS["sft"]         conversations to learn from
    preference_prompts  SCHEMAS["rlvr"]        prompts to be answered on-policy; ground truth and verifier "" where none is known
    preference          SCHEMAS["preference"]  ready-made pairs
    rlvr                SCHEMAS["rlvr"]        prompts with a ground truth

In order: the licence gate, per amount a seeded choice, quotas per category (SFT only), a seeded shuffle. Every
choice is an order by sha256 of seed, split, id and repeat, so that neither the order of the inputs nor their cut
into files matters. An upsampled row keeps its id in every repeat: lineage needs it.

Rows are held as Arrow tables and an index of a few fields per row; no row body is a Python object for longer than
it takes to write it.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from posttrain import recipe
from posttrain.recipe import Amount
from posttrain.schema import SCHEMAS, Rejected
from posttrain.storage import ArtifactWriter, Manifest, open_parquet

logger = logging.getLogger(__name__)

SPLITS: dict[str, tuple[str, ...]] = {
    "sft": ("sft",), "preference_prompts": ("sft", "rlvr"), "preference": ("preference",), "rlvr": ("rlvr",),
}
"""Split → the kinds of rows that it takes."""

GAP = "gap"
"""The source of rows made for a skill in focus; it enters by `focus_proportion` where no amount names it."""

_BATCH = 4096


@dataclass(frozen=True, slots=True)
class PoolRow:
    """One row of the inputs: what the choice needs, and where its body is."""

    kind: str
    id: str
    source: str
    category: str
    skill: str
    license: str
    part: int
    row: int


@dataclass(frozen=True, slots=True)
class _Part:
    path: str
    kind: str


Pick = tuple[PoolRow, int]
"""A row and its repeat, counted from 0."""


def mix_rows(
    inputs: list[Manifest], settings: recipe.Mix, non_commercial: dict[str, bool], seed: int, out: ArtifactWriter,
) -> None:
    """Fill the splits from all kept rows of `inputs`.

    An amount with `count` gives exactly so many rows: where the source has fewer, whole repeats and a seeded rest.
    `proportion` p gives floor(p × available) rows, above 1 in the same way. A source that has no row gives none, and
    a warning. `non_commercial` says per source whether its licence excludes commercial use; a licence text that says
    so itself ("NC", "non-commercial") counts as well, and is all there is for rows that the pipeline made.

    read = every row of the inputs; kept = used at least once in any split; rejected = license_not_allowed,
    over_quota or not_sampled. Raises ValueError where a split names a source twice.
    """
    parts = [_Part(m.file(entry.name), entry.split) for m in inputs for entry in m.files if entry.split in SCHEMAS]
    pool = list(_read_pool(parts))
    for source, rows in sorted(Counter(row.source for row in pool).items()):
        out.read(source, rows)
    gated = [] if settings.allow_non_commercial else [row for row in pool if _is_non_commercial(row, non_commercial)]
    closed = {(row.part, row.row) for row in gated}
    allowed = [row for row in pool if (row.part, row.row) not in closed]

    reasons = {place: "license_not_allowed" for place in closed}
    used: set[tuple[int, int]] = set()
    facts: dict[str, Any] = {"amounts": [], "splits": {}, "rows": [], "quotas": {},
                             "license_gate": dict(sorted(Counter(row.source for row in gated).items()))}
    has_gap_rows = any(row.source == GAP for row in pool)
    amounts = {split: _amounts(settings, split, has_gap_rows) for split in SPLITS}
    prompts = _PromptPool(parts, allowed, amounts["preference_prompts"])
    for split in SPLITS:
        picks = []
        for amount in amounts[split]:
            available = prompts.rows(amount.source) if split == "preference_prompts" else [
                row for row in allowed if row.source == amount.source and row.kind in SPLITS[split]]
            taken = choose(available, amount, seed, split)
            facts["amounts"].append(_describe(split, amount, len(available), len(taken)))
            picks += taken
        if split == "sft":
            picks, over = _apply_quotas(picks, settings, seed)
            facts["quotas"] = {c: {"quota": n, "dropped": sum(row.category == c for row, _ in over)}
                               for c, n in sorted(settings.quotas.items())}
            reasons |= {(row.part, row.row): "over_quota" for row, _ in over}
        picks.sort(key=lambda pick: _rank(seed, f"shuffle {split}", *pick))
        for row, body in zip(picks, _bodies(parts, [row for row, _ in picks]), strict=True):
            _write(out, split, prompts.as_prompt(row[0], body) if split == "preference_prompts" else body)
        used |= {(row.part, row.row) for row, _ in picks}
        facts["splits"][split] = len(picks)
        facts["rows"] += _count_rows(split, picks)
    _account(out, parts, pool, used, reasons)
    out.facts.update(facts)


def choose(available: list[PoolRow], amount: Amount, seed: int, split: str) -> list[Pick]:
    """The rows that an amount takes: 5 of 2 rows is each of them twice and one, drawn by the seed, a third time."""
    wanted = amount.count if amount.count is not None else int(Fraction(str(amount.proportion)) * len(available))
    if not available:
        if wanted or amount.proportion:
            logger.warning("mix: %s: source %s has no row to take", split, amount.source)
        return []
    repeats, rest = divmod(wanted, len(available))
    picks = [(row, repeat) for repeat in range(repeats) for row in available]
    ranked = sorted(available, key=lambda row: _rank(seed, f"choose {split}", row, repeats))
    return picks + [(row, repeats) for row in ranked[:rest]]


def _rank(seed: int, purpose: str, row: PoolRow, repeat: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{purpose}\0{row.source}\0{row.kind}\0{row.id}\0{repeat}".encode()).digest()


def _amounts(settings: recipe.Mix, split: str, has_gap_rows: bool) -> list[Amount]:
    """The amounts of a split; a split that the recipe uses at all also gets the rows made for the gaps, if there are any."""
    amounts: list[Amount] = list(getattr(settings, split))
    twice = [name for name, times in Counter(amount.source for amount in amounts).items() if times > 1]
    if twice:
        raise ValueError(f"mix.{split}: source {twice[0]!r} stands twice; give one amount for it")
    if amounts and has_gap_rows and GAP not in {amount.source for amount in amounts}:
        amounts.append(Amount(source=GAP, proportion=float(settings.focus_proportion)))
    return amounts


def _apply_quotas(picks: list[Pick], settings: recipe.Mix, seed: int) -> tuple[list[Pick], list[Pick]]:
    """Per category at most its quota, drawn by the seed over all sources alike."""
    room, kept, over = dict(settings.quotas), [], []
    for pick in sorted(picks, key=lambda pick: _rank(seed, "quota", *pick)):
        if room.get(pick[0].category, 1) > 0:
            kept.append(pick)
            if pick[0].category in room:
                room[pick[0].category] -= 1
        else:
            over.append(pick)
    return kept, over


_NON_COMMERCIAL = re.compile(r"\bNC\b|non[-\s]?commercial", re.IGNORECASE)


def _is_non_commercial(row: PoolRow, non_commercial: dict[str, bool]) -> bool:
    return non_commercial.get(row.source, False) or _NON_COMMERCIAL.search(row.license) is not None


# ---------------------------------------------------------------- prompts


class _PromptPool:
    """The prompts of the sources that `preference_prompts` names: each once, with the ground truth of its RLVR twin.

    Two rows of a source with the same turns up to the last user turn are twins, whatever file or stage they are from.
    """

    def __init__(self, parts: list[_Part], allowed: list[PoolRow], amounts: list[Amount]) -> None:
        sources = {amount.source for amount in amounts}
        self._rows: dict[tuple[str, bytes], PoolRow] = {}
        self._truths: dict[tuple[str, bytes], tuple[str, str]] = {}
        # SFT rows first: a prompt keeps the id of its SFT row where it has one.
        rows = [row for row in allowed if row.source in sources and row.kind in SPLITS["preference_prompts"]]
        rows.sort(key=lambda row: (row.kind != "sft", row.source, row.id))
        for row, body in zip(rows, _bodies(parts, rows), strict=True):
            key = (row.source, _prompt_digest(body["messages"]))
            self._rows.setdefault(key, row)
            if row.kind == "rlvr":
                self._truths.setdefault(key, (body["ground_truth"], body["verifier"]))

    def rows(self, source: str) -> list[PoolRow]:
        return [row for (name, _), row in self._rows.items() if name == source]

    def as_prompt(self, row: PoolRow, body: dict[str, Any]) -> dict[str, Any]:
        """The row as a line of SCHEMAS["rlvr"]: its turns up to the last user turn."""
        truth, verifier = self._truths.get((row.source, _prompt_digest(body["messages"])), ("", ""))
        return body | {"messages": _prompt_turns(body["messages"]), "ground_truth": truth, "verifier": verifier}


def _prompt_turns(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    last = max((n for n, message in enumerate(messages) if message["role"] == "user"), default=-1)
    return messages[: last + 1]


def _prompt_digest(messages: list[dict[str, str]]) -> bytes:
    text = "".join(f"\x01{m['role']}\x00{' '.join(m['content'].split())}" for m in _prompt_turns(messages))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


# ---------------------------------------------------------------- bodies


def _read_pool(parts: list[_Part]) -> Iterator[PoolRow]:
    fields = ("id", "source", "category", "skill", "license")
    for number, part in enumerate(parts):
        table = _read_table(part.path, list(fields))
        columns = [table.column(name).to_pylist() for name in fields]
        for n, (id_, source, category, skill, license_) in enumerate(zip(*columns, strict=True)):
            yield PoolRow(part.kind, id_, source, category, skill or "", license_ or "", number, n)


def _read_table(path: str, columns: list[str] | None = None) -> pa.Table:
    with open_parquet(path) as f:
        return pq.read_table(f, columns=columns)


def _bodies(parts: list[_Part], rows: list[PoolRow]) -> Iterator[dict[str, Any]]:
    """The full rows, in the order asked for."""
    tables = {number: _read_table(parts[number].path) for number in sorted({row.part for row in rows})}
    for start in range(0, len(rows), _BATCH):
        batch = rows[start:start + _BATCH]
        bodies: dict[tuple[int, int], dict[str, Any]] = {}
        for number in {row.part for row in batch}:
            places = sorted({row.row for row in batch if row.part == number})
            bodies |= zip(((number, place) for place in places), tables[number].take(places).to_pylist(), strict=True)
        yield from (bodies[row.part, row.row] for row in batch)


def _write(out: ArtifactWriter, split: str, body: dict[str, Any]) -> None:
    schema = SCHEMAS["rlvr" if split == "preference_prompts" else split]
    out.write(split, {name: body.get(name) for name in schema.names}, schema)


# ---------------------------------------------------------------- books


def _account(
    out: ArtifactWriter, parts: list[_Part], pool: list[PoolRow], used: set[tuple[int, int]], reasons: dict[tuple[int, int], str],
) -> None:
    """Count the used rows and reject the others with their bodies, in an order that does not depend on the inputs'."""
    for source, rows in sorted(Counter(row.source for row in pool if (row.part, row.row) in used).items()):
        out.kept(source, rows)
    left = sorted((row for row in pool if (row.part, row.row) not in used), key=lambda row: (row.source, row.kind, row.id))
    for row, body in zip(left, _bodies(parts, left), strict=True):
        out.reject(Rejected(
            reason=reasons.get((row.part, row.row), "not_sampled"), source=row.source, id=row.id, raw_file=body["raw_file"],
            raw_row=body["raw_row"], detail=row.license if (row.part, row.row) in reasons and
            reasons[row.part, row.row] == "license_not_allowed" else f"a row of kind {row.kind}", row=body,
        ))


def _describe(split: str, amount: Amount, available: int, taken: int) -> dict[str, Any]:
    """What an amount asked for and got. `upsampling` is rows taken per row available, above 1 only."""
    asked = {"count": amount.count} if amount.count is not None else {"proportion": amount.proportion}
    factor = round(taken / available, 4) if available and taken > available else 1.0
    return {"split": split, "source": amount.source, "available": available, "taken": taken, "upsampling": factor} | asked


def _count_rows(split: str, picks: Iterable[Pick]) -> list[dict[str, Any]]:
    counts = Counter((row.source, row.category, row.skill) for row, _ in picks)
    return [{"split": split, "source": source, "category": category, "skill": skill, "rows": rows}
            for (source, category, skill), rows in sorted(counts.items())]
