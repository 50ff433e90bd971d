"""Synthesize: new rows from the teacher by persona, self-play and variation, and for every skill in focus.

A row counts only when its worked answer is verified (`posttrain.teacher.worked_answers`) and its question is new.
"""

from __future__ import annotations

import logging
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from posttrain import recipe
from posttrain.schema import Rejected, guess_language
from posttrain.storage import ArtifactWriter, Manifest
from posttrain.synthesize.gap import gap_ideas
from posttrain.synthesize.ideas import PERSONAS, Idea, Pool, Seed, read_pool
from posttrain.synthesize.persona import persona_ideas
from posttrain.synthesize.self_play import self_play_ideas
from posttrain.synthesize.variation import variation_ideas
from posttrain.teacher.client import Answer, Teacher
from posttrain.teacher.examples import keep_twins, kept_prompts, normalised
from posttrain.teacher.worked_answers import check_answers

log = logging.getLogger(__name__)

METHODS: dict[str, Callable[[Pool, tuple[str, ...], random.Random], Iterator[Idea]]] = {
    "persona": persona_ideas,
    "self_play": self_play_ideas,
    "variation": variation_ideas,
}
"""A method is a stream of ideas; the keys are those of `synthesize.rows` in the recipe."""

WAVES = 2
"""The rows wanted are asked for in so many waves, so that self-play can go on from the first; then come the spares."""


def synthesize_rows(
    filtered: Manifest, settings: recipe.Synthesize, focus: dict[str, float], round: int, seed: int,
    teacher: Teacher, out: ArtifactWriter,
) -> None:
    """Make `settings.rows` rows per method (source `synthesized`) and, in a later round, rows for the gaps (source `gap`).

    Every skill in focus gets rows_per_gap rows in round 1, twice as many in round 2 if it is still in focus, and so on:
    the rows of the round before, found in the journal, and as many new ones. One row is an SFT and an RLVR example.
    read = rows asked for; rejected with teacher_gave_up, near_copy_of_seed, duplicate_conversation, answer_not_verified.
    Facts: rows kept per method and skill, `missing` where fewer than wanted could be made, the teacher's usage.
    """
    pool, seen = read_pool(filtered), kept_prompts(filtered)
    personas = settings.personas or PERSONAS
    plan = [("synthesized", method, "", wanted, METHODS[method](pool, personas, random.Random(f"{method} {seed}")))
            for method, wanted in sorted(settings.rows.items())]
    plan += [("gap", "gap", skill, settings.rows_per_gap * max(round, 1),
              gap_ideas(skill, pool, personas, random.Random(f"gap {skill} {seed}"))) for skill in sorted(focus)]
    rows, missing = dict[str, dict[str, int]](), dict[str, int]()
    for source, method, skill, wanted, ideas in plan:
        kept = make_rows(source, ideas, wanted, pool, seen, teacher, out)
        counts = Counter(rows.get(method, {})) + kept
        rows[method] = dict(sorted(counts.items()))
        if kept.total() < wanted:
            name = f"{method}.{skill}" if skill else method
            missing[name] = wanted - kept.total()
            log.warning("synthesize: %s: %d rows of %d could be made", name, kept.total(), wanted)
    out.facts.update(rows=rows, missing=missing, seeds=len(pool.seeds), teacher=teacher.usage(), journal=teacher.journal.folder)


def make_rows(
    source: str, ideas: Iterator[Idea], wanted: int, pool: Pool, seen: set[str], teacher: Teacher, out: ArtifactWriter,
) -> Counter[str]:
    """Ask in waves until `wanted` rows are kept, the ideas run out, a wave keeps nothing, or twice as many were asked."""
    kept, asked, numbered = Counter[str](), 0, enumerate(ideas)
    while (short := wanted - kept.total()) > 0:
        wave = list(islice(numbered, min(short, math.ceil(wanted / WAVES), 2 * wanted - asked)))
        before, asked = kept.total(), asked + len(wave)
        kept += _make_wave(source, wave, pool, seen, teacher, out)
        if kept.total() == before:
            break
    return kept


def _make_wave(
    source: str, wave: list[tuple[int, Idea]], pool: Pool, seen: set[str], teacher: Teacher, out: ArtifactWriter,
) -> Counter[str]:
    """Ask, drop what is no new question, check the rest, write; returns the rows kept per skill."""
    answers = teacher.ask_many([idea.ask for _, idea in wave])
    reasons = [_complaint(idea, answer, seen) for (_, idea), answer in zip(wave, answers, strict=True)]
    fresh = [n for n, reason in enumerate(reasons) if not reason]
    truths = dict(zip(fresh, check_answers(teacher, [_worked(answers[n]) for n in fresh]), strict=True))
    kept: Counter[str] = Counter()
    for n, ((number, idea), answer) in enumerate(zip(wave, answers, strict=True)):
        id_ = f"{source}_{idea.method}_{idea.skill}_{number}"
        truth = truths.get(n)
        out.read(source)
        if answer is None or truth is None:
            out.reject(_rejected(source, id_, idea, answer, reasons[n] or "answer_not_verified"))
            continue
        question, solution = _worked(answer)
        provenance = _provenance(source, id_, idea, answer, question, pool, teacher)
        keep_twins(out, provenance, question, solution, truth)
        pool.made.append(Seed(id_, idea.skill, provenance["language"], provenance["category"], provenance["license"], question))
        kept[idea.skill] += 1
    return kept


def _worked(answer: Answer | None) -> tuple[str, str]:
    return (answer.data["question"].strip(), answer.data["answer"].strip()) if answer else ("", "")


def _complaint(idea: Idea, answer: Answer | None, seen: set[str]) -> str:
    """Why the question is not a new one, or nothing; a new one is remembered in `seen`."""
    if answer is None:
        return "teacher_gave_up"
    question = normalised(_worked(answer)[0])
    if idea.parent and question == normalised(idea.parent.prompt):
        return "near_copy_of_seed"
    if question in seen:
        return "duplicate_conversation"
    seen.add(question)
    return ""


def _provenance(
    source: str, id_: str, idea: Idea, answer: Answer, question: str, pool: Pool, teacher: Teacher,
) -> dict[str, Any]:
    """A row made from a seed is bound by the seed's licence, and by the terms of a teacher that has any."""
    parent = idea.parent
    licenses = parent.license.split(" AND ") if parent else []
    if teacher.license not in licenses and (not parent or not teacher.is_procedural):
        licenses.append(teacher.license)
    return {
        "id": id_, "source": source, "skill": idea.skill, "license": " AND ".join(licenses), "made_by": "new",
        "category": parent.category if parent else pool.categories.get(idea.skill, "math"),
        "language": parent.language if parent else pool.languages.get(idea.skill) or guess_language(question),
        "parent_id": parent.id if parent else None, "persona": idea.persona, "request_id": answer.request_id,
    }


def _rejected(source: str, id_: str, idea: Idea, answer: Answer | None, reason: str) -> Rejected:
    body = {
        "task": idea.ask.task, "prompt": idea.ask.user, "skill": idea.skill, "persona": idea.persona,
        "parent_id": idea.parent.id if idea.parent else None, "answer": answer.data if answer else None,
        "request_id": answer.request_id if answer else None,
    }
    return Rejected(reason=reason, source=source, id=id_, detail=f"{idea.method} for {idea.skill}", row=body)
