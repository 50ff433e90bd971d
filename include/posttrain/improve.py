"""Improve: prompts that the filter found too simple become reasoning questions with a worked, verified answer.

"2+2?" → "Tom has 2 apples and buys 2. How many now?" with the same answer 4. The original's id stays linked.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from posttrain import recipe
from posttrain.problems import read_bare
from posttrain.schema import Rejected
from posttrain.storage import ArtifactWriter, Manifest, read_rejected
from posttrain.teacher import prompts
from posttrain.teacher.client import Answer, Teacher
from posttrain.teacher.examples import keep_twins, kept_prompts, normalised
from posttrain.teacher.worked_answers import check_answers
from posttrain.verifiers import verify

SOURCE = "improved"

FOCUS_VARIANTS = 4
"""How many rewrites of one prompt a round makes that is aimed at its skill; otherwise one."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rejected prompt whose result is known, and which of its rewrites this is (0 = the first)."""

    row: dict[str, Any]
    prompt: str
    result: int
    variant: int
    index: int
    """Counts the asks for one prompt text, over all rows that hold it, so that no two of them get the same rewrite."""

    @property
    def id(self) -> str:
        return f"{SOURCE}_{self.row['id']}" + (f"_{self.variant}" if self.variant else "")


def improve_prompts(
    filtered: Manifest, settings: recipe.Improve, focus: dict[str, float], teacher: Teacher, out: ArtifactWriter,
) -> None:
    """Rewrite at most `max_rows` prompts, those of a skill in focus first and several times; write SFT and RLVR twins.

    read = rewrites asked for; kept or rejected with teacher_gave_up, near_copy_of_seed, duplicate_conversation or
    answer_not_verified. Facts: candidates (rows that could be rewritten), rows kept per skill, the teacher's usage.
    """
    found = find_candidates(filtered)
    candidates = plan_rewrites(found, focus)[: settings.max_rows]
    answers = teacher.ask_many([prompts.rewrite(c.prompt, index=c.index) for c in candidates])
    worked = [(a.data["question"].strip(), a.data["answer"].strip()) if a else ("", "") for a in answers]
    truths = check_answers(teacher, worked)
    seen = kept_prompts(filtered)
    skills: Counter[str] = Counter()
    for candidate, answer, (question, solution), truth in zip(candidates, answers, worked, truths, strict=True):
        out.read(SOURCE)
        reason = _complaint(candidate, question, solution, truth, seen)
        if answer is None or reason:
            out.reject(_rejected(candidate, answer, "teacher_gave_up" if answer is None else reason))
            continue
        seen.add(normalised(question))
        skills[candidate.row["skill"]] += 1
        row = candidate.row
        keep_twins(out, {
            "id": candidate.id, "source": SOURCE, "category": row["category"], "skill": row["skill"], "language": row["language"],
            "license": row["license"], "made_by": "rewritten", "parent_id": row["id"], "request_id": answer.request_id,
        }, question, solution, str(candidate.result))
    out.facts.update(candidates=len(found), skills=dict(sorted(skills.items())), teacher=teacher.usage(),
                     journal=teacher.journal.folder)


# ---------------------------------------------------------------- candidates


def find_candidates(filtered: Manifest) -> list[dict[str, Any]]:
    """The rows rejected as too simple whose prompt is bare arithmetic; of a raw row's SFT and RLVR twins, the first."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for rejected in read_rejected(filtered):
        if rejected["reason"] == "too_simple":
            row = json.loads(rejected["row"])
            if read_bare(_prompt(row)):
                raw = (row["source"], row["raw_file"], row["raw_row"])
                found.setdefault(raw if row["raw_row"] is not None else (row["id"],), row)
    return list(found.values())


def plan_rewrites(rows: list[dict[str, Any]], focus: dict[str, float]) -> list[Candidate]:
    """What to ask, in order: every row of a skill in focus FOCUS_VARIANTS times, widest gap first, then the others once."""
    asked: Counter[str] = Counter()
    ordered = sorted(rows, key=lambda row: -focus.get(row["skill"], 0.0))  # stable: ties stay in file order
    aimed = [(row, v) for v in range(FOCUS_VARIANTS) for row in ordered if row["skill"] in focus]
    plan = []
    for row, variant in aimed + [(row, 0) for row in ordered if row["skill"] not in focus]:
        prompt, problem = _prompt(row), read_bare(_prompt(row))
        if problem:
            plan.append(Candidate(row, prompt, problem.answer, variant, asked[prompt]))
            asked[prompt] += 1
    return plan


def _prompt(row: dict[str, Any]) -> str:
    return next((m["content"] or "" for m in row.get("messages") or () if m["role"] == "user"), "")


# ---------------------------------------------------------------- checking


def _complaint(candidate: Candidate, question: str, solution: str, truth: str | None, seen: set[str]) -> str:
    if normalised(question) == normalised(candidate.prompt):
        return "near_copy_of_seed"
    if normalised(question) in seen:
        return "duplicate_conversation"
    is_same_result = truth is not None and verify("gsm8k", solution, str(candidate.result)).score == 1
    return "" if is_same_result else "answer_not_verified"


def _rejected(candidate: Candidate, answer: Answer | None, reason: str) -> Rejected:
    row = candidate.row
    detail = f"rewrite of {candidate.prompt!r}, whose result is {candidate.result}"
    body = row | ({"rewrite": answer.data, "request_id": answer.request_id} if answer else {})
    return Rejected(reason=reason, source=SOURCE, id=candidate.id, raw_file=row["raw_file"], raw_row=row["raw_row"],
                    detail=detail, row=body)
