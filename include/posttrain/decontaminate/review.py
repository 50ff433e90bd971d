"""review: what becomes of the band between clean and contaminated where no person decides.

`paraphrase`: the teacher writes another question of the same skill, with its answer; the row is compared with the
evals again and stays only below the band. `delete` and `keep` do what they say. Evals never change.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from posttrain.decontaminate.index import check_eval_files
from posttrain.decontaminate.matches import Finding, describe, find_contamination, strongest
from posttrain.decontaminate.search import EvalSearch, open_search
from posttrain.decontaminate.shard import REVIEW, training_row
from posttrain.recipe import Decontaminate, Review
from posttrain.schema import SCHEMAS, Example, PreferencePair, RLVRExample, conversation, from_row, prompt_of
from posttrain.storage import ArtifactWriter, Manifest, read_rows
from posttrain.teacher import prompts
from posttrain.teacher.client import Answer, Teacher
from posttrain.teacher.worked_answers import check_answers, final_number

log = logging.getLogger(__name__)

DECISIONS_SCHEMA = pa.schema([
    ("row_id", pa.string()),
    ("source", pa.string()),
    ("decision", pa.string()),
    ("decided_by", pa.string()),
    ("eval", pa.string()),
    ("item_id", pa.string()),
    ("score_before", pa.float64()),
    ("score_after", pa.float64()),
    ("before", pa.string()),
    ("after", pa.string()),
    ("new_id", pa.string()),
])
"""One line a row of the band: `decision` is paraphrased, kept or a drop reason; `eval` and `item_id` its strongest match."""


@dataclass(frozen=True)
class Outcome:
    """What was decided about a row. `example` is what stays of it; without one, `reason` says why it goes."""

    example: Example | None = None
    reason: str = ""
    detail: str = ""
    asked: Example | None = None
    """The paraphrased row, also where it is dropped."""
    score_after: float | None = None


def review_band(
    decontaminated: Manifest, index: Manifest, review: Review, settings: Decontaminate, teacher: Teacher, out: ArtifactWriter,
) -> None:
    """Decide every row of the band. read = rows of the band; kept = paraphrased or kept as they are.

    Writes the kept rows to the split of their kind and `decisions.parquet`. Raises EvalFilesChanged.
    """
    check_eval_files(index)
    band = list(read_band(decontaminated))
    with open_search(index, settings) as search:
        before = find_contamination([training_row(example) for example in band], search, settings)
        outcomes = _outcomes(band, review, settings, search, teacher)
    lines, decided = [], Counter[str]()
    for example, findings, outcome in zip(band, before, outcomes, strict=True):
        out.read(example.source)
        if outcome.example is None:
            out.reject_example(example, outcome.reason, outcome.detail, "messages")
        else:
            out.keep(outcome.example)
        line = _decision(example, strongest(findings), outcome, f"unattended: {review.unattended}")
        decided[line["decision"]] += 1
        lines.append(line)
    out.write_table("decisions.parquet", pa.Table.from_pylist(lines, schema=DECISIONS_SCHEMA))
    out.facts.update(unattended=review.unattended, decisions=dict(sorted(decided.items())), teacher=teacher.usage(),
                     journal=teacher.journal.folder)
    log.info("review band: %d rows; %s", len(band), ", ".join(f"{name} {n}" for name, n in sorted(decided.items())) or "empty")


def read_band(decontaminated: Manifest) -> Iterator[Example]:
    """The rows of the review band, in file order."""
    for kind in SCHEMAS:
        for row in read_rows(decontaminated, REVIEW + kind):
            yield from_row(kind, row)


def _outcomes(
    band: list[Example], review: Review, settings: Decontaminate, search: EvalSearch, teacher: Teacher,
) -> list[Outcome]:
    if review.unattended == "keep":
        return [Outcome(example) for example in band]
    if review.unattended == "delete":
        return [Outcome(reason="deleted_by_reviewer", detail="unattended: the recipe says delete") for _ in band]
    return _paraphrased(band, settings, search, teacher)


# ---------------------------------------------------------------- paraphrase


def _paraphrased(band: list[Example], settings: Decontaminate, search: EvalSearch, teacher: Teacher) -> list[Outcome]:
    """Ask for each row that can be paraphrased; its answer is checked, then the new row is compared with the evals."""
    outcomes = [Outcome(reason="still_in_review_band", detail=_obstacle(example)) for example in band]
    possible = [n for n, example in enumerate(band) if not _obstacle(example)]
    answers = dict(zip(possible, teacher.ask_many([prompts.paraphrase(prompt_of(band[n])) for n in possible]), strict=True))
    given = {n: answer for n, answer in answers.items() if answer}
    to_check = [n for n in given if _has_number(band[n])]
    truths = dict(zip(to_check, check_answers(teacher, [_worked(given[n]) for n in to_check]), strict=True))
    new = {n: rewritten(band[n], answer, truths.get(n)) for n, answer in given.items()}
    again = dict(zip(new, find_contamination([training_row(example) for example in new.values()], search, settings), strict=True))
    for n in possible:
        if n not in new:
            outcomes[n] = Outcome(reason="teacher_gave_up", detail="no paraphrase in the requested form")
        elif n in truths and truths[n] is None:
            outcomes[n] = Outcome(reason="answer_not_verified", detail="the paraphrase's answer is not verified", asked=new[n])
        else:
            outcomes[n] = _compared_again(new[n], [finding for finding in again[n] if finding.decision != "keep"])
    return outcomes


def _obstacle(example: Example) -> str:
    """Why a row cannot be paraphrased and is dropped, or "": other turns and answers would no longer fit the new question."""
    if isinstance(example, PreferencePair):
        return "the two answers of a pair belong to the old prompt"
    if sum(m.role == "user" for m in example.messages) > 1:
        return "one turn of a longer conversation cannot be replaced"
    if isinstance(example, RLVRExample) and example.verifier != "gsm8k":
        return f"the ground truth of verifier {example.verifier} belongs to the old prompt"
    return ""


def _has_number(example: Example) -> bool:
    """Whether the row's answer is a final number, as in GSM8K, so that the new answer can be verified."""
    return isinstance(example, RLVRExample) or final_number(conversation(example)[-1].content) is not None


def _worked(answer: Answer) -> tuple[str, str]:
    return answer.data["question"].strip(), answer.data["answer"].strip()


def rewritten(example: Example, answer: Answer, truth: str | None) -> Example:
    """The row with the teacher's question and answer in place of its own, linked to the original by `parent_id`."""
    question, solution = _worked(answer)
    turns = tuple(
        replace(m, content=question if m.role == "user" else solution if m.role == "assistant" else m.content)
        for m in conversation(example)
    )
    values: dict[str, Any] = {
        "id": f"{example.id}_paraphrased", "made_by": "rewritten", "parent_id": example.id, "raw_file": None, "raw_row": None,
        "request_id": answer.request_id, "messages": turns,
    }
    if isinstance(example, RLVRExample):
        values["ground_truth"] = truth or ""
    return replace(example, **values)


def _compared_again(example: Example, findings: list[Finding]) -> Outcome:
    """The paraphrased row, unless it is in the band, or above it, once more."""
    if findings:
        best = strongest(findings)
        return Outcome(reason="still_in_review_band", detail=f"the paraphrase overlaps {describe(best)}", asked=example,
                       score_after=best.match.score)
    return Outcome(example, asked=example)


# ---------------------------------------------------------------- the log


def _decision(example: Example, before: Finding, outcome: Outcome, decided_by: str) -> dict[str, Any]:
    decision = outcome.reason or ("paraphrased" if outcome.asked else "kept")
    return {
        "row_id": example.id, "source": example.source, "decision": decision, "decided_by": decided_by, "eval": before.eval,
        "item_id": before.item_id, "score_before": before.match.score, "score_after": outcome.score_after,
        "before": _text(example), "after": _text(outcome.asked) if outcome.asked else None,
        "new_id": outcome.example.id if outcome.asked and outcome.example else None,
    }


def _text(example: Example) -> str:
    return "\n".join(f"{m.role}: {m.content}" for m in conversation(example))


