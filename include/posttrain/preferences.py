"""Preference pairs: answers of the SFT checkpoint and of the teacher, rated on four aspects, binarised.

As in Tülu 3 (section 5.2): mean of helpfulness, honesty, instruction following and truthfulness, 1 to 5; the best
answer is chosen, and the rejected one is drawn among the answers with a strictly lower mean. open-instruct's own
script also draws among equals and counts a missing rating as 1; here a tie is dropped and a missing rating is missing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.run import Run
from posttrain.schema import SCHEMAS, Message, PreferencePair, Rejected
from posttrain.storage import ArtifactWriter, Manifest, StageResult, read_rows, scratch_folder
from posttrain.teacher.client import Teacher, open_teacher
from posttrain.teacher.prompts import ASPECTS, judge, solve
from posttrain.train.job import write_job
from posttrain.train.launch import Launcher, python_arguments
from posttrain.verifiers import verify

KEPT_PROVENANCE = ("source", "category", "skill", "language", "license", "persona", "raw_file", "raw_row")
"""What a pair takes over from the prompt that it answers."""


@dataclass(frozen=True)
class Candidate:
    """One answer to a prompt. `rating` is the mean of the four aspects, None where no rating could be had."""

    text: str
    model: str
    on_policy: bool
    rating: float | None = None


def build_preferences(run: Run, checkpoint: Manifest, mixture: Manifest, launcher: Launcher) -> StageResult:
    """Split `preference`: pairs made from the mixture's preference prompts, then the mixture's ready-made pairs."""
    recipe = run.recipe
    settings = {
        "preferences": recipe.preferences.model_dump(mode="json"), "seed": recipe.seed,
        "teacher": recipe.teacher.model_dump(mode="json", include={"connection", "model", "temperature"}),
    }

    def work(out: ArtifactWriter) -> None:
        folder = Path(scratch_folder(run.workspace, "preferences", out.key))
        job = write_job(folder, recipe, {"sft": checkpoint.path, "mix": mixture.path})
        if next(read_rows(mixture, "preference_prompts"), None) and recipe.preferences.prompts:
            launcher.run(python_arguments("posttrain.train.sample", [str(job)]))
            with open_teacher(recipe.teacher, run.workspace, recipe.seed) as teacher:
                pair_up(sampled_prompts(mixture, folder / "answers.jsonl"), run, teacher, f"sft/{checkpoint.key}", out)
                out.facts["teacher"] = teacher.usage()
        for row in read_rows(mixture, "preference"):
            if row["chosen"] and row["rejected"]:
                out.read(row["source"])
                out.kept(row["source"])
                out.write("preference", row, SCHEMAS["preference"])

    return run.stage("preferences", "posttrain.preferences", inputs=[checkpoint, mixture], settings=settings, work=work)


def sampled_prompts(mixture: Manifest, answers: Path) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """The mixture's preference prompts with the checkpoint's answers, in the mixture's order."""
    rows = read_rows(mixture, "preference_prompts")
    with answers.open(encoding="utf-8") as f:
        for line in f:
            for found in json.loads(line):
                row = next(row for row in rows if row["id"] == found["id"])
                yield row, found["answers"]


def pair_up(
    prompts: Iterator[tuple[dict[str, Any], list[str]]], run: Run, teacher: Teacher, policy_model: str, out: ArtifactWriter,
) -> None:
    """Let the teacher answer and judge, then write one pair a prompt or reject the prompt with its reason."""
    rows, answers = zip(*prompts, strict=True)
    texts = [row["messages"][-1]["content"] for row in rows]
    own = [[Candidate(text, policy_model, True) for text in sorted({a.strip() for a in found} - {""})] for found in answers]
    count = run.recipe.preferences.off_policy_answers
    asked = [solve(text, index=index) for text in texts for index in range(count)]
    solved = teacher.ask_many(asked)
    for n, answer in enumerate(solved):
        candidates = own[n // count]
        if answer and answer.data["answer"] not in {c.text for c in candidates}:
            candidates.append(Candidate(answer.data["answer"], teacher.model, False))
    rated = rate(texts, own, teacher)
    for row, candidates in zip(rows, rated, strict=True):
        out.read(row["source"])
        pair = choose(row, candidates, random.Random(f"{run.recipe.seed} {row['id']}"))
        if isinstance(pair, PreferencePair):
            out.keep(pair)
        else:
            reason, detail = pair
            out.reject(Rejected(reason=reason, source=row["source"], id=row["id"], raw_file=row["raw_file"],
                                raw_row=row["raw_row"], detail=detail, row=row | {"answers": [c.text for c in candidates]}))


def rate(texts: list[str], candidates: list[list[Candidate]], teacher: Teacher) -> list[list[Candidate]]:
    """Every candidate with the mean of its four ratings; one request an answer, all of them at once."""
    verdicts = iter(teacher.ask_many([judge(text, c.text) for text, group in zip(texts, candidates, strict=True) for c in group]))
    rated = []
    for group in candidates:
        row = []
        for candidate in group:
            verdict = next(verdicts)
            mean = sum(verdict.data[aspect] for aspect in ASPECTS) / len(ASPECTS) if verdict else None
            row.append(Candidate(candidate.text, candidate.model, candidate.on_policy, mean))
        rated.append(row)
    return rated


def choose(row: dict[str, Any], candidates: list[Candidate], rng: random.Random) -> PreferencePair | tuple[str, str]:
    """One pair, or (reason, detail). Where the prompt has a verifier it must not contradict the judge's order."""
    rated = [c for c in candidates if c.rating is not None]
    if len(rated) < 2:
        unrated = len(candidates) - len(rated)
        return ("teacher_gave_up", f"{unrated} answers without a rating") if unrated else ("too_few_answers", f"{len(rated)}")
    best = max(c.rating for c in rated if c.rating is not None)
    # On-policy before off-policy among equals: the pair should move the policy, not copy the teacher.
    chosen = next(c for c in sorted(rated, key=lambda c: not c.on_policy) if c.rating == best)
    lower = [c for c in rated if c.rating is not None and c.rating < best]
    if not lower:
        return "all_answers_tied", f"{len(rated)} answers rated {best}"
    rejected = rng.choice(lower)
    if row["verifier"] and _verified(row, chosen) < _verified(row, rejected):
        return "judge_contradicts_verifier", f"chosen {chosen.text!r}, rejected {rejected.text!r}"
    prompt = tuple(Message(m["role"], m["content"]) for m in row["messages"])
    provenance = {name: row[name] for name in KEPT_PROVENANCE}
    return PreferencePair(
        **provenance, id=f"{row['id']}-pair", made_by="new", parent_id=row["id"], prompt=prompt[-1].content,
        chosen=(*prompt, Message("assistant", chosen.text)), rejected=(*prompt, Message("assistant", rejected.text)),
        chosen_model=chosen.model, rejected_model=rejected.model,
        policy="on_policy" if chosen.on_policy and rejected.on_policy else "off_policy",
    )


def _verified(row: dict[str, Any], candidate: Candidate) -> float:
    return verify(row["verifier"], candidate.text, row["ground_truth"]).score
