"""Mix: clean rows → the four splits of a training mixture.

    sft                 SCHEMAS["sft"]         conversations to learn from
    preference_prompts  SCHEMAS["rlvr"]        prompts to be answered on-policy; ground truth and verifier "" where none is known
    preference          SCHEMAS["preference"]  ready-made pairs
    rlvr                SCHEMAS["rlvr"]        prompts with a ground truth

In order: the licence gate; split by split what each amount asks of the source, a seeded choice, more of a skill in focus,
quotas; a seeded shuffle. Every choice is an order by a hash of seed, purpose, kind, source, id and repeat, so that neither the
order of the inputs nor their cut into files nor the number of workers matters. An upsampled row keeps its id in every repeat:
lineage needs it.

    order.py         the hash orders
    pool.py          what the choice knows of the rows; reading bodies
    licence_gate.py  rows that the recipe's licence terms close
    choice.py        how many rows of a source, and which
    quotas.py        caps per category and language
    prompts.py       twins, disjoint splits, prompts to be answered
    writing.py       the shuffle on disk
    facts.py         what the manifest says about it
    plan.py, books.py, diff.py   before, after and between two mixtures: for people, not for the stage
    chain.py         what diff.py knows of a mixture and of what it was made from
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from posttrain import recipe
from posttrain.mix.choice import GAP, Picks, choose, joined, more_of_focus, rows_wanted, split_amounts, temperature_rows
from posttrain.mix.facts import count_languages, count_rows, describe
from posttrain.mix.licence_gate import LicenceGate
from posttrain.mix.order import Indices, by_rank
from posttrain.mix.pool import KINDS, Pool, read_pool
from posttrain.mix.prompts import KeptApart, PromptPool, cut_to_prompt, turns
from posttrain.mix.quotas import apply_quotas
from posttrain.mix.writing import Order, write_orders
from posttrain.schema import REJECTED_SCHEMA, SCHEMAS
from posttrain.storage import ArtifactWriter, Manifest

logger = logging.getLogger(__name__)

SPLITS: dict[str, tuple[str, ...]] = {
    "sft": ("sft",), "preference_prompts": ("sft", "rlvr"), "preference": ("preference",), "rlvr": ("rlvr",),
}
"""Split → the kinds of rows that it takes."""

FOCUSED_SPLITS = ("sft", "rlvr")
"""Where `focus_upsampling` adds rows: what a model learns a skill from."""

REJECTIONS = ("not_sampled", "license_not_allowed", "prompt_in_other_split", "over_quota")
"""Why a row is left over; where several apply, the last one is named."""


def mix_rows(
    inputs: list[Manifest], settings: recipe.Mix, non_commercial: dict[str, bool], seed: int, out: ArtifactWriter,
    focus: dict[str, float] | None = None,
) -> None:
    """Fill the splits from all kept rows of `inputs`. `focus`: the skills that fell short in the round before.

    An amount with `count` gives exactly so many rows: where the source has fewer, whole repeats and a seeded rest.
    `proportion` p gives floor(p × available) rows, above 1 in the same way, and never more than `at_most`. A source that has
    no row gives none, and a warning. `non_commercial` says per source whether its licence excludes commercial use; the terms
    that a licence text states itself (`posttrain.licence_terms`) count as well.

    read = every row of the inputs; kept = used at least once in any split; rejected, with their bodies = the reasons of
    REJECTIONS. Raises ValueError where a split names a source twice.
    """
    pool = read_pool(inputs)
    mixture = _Mixture(pool, settings, LicenceGate(pool, settings, non_commercial), seed, frozenset(focus or ()))
    orders = mixture.fill()
    used = np.zeros(len(pool), dtype=bool)
    for order in orders:
        used[order.rows] = True
    for code, source in enumerate(pool.source.names):
        of_source = pool.source.codes == code
        out.read(source, int(of_source.sum()))
        out.kept(source, int((of_source & used).sum()))
    left = _left_over(mixture, used)
    left_over = Order("rejected", left, lambda kind, bodies, places: _rejected(mixture, kind, bodies, left[places]))
    write_orders(pool, [*orders, left_over], out)
    for source, reason, rows in mixture.rejections(left):
        out.rejected(source, reason, rows)
    out.facts.update(mixture.facts)


class _Mixture:
    """The splits as they are filled, and the facts about them."""

    def __init__(self, pool: Pool, settings: recipe.Mix, gate: LicenceGate, seed: int, focus: frozenset[str]) -> None:
        self.pool, self.settings, self.gate, self.seed = pool, settings, gate, seed
        self.in_focus = pool.skill.is_one_of(set(focus))
        self.amounts = {split: split_amounts(settings, split, GAP in pool.source.names) for split in SPLITS}
        self.allowed: npt.NDArray[np.bool_] = ~gate.closed
        self.prompts = PromptPool(pool, self.allowed, self._sources("preference_prompts"))
        concerned = np.zeros(len(pool), dtype=bool)
        for split in settings.disjoint:
            concerned |= pool.source.is_one_of(self._sources(split)) & self._of_kinds(split)
        self.apart = KeptApart(pool, concerned & self.allowed, settings.disjoint)
        self.over_quota = np.zeros(len(pool), dtype=bool)
        self.facts: dict[str, Any] = {"amounts": [], "splits": {}, "rows": [], "languages": [], "quotas": []} | gate.facts()

    def _sources(self, split: str) -> set[str]:
        drawn = self.settings.temperature.get(split)  # type: ignore[call-overload]
        return {amount.source for amount in self.amounts[split]} | set(drawn.sources if drawn else ())

    def _of_kinds(self, split: str) -> npt.NDArray[np.bool_]:
        return np.isin(self.pool.kind, [KINDS.index(kind) for kind in SPLITS[split]])

    def fill(self) -> list[Order]:
        """Choose the rows of every split, those that keep a shared prompt first; the orders in which they are written."""
        filled: dict[str, Picks] = {}
        for split in (*self.settings.disjoint, *(s for s in SPLITS if s not in self.settings.disjoint)):
            filled[split] = self._fill(split, filled.get("sft", joined([])))
            self.apart.took(split, filled[split].rows)
        orders = []
        for split in SPLITS:
            picks = filled[split]
            shuffled = picks.rows[by_rank(self.seed, f"shuffle {split}", self.pool.digest[picks.rows], picks.repeats)]
            orders.append(Order(split, shuffled, self._make(split, shuffled)))
            self.facts["splits"][split] = len(picks)
            self.facts["rows"] += count_rows(split, self.pool, picks.rows)
            self.facts["languages"] += count_languages(split, self.pool, picks.rows)
        order_of = list(SPLITS)
        self.facts["amounts"].sort(key=lambda fact: order_of.index(fact["split"]))
        if self.settings.disjoint:
            self.facts["disjoint"] = {"splits": list(self.settings.disjoint), "left_out": self.apart.left_out}
        return orders

    def _fill(self, split: str, sft: Picks) -> Picks:
        candidates = self.allowed & self._of_kinds(split)
        if split == "preference_prompts":
            candidates &= self.prompts.is_first
        candidates = self.apart.open_to(split, candidates & self.pool.source.is_one_of(self._sources(split)))
        picks = []
        for amount in self.amounts[split]:
            available = np.flatnonzero(candidates & self._of_amount(amount, sft))
            picks.append(self._take(split, amount, available, rows_wanted(amount, len(available))))
        drawn = self.settings.temperature.get(split)  # type: ignore[call-overload]
        if drawn:
            rows = {source: np.flatnonzero(candidates & self.pool.source.is_one_of({source})) for source in drawn.sources}
            for source, wanted in temperature_rows({name: len(found) for name, found in rows.items()}, drawn).items():
                amount = recipe.Amount(source=source, count=wanted)
                picks.append(self._take(split, amount, rows[source], wanted, drawn.temperature))
        kept, over, quotas = apply_quotas(joined(picks), self.pool, self.settings, self.seed, split)
        self.over_quota[over.rows] = True
        self.facts["quotas"] += quotas
        return kept

    def _of_amount(self, amount: recipe.Amount, sft: Picks) -> npt.NDArray[np.bool_]:
        of_source = self.pool.source.is_one_of({amount.source})
        if amount.prompts == "any":
            return of_source
        reused = self.prompts.used_by(sft.rows)
        return of_source & (reused if amount.prompts == "reused" else ~reused)

    def _take(
        self, split: str, amount: recipe.Amount, available: Indices, wanted: int, temperature: float | None = None,
    ) -> Picks:
        digests, factor = self.pool.digest, self.settings.focus_upsampling
        picks = choose(available, wanted, digests, self.seed, split)
        if not len(available) and (wanted or amount.proportion):
            closed = self.gate.sources[amount.source]
            why = f": the recipe does not allow the licence of its {closed} rows" if closed else ""
            logger.warning("mix: %s: source %s has no row to take%s", split, amount.source, why)
        elif wanted > len(available):
            logger.warning("mix: %s: source %s: %d rows of %d: rows repeat", split, amount.source, wanted, len(available))
        chosen = len(picks)
        # The rows made for the gaps have a dial of their own, `focus_proportion`.
        if split in FOCUSED_SPLITS and amount.source != GAP and factor > 1 and self.in_focus[picks.rows].any():
            picks = more_of_focus(picks, available, self.in_focus, factor, digests, self.seed, split)
        self.facts["amounts"].append(describe(split, amount, len(available), len(picks), len(picks) - chosen, temperature))
        return picks

    def _make(self, split: str, shuffled: Indices) -> Any:
        schema = SCHEMAS["rlvr" if split == "preference_prompts" else split]
        if split != "preference_prompts":
            return lambda kind, bodies, places: conformed(bodies, schema)
        truths = self.prompts.truths(shuffled)

        def as_prompt(kind: str, bodies: pa.Table, places: Indices) -> pa.Table:
            known = truths.take(pa.array(places))
            cut = cut_to_prompt(turns(bodies["messages"]))
            columns = {"messages": cut, "ground_truth": known["ground_truth"], "verifier": known["verifier"]}
            for name, column in columns.items():
                at = bodies.schema.get_field_index(name)
                bodies = bodies.set_column(at, name, column) if at >= 0 else bodies.append_column(name, column)
            return conformed(bodies, schema)

        return as_prompt

    # -- what is left over

    def reason_codes(self, rows: Indices) -> npt.NDArray[np.int64]:
        """The number in REJECTIONS of the reason why each row is left over."""
        codes = np.zeros(len(rows), dtype=np.int64)
        codes[self.apart.was_closed[rows]] = REJECTIONS.index("prompt_in_other_split")
        codes[self.over_quota[rows]] = REJECTIONS.index("over_quota")
        codes[self.gate.closed[rows]] = REJECTIONS.index("license_not_allowed")
        return codes

    def rejections(self, left: Indices) -> list[tuple[str, str, int]]:
        """(source, reason, rows)."""
        pairs, rows = np.unique(self.pool.source.codes[left].astype(np.int64) * len(REJECTIONS) + self.reason_codes(left),
                                return_counts=True)
        return [(self.pool.source.names[pair // len(REJECTIONS)], REJECTIONS[pair % len(REJECTIONS)], count)
                for pair, count in zip(pairs.tolist(), rows.tolist(), strict=True)]

    def detail(self, reason: str, kind: str, row: int) -> str:
        """What a rejected row says beside its reason."""
        if reason == "license_not_allowed":
            return self.gate.why(row)
        if reason == "prompt_in_other_split":
            return f"the split {self.apart.owner_of(row)} has its prompt"
        return f"a row of kind {kind}"


def _left_over(mixture: _Mixture, used: npt.NDArray[np.bool_]) -> Indices:
    """The unused rows by source and kind, in an order that does not depend on the inputs'."""
    pool, left = mixture.pool, np.flatnonzero(~used)
    return left[np.lexsort((pool.digest[left, 1], pool.digest[left, 0], pool.kind[left], pool.source.codes[left]))]


def conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table in the columns and types of the schema; a column that an older artifact does not have is null."""
    missing = [name for name in schema.names if name not in table.column_names]
    for name in missing:
        table = table.append_column(name, pa.nulls(table.num_rows, schema.field(name).type))
    return table.select(schema.names).cast(schema)


def _rejected(mixture: _Mixture, kind: str, bodies: pa.Table, rows: Indices) -> pa.Table:
    """Rows of REJECTED_SCHEMA, each with its whole body as JSON."""
    encode = msgspec.json.Encoder().encode
    reasons = [REJECTIONS[code] for code in mixture.reason_codes(rows).tolist()]
    return pa.table({
        "id": bodies["id"], "source": bodies["source"], "raw_file": bodies["raw_file"], "raw_row": bodies["raw_row"],
        "reason": pa.array(reasons, pa.string()), "field": pa.nulls(len(rows), pa.string()),
        "detail": pa.array([mixture.detail(reason, kind, row) for reason, row in zip(reasons, rows.tolist(), strict=True)],
                           pa.string()),
        "row": pa.array([encode(body) for body in bodies.to_pylist()], pa.binary()).cast(pa.string()),
    }, schema=REJECTED_SCHEMA)
