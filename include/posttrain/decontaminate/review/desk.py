"""A reviewer's desk: the queue of a run as it stands, and every decision about it. The page and the DAG use it."""

from __future__ import annotations

import functools
import threading
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from posttrain.decontaminate.index import load_index
from posttrain.decontaminate.review.advice import Advice, read_advice
from posttrain.decontaminate.review.band import decision_of, is_clear, text_of
from posttrain.decontaminate.review.decision_log import Action, Decision, DecisionLog, in_force
from posttrain.decontaminate.review.edits import Edit, by_hand
from posttrain.decontaminate.review.paraphrase import compare_again, judged_by
from posttrain.decontaminate.review.queue import Item, RowMatch, read_queue, settled
from posttrain.decontaminate.search import EvalSearch, embedded
from posttrain.run import Run
from posttrain.storage import Manifest, load_manifest

ADVICE_STAGE = "review_advice"
Status = Literal["open", "keep", "paraphrase", "delete"]


class Conflict(RuntimeError):
    """Somebody else was faster, or the queue is another one than the reviewer saw. The message says who and what."""


class StillTooClose(ValueError):
    """The paraphrase overlaps an eval item; it is logged and the row stays in the queue. The message says which item."""


class UnknownItem(LookupError):
    """The queue of this run has no such item."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An item with what the teacher said and what was decided. `seen` is what a decision about it must be based on.

    `kept_beside`: content of an eval item → the decision to keep the row beside it. An open row may have some from earlier
    runs; what is asked is the other ones.
    """

    item: Item
    advice: Advice
    decision: Decision | None
    seen: str
    kept_beside: Mapping[str, Decision]

    @property
    def matches(self) -> list[RowMatch]:
        """The matches, those that nobody was asked about first."""
        return sorted(self.item.matches, key=lambda match: match.content in self.kept_beside)

    @property
    def status(self) -> Status:
        return "open" if self.decision is None else self.decision.action  # type: ignore[return-value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which entries a reviewer wants to see. An empty field is no condition."""

    eval: str = ""
    source: str = ""
    measure: str = ""
    status: str = ""
    judge: str = ""
    low: float = 0.0
    high: float = 1.0

    def takes(self, entry: Entry) -> bool:
        matches = [m for m in entry.item.matches if (not self.eval or m.eval == self.eval)
                   and (not self.measure or m.measure == self.measure) and self.low <= m.score <= self.high]
        judged = {True: "yes", False: "no", None: "unknown"}[entry.advice.gives_away]
        status = "decided" if entry.status != "open" and self.status == "decided" else entry.status
        return bool(matches) and self.source in ("", entry.item.example.source) and self.status in ("", status) and (
            self.judge in ("", judged))


class Desk:
    """The queue of a run. Made anew for each request: the log is what lasts."""

    def __init__(self, run: Run, log: DecisionLog) -> None:
        self.run, self.log = run, log
        self.settings = run.recipe.decontaminate
        self.index, decontaminated = run.manifest("index_evals"), run.manifest("decontaminate")
        self.items = _items(decontaminated.path, decontaminated.content, self.index.path)
        self._advice = _advice(run.manifest(ADVICE_STAGE).path) if run.has(ADVICE_STAGE) else {}
        self._mark = judged_by(self.index.content, self.settings)

    # -- looking

    def entries(self) -> list[Entry]:
        """The whole queue: what the judge thinks gives an item away first, then by score."""
        return sorted(self._entries(self.items, self.log.lines()), key=_urgency)

    def _entries(self, items: Iterable[Item], lines: list[Decision]) -> list[Entry]:
        decided, entries = in_force(lines), []
        for item in items:
            found = {content: line for content in item.evals if (line := decided.get((item.content, content)))}
            seen = max((line.id for line in found.values()), key=_place, default="")
            kept = {content: line for content, line in found.items() if line.action == "keep"}
            entries.append(Entry(item, self._advice.get(item.id, Advice()), settled(item, decided, self._is_clear), seen, kept))
        return entries

    def progress(self) -> dict[str, int]:
        """{"rows", "open", "keep", "paraphrase", "delete"}; the last four add up to the first."""
        counts = Counter(entry.status for entry in self._entries(self.items, self.log.lines()))
        return {"rows": len(self.items), **{name: counts[name] for name in ("open", "keep", "paraphrase", "delete")}}

    def entry(self, item_id: str) -> Entry:
        return self._entry(item_id, self.log.lines())

    def _entry(self, item_id: str, lines: list[Decision]) -> Entry:
        return self._entries([self._item(item_id)], lines)[0]

    def _item(self, item_id: str) -> Item:
        for item in self.items:
            if item.id == item_id:
                return item
        raise UnknownItem(f"no row {item_id} in the review queue of run {self.run.run_id}")

    # -- deciding

    def decide(
        self, item_id: str, action: Action, who: str, seen: str, edits: Sequence[Edit] = (),
    ) -> Entry:
        """Decide one item as the reviewer saw it. Raises Conflict, StillTooClose, ParaphraseRefused, UnknownItem."""
        item = self._item(item_id)
        line = self._line(item, action, who, edits)

        def make(lines: list[Decision]) -> list[Decision]:
            self._check_seen(self._entry(item_id, lines), seen)
            return [line]

        self.log.append(make)
        if line.action == "refused":
            raise StillTooClose(f"still too close: {line.rule} (score {line.score_after:.2f}); the row stays in the queue")
        return self.entry(item_id)

    def undo(self, item_id: str, who: str, seen: str) -> Entry:
        """Take back the decision in force for an item; the one before it, if any, holds again."""
        item = self._item(item_id)

        def make(lines: list[Decision]) -> list[Decision]:
            entry = self._entry(item_id, lines)
            self._check_seen(entry, seen)
            if not entry.seen:
                raise Conflict("nothing to undo: the row is open")
            return [self._undo_line(item, entry.seen, who)]

        self.log.append(make)
        return self.entry(item_id)

    def decide_all(self, wanted: Filter, action: Action, who: str, expected: int) -> tuple[str, list[str], list[str]]:
        """Decide every open item that the filter takes, in one part of the log: (batch, decided ids, ids left open).

        `paraphrase` takes the teacher's suggestions and leaves open what has none that is clear. Raises Conflict where
        the filter takes another number of open items than the reviewer saw.
        """
        batch, left = uuid.uuid4().hex[:12], list[str]()
        prepared: dict[str, Decision] = {}

        def make(lines: list[Decision]) -> list[Decision]:
            found = [e for e in self._entries(self.items, lines) if e.status == "open" and wanted.takes(e)]
            if len(found) != expected:
                raise Conflict(f"the filter takes {len(found)} open rows now, and you saw {expected}; look again")
            left.clear()
            prepared.update(self._bulk_lines([entry for entry in found if entry.item.id not in prepared], action, who, batch))
            left.extend(e.item.id for e in found if prepared[e.item.id].action == "refused")
            return [prepared[e.item.id] for e in found if prepared[e.item.id].action != "refused"]

        done = self.log.append(make)
        return batch, [line.item for line in done], left

    def undo_all(self, batch: str, who: str) -> list[str]:
        """Take back a bulk decision, as far as it still is in force; the ids of its items."""
        def make(lines: list[Decision]) -> list[Decision]:
            mine = {line.item: line.id for line in lines if line.batch == batch and line.action != "undo"}
            entries = self._entries([item for item in self.items if item.id in mine], lines)
            return [replace(self._undo_line(e.item, e.seen, who), batch=batch) for e in entries if e.seen == mine[e.item.id]]

        return [line.item for line in self.log.append(make)]

    def _line(self, item: Item, action: Action, who: str, edits: Sequence[Edit] = ()) -> Decision:
        if action != "paraphrase":
            return decision_of(item, action, who, self.run.run_id)
        return self._paraphrases([(item, edits)], who)[0]

    def _paraphrases(self, wanted: Sequence[tuple[Item, Sequence[Edit]]], who: str) -> list[Decision]:
        """A line for each row with its edits, `refused` where the new row is too close; all are compared at once.

        Raises ParaphraseRefused for the first that cannot replace its row.
        """
        taken = [self._suggested(item, edits) for item, edits in wanted]
        new = [by_hand(item.example, edits) for (item, _), edits in zip(wanted, taken, strict=True)]
        found = compare_again(new, self._search(), self.settings)
        lines = []
        for (item, _), edits, row, findings in zip(wanted, taken, new, found, strict=True):
            line = decision_of(item, "paraphrase", who, self.run.run_id, edits=edits, after=text_of(row), judged_by=self._mark)
            if findings:
                worst = max(findings, key=lambda finding: finding.match.score)
                line = replace(line, action="refused", judged_by=None, score_after=worst.match.score,
                               rule=f"{worst.eval} {worst.item_id}, {worst.rule}")
            lines.append(line)
        return lines

    def _suggested(self, item: Item, edits: Sequence[Edit]) -> tuple[Edit, ...]:
        """The edits without blanks around them, with the journal key of those that are the teacher's unchanged."""
        suggested = {(e.turn, e.question, e.answer, e.worse): e for e in self._advice.get(item.id, Advice()).edits}
        stripped = [Edit(e.turn, e.question.strip(), e.answer.strip(), e.worse.strip()) for e in edits]
        return tuple(suggested.get((e.turn, e.question, e.answer, e.worse), e) for e in stripped)

    def _bulk_lines(self, entries: Sequence[Entry], action: Action, who: str, batch: str) -> dict[str, Decision]:
        """Item id → its line; `refused` for a paraphrase of which there is no suggestion that is clear."""
        if action != "paraphrase":
            return {e.item.id: decision_of(e.item, action, who, self.run.run_id, batch=batch) for e in entries}
        lines = {e.item.id: decision_of(e.item, "refused", who, self.run.run_id) for e in entries}
        usable = [(e.item, e.advice.edits) for e in entries if e.advice.edits and not e.advice.complaint]
        return lines | {line.item: replace(line, batch=batch) for line in self._paraphrases(usable, who)}

    def _undo_line(self, item: Item, line_id: str, who: str) -> Decision:
        return decision_of(item, "undo", who, self.run.run_id, undoes=line_id)

    def _check_seen(self, entry: Entry, seen: str) -> None:
        if entry.seen == seen:
            return
        if entry.decision is None:
            raise Conflict("the decision about this row has been taken back in the meantime; it is open again")
        raise Conflict(f"{entry.decision.who} has decided this row in the meantime: {entry.decision.action}")

    def _is_clear(self, item: Item, line: Decision) -> bool:
        if line.judged_by == self._mark:
            return True
        return _clear_now(self, item, line)

    def _search(self) -> EvalSearch:
        """The embedded index, whichever the recipe names: both give the same answer, and this one needs no server."""
        return _embedded(self.index.path, self.index.content)


def _urgency(entry: Entry) -> tuple[int, float, str]:
    return {True: 0, None: 1, False: 2}[entry.advice.gives_away], -entry.item.best.score, entry.item.id


def _place(line_id: str) -> tuple[int, int]:
    part, _, place = line_id.partition(".")
    return int(part), int(place)


# ---------------------------------------------------------------- what a server keeps between requests

_clear: dict[tuple[str, str, str], bool] = {}
_clear_lock = threading.Lock()


def _clear_now(desk: Desk, item: Item, line: Decision) -> bool:
    key = (line.id, item.id, desk._mark)
    if key not in _clear:
        found = is_clear(item, line, desk._mark, desk._search(), desk.settings)
        with _clear_lock:
            _clear[key] = found
    return _clear[key]


@functools.lru_cache(maxsize=4)
def _items(decontaminated: str, content: str, index: str) -> tuple[Item, ...]:
    """The items of an artifact; `content` tells it from another one that lay at the same path."""
    manifest: Manifest = load_manifest(decontaminated)
    return tuple(read_queue(manifest, load_index(load_manifest(index))))


@functools.lru_cache(maxsize=4)
def _advice(path: str) -> dict[str, Advice]:
    return read_advice(load_manifest(path))


@functools.lru_cache(maxsize=2)
def _embedded(path: str, content: str) -> EvalSearch:
    return embedded(load_index(load_manifest(path)))
