"""The gate: scores of the run's last checkpoint against the thresholds, as a verdict with every gap named."""

from __future__ import annotations

import json

from posttrain.run import Run
from posttrain.storage import ArtifactWriter, StageResult, StorageError


def find_gaps(scores: dict[str, float], thresholds: dict[str, float]) -> dict[str, float]:
    """How far each skill falls short of its threshold; a score equal to the threshold passes.

    Raises StorageError where a threshold has no score: a partial evaluation is no verdict.
    """
    missing = sorted(set(thresholds) - set(scores))
    if missing:
        raise StorageError(f"the evaluation has no score for {', '.join(missing)}; gate.thresholds asks for it")
    gaps = {skill: round(threshold - scores[skill], 6) for skill, threshold in thresholds.items() if scores[skill] < threshold}
    return dict(sorted(gaps.items()))


def judge_run(run: Run) -> StageResult:
    """Judge the last checkpoint of the recipe that was evaluated.

    facts: checkpoint, passed, scores and thresholds per skill, gaps (threshold − score, positive) per failed skill.
    """
    evaluation = run.manifest("evaluate")
    evaluated = [name for name in run.recipe.evaluate.checkpoints if name in evaluation.facts["scores"]]
    if not evaluated:
        raise StorageError(f"{evaluation.path} has scores of {', '.join(evaluation.facts['scores']) or 'nothing'}, and of none "
                           f"of the recipe's evaluate.checkpoints: {', '.join(run.recipe.evaluate.checkpoints)}")
    checkpoint = evaluated[-1]
    scores: dict[str, float] = evaluation.facts["scores"][checkpoint]
    thresholds = dict(sorted(run.recipe.gate.thresholds.items()))

    def work(out: ArtifactWriter) -> None:
        gaps = find_gaps(scores, thresholds)
        verdict = {"passed": not gaps, "checkpoint": checkpoint, "scores": scores, "thresholds": thresholds, "gaps": gaps}
        out.facts.update(verdict)
        # A file, so that another verdict is another content, and a release that was built on this one is built anew.
        out.write_bytes("verdict.json", json.dumps(verdict, sort_keys=True, indent=1).encode())

    return run.stage("gate", "posttrain.gate", inputs=[evaluation],
                     settings={"checkpoint": checkpoint, "thresholds": thresholds}, work=work)
