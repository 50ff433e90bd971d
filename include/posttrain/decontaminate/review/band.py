"""review: every row of the band is decided: by a person before, by the judge where the recipe says so, else unattended.

Unattended, `paraphrase` has the teacher write another question of the same skill with its answer; the row is compared
with the evals again and stays only below the band. `delete` and `keep` do what they say. Evals never change.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from posttrain.decontaminate.eval_sets import check_eval_files
from posttrain.decontaminate.review.decision_log import Action, Decision, DecisionLog, Pair
from posttrain.decontaminate.review.edits import rewritten
from posttrain.decontaminate.review.judge import Opinion, ask_judge
from posttrain.decontaminate.review.paraphrase import compare_again, judged_by, suggest
from posttrain.decontaminate.review.queue import Item, read_queue, settled
from posttrain.decontaminate.search import EvalSearch, open_search
from posttrain.recipe import Decontaminate, Review
from posttrain.schema import Example, PreferencePair, conversation
from posttrain.storage import ArtifactWriter, Manifest, StorageError, read_parquet
from posttrain.teacher.client import Teacher

log = logging.getLogger(__name__)

DECISIONS = "decisions.parquet"
DECISIONS_SCHEMA = pa.schema([
    ("row_id", pa.string()),
    ("source", pa.string()),
    ("decision", pa.string()),
    ("decided_by", pa.string()),
    ("decided_at", pa.string()),
    ("rule", pa.string()),
    ("measure", pa.string()),
    ("eval", pa.string()),
    ("item_id", pa.string()),
    ("score_before", pa.float64()),
    ("score_after", pa.float64()),
    ("before", pa.string()),
    ("after", pa.string()),
    ("new_id", pa.string()),
    ("judge", pa.string()),
])
"""One line a row of the band: `decision` is paraphrased, kept or a drop reason; `eval` and `item_id` its strongest match.
`decided_at` is null where nobody was there; `judge` is the reason that the judge gave where it decided."""

NOBODY = "unattended"
JUDGE = "judge"


@dataclass(frozen=True)
class Outcome:
    """What was decided about a row. `example` is what stays of it; without one, `reason` says why it goes."""

    by: str
    example: Example | None = None
    reason: str = ""
    detail: str = ""
    asked: Example | None = None
    """The paraphrased row, also where it is dropped."""
    score_after: float | None = None
    at: str | None = None
    why: str | None = None

    @property
    def kind(self) -> str:
        """What the row counts as: the band is kept + paraphrased + deleted."""
        return "deleted" if self.example is None else "paraphrased" if self.asked else "kept"


def review_band(
    decontaminated: Manifest, index: Manifest, review: Review, settings: Decontaminate, teacher: Teacher, out: ArtifactWriter,
    decided: Mapping[Pair, Decision] | None = None,
) -> None:
    """Decide every row of the band. read = rows of the band; kept = paraphrased or kept as they are.

    `decided` is what people have said already (`decision_log.in_force`). Writes the kept rows to the split of their kind
    and `decisions.parquet`. Raises EvalFilesChanged.
    """
    check_eval_files(index)
    with open_search(index, settings) as search:
        items = read_queue(decontaminated, search.index)
        outcomes = _by_people(items, decided or {}, settings, search, index.content)
        _by_judge(items, outcomes, review, teacher)
        _by_nobody(items, outcomes, review, settings, search, teacher)
    lines, kinds, by = [], Counter(kept=0, paraphrased=0, deleted=0), Counter[str]()
    for item in items:
        example, outcome = item.example, outcomes[item.id]
        out.read(example.source)
        if outcome.example is None:
            out.reject_example(example, outcome.reason, outcome.detail, "messages")
        else:
            out.keep(outcome.example)
        kinds[outcome.kind] += 1
        by["person" if outcome.at else outcome.by.partition(":")[0]] += 1
        lines.append(_line(item, outcome))
    if kinds.total() != len(items):
        raise StorageError(f"review: {len(items)} rows in the band, and {dict(kinds)} decided: they do not add up")
    out.write_table(DECISIONS, pa.Table.from_pylist(lines, schema=DECISIONS_SCHEMA))
    named = Counter(line["decision"] for line in lines)
    out.facts.update(unattended=review.unattended, decisions=dict(sorted(named.items())), band={"rows": len(items), **kinds},
                     decided_by=dict(sorted(by.items())), teacher=teacher.usage(), journal=teacher.journal.folder)
    log.info("review band: %d rows = %d kept + %d paraphrased + %d deleted", len(items), kinds["kept"], kinds["paraphrased"],
             kinds["deleted"])


# ---------------------------------------------------------------- who decides


def _by_people(
    items: list[Item], decided: Mapping[Pair, Decision], settings: Decontaminate, search: EvalSearch, index_content: str,
) -> dict[str, Outcome]:
    """What people said, in this run or an earlier one. A paraphrase that is not clear of today's evals settles nothing."""
    mark, outcomes = judged_by(index_content, settings), {}
    for item in items:
        line = settled(item, decided, lambda item, line: is_clear(item, line, mark, search, settings))
        if line is not None:
            outcomes[item.id] = _said(item, line)
    return outcomes


def is_clear(item: Item, line: Decision, mark: str, search: EvalSearch, settings: Decontaminate) -> bool:
    """Whether a reviewer's paraphrase is below the band; compared again unless `mark` says that this was done."""
    new = rewritten(item.example, line.edits)
    return line.judged_by == mark or not compare_again([new], search, settings)[0]


def _said(item: Item, line: Decision) -> Outcome:
    by = {"by": line.who, "at": line.when}
    if line.action == "delete":
        return Outcome(reason="deleted_by_reviewer", detail=f"{line.who}, {line.when}", **by)
    if line.action == "keep":
        return Outcome(example=item.example, **by)
    new = rewritten(item.example, line.edits)
    return Outcome(example=new, asked=new, score_after=line.score_after, **by)


def _by_judge(items: list[Item], outcomes: dict[str, Outcome], review: Review, teacher: Teacher) -> None:
    """Where the recipe says `judge: decide`, its opinion decides what no person has; where it has none, the row stays open."""
    if review.judge != "decide":
        return
    open_items = [item for item in items if item.id not in outcomes]
    for item, opinion in zip(open_items, ask_judge(open_items, teacher), strict=True):
        if opinion.gives_away is not None:
            outcomes[item.id] = _judged(item, opinion)


def _judged(item: Item, opinion: Opinion) -> Outcome:
    if opinion.gives_away:
        return Outcome(JUDGE, reason="deleted_by_judge", detail=opinion.why, why=opinion.why)
    return Outcome(JUDGE, item.example, why=opinion.why)


def _by_nobody(
    items: list[Item], outcomes: dict[str, Outcome], review: Review, settings: Decontaminate, search: EvalSearch,
    teacher: Teacher,
) -> None:
    by, open_items = f"{NOBODY}: {review.unattended}", [item for item in items if item.id not in outcomes]
    if review.unattended == "keep":
        outcomes |= {item.id: Outcome(by, item.example) for item in open_items}
    elif review.unattended == "delete":
        detail = "unattended: the recipe says delete"
        outcomes |= {item.id: Outcome(by, reason="deleted_by_reviewer", detail=detail) for item in open_items}
    else:
        suggestions = suggest(open_items, settings, search, teacher)
        for item, s in zip(open_items, suggestions, strict=True):
            new = rewritten(item.example, s.edits) if s.edits else None
            score = max((finding.match.score for finding in s.findings), default=None)
            outcomes[item.id] = (Outcome(by, new, asked=new) if s.is_clear else
                                 Outcome(by, reason=s.reason, detail=s.complaint, asked=new, score_after=score))


# ---------------------------------------------------------------- the books


def _line(item: Item, outcome: Outcome) -> dict[str, Any]:
    decision = outcome.reason or {"paraphrased": "paraphrased", "kept": "kept"}[outcome.kind]
    return {
        "row_id": item.example.id, "source": item.example.source, "decision": decision, "decided_by": outcome.by,
        "decided_at": outcome.at, "rule": item.best.rule, "measure": item.best.measure, "eval": item.best.eval,
        "item_id": item.best.item_id, "score_before": item.best.score, "score_after": outcome.score_after,
        "before": text_of(item.example), "after": text_of(outcome.asked) if outcome.asked else None,
        "new_id": outcome.example.id if outcome.asked and outcome.example else None, "judge": outcome.why,
    }


def text_of(example: Example) -> str:
    """The row's turns; of a pair the chosen side, then the rejected one."""
    both = isinstance(example, PreferencePair) and example.chosen and example.rejected
    sides = [("chosen ", example.chosen), ("rejected ", example.rejected)] if both else [("", conversation(example))]
    return "\n".join(f"{side}{m.role}: {m.content}" for side, turns in sides for m in turns)


def log_unattended(items: Iterable[Item], reviewed: Manifest, decision_log: DecisionLog, run_id: str) -> int:
    """Add what nobody or the judge decided to the log; the number of lines. What stands there already is not added again."""
    by_row = {(line["row_id"], line["before"]): line for line in read_parquet(reviewed.file(DECISIONS)) if not line["decided_at"]}
    new = []
    for item in items:
        line = by_row.get((item.example.id, text_of(item.example)))
        if line is not None:
            action: Action = {"kept": "keep", "paraphrased": "paraphrase"}.get(line["decision"], "delete")
            note = f": {line['judge']}" if line["judge"] else ""
            new.append(decision_of(item, action, f"{line['decided_by']}{note}", run_id, by_person=False,
                                   after=line["after"], score_after=line["score_after"]))

    def missing(lines: list[Decision]) -> list[Decision]:
        known = {(line.row, line.evals, line.action, line.who, line.after) for line in lines}
        return [line for line in new if (line.row, line.evals, line.action, line.who, line.after) not in known]

    return len(decision_log.append(missing))


def decision_of(item: Item, action: Action, who: str, run_id: str, **more: Any) -> Decision:
    """A line about an item, with its strongest match as the rule that put it into the queue."""
    best = item.best
    return Decision(
        action=action, who=who, run_id=run_id, item=item.id, row=item.content, evals=item.evals, row_id=item.example.id,
        source=item.example.source, eval=best.eval, item_id=best.item_id, measure=best.measure, score=best.score,
        rule=best.rule, before=text_of(item.example), **more,
    )
