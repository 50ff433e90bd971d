"""The loop: from a verdict to the next round, aimed at the skills that fell short, or to the reason to stop."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from posttrain.recipe import STAGES
from posttrain.run import Run, load_run
from posttrain.storage import join, write_json


@dataclass(frozen=True)
class Decision:
    """Whether another round follows. `run_id` and `conf` are the next run's; `why` is for people."""

    go: bool
    why: str
    run_id: str = ""
    conf: dict[str, Any] = field(default_factory=dict)


def round_id(root_run_id: str, round: int) -> str:
    """The run id of a round, counted from 0: deterministic, so that a retry never starts the same round twice."""
    return root_run_id if round == 0 else f"{root_run_id}__r{round}"


def next_round(run: Run, verdict: dict[str, Any], earlier: list[dict[str, Any]]) -> Decision:
    """Decide on the verdict of `run` (`passed`, `gaps`) and those of the rounds before it, oldest first.

    The loop ends when the gate passes, at the round limit, and when no gap shrank by at least `gate.min_progress`
    since the round before: {"division": 0.30} after {"division": 0.25} stops, after {"division": 0.40} goes on.
    A skill that an earlier round aimed at stays in focus: without its extra rows it would fall short again.
    """
    if verdict["passed"]:
        return Decision(False, "the gate passed")
    if run.until != STAGES[-1]:
        return Decision(False, f"the run was asked to go only until {run.until}")
    if run.round + 1 >= run.max_rounds:
        return Decision(False, f"round {run.round + 1} of {run.max_rounds} was the last one (max_rounds)")
    gaps: dict[str, float] = verdict["gaps"]
    if earlier:
        before: dict[str, float] = earlier[-1]["gaps"]
        shrunk = {skill: round(gap - gaps.get(skill, 0.0), 6) for skill, gap in before.items()}
        if not any(by > 0 and by >= run.recipe.gate.min_progress for by in shrunk.values()):
            changes = ", ".join(f"{skill} {gap:.3f} → {gaps.get(skill, 0.0):.3f}" for skill, gap in before.items())
            least = run.recipe.gate.min_progress
            return Decision(False, f"no gap shrank{f' by at least {least:g}' if least else ''} since the round before: {changes}")
    conf = {
        "recipe": run.recipe.name, "until": run.until, "max_rounds": run.max_rounds, "approval": run.approval,
        "thresholds": dict(run.recipe.gate.thresholds), "seed": run.recipe.seed,
        "root_run_id": run.root_run_id, "round": run.round + 1, "focus": {**run.focus, **gaps},
    }
    aim = ", ".join(f"{skill} ({gap:.3f} short)" for skill, gap in gaps.items())
    return Decision(True, f"round {run.round + 2} aims at {aim}", round_id(run.root_run_id, run.round + 1), conf)


def decide(run: Run) -> Decision:
    """`next_round` on the verdicts that the run and its earlier rounds left in their folders."""
    earlier = [load_run(round_id(run.root_run_id, n), run.workspace).manifest("gate").facts for n in range(run.round)]
    return next_round(run, run.manifest("gate").facts, earlier)


def record_stop(run: Run, why: str) -> None:
    """Leave the reason why the loop ended here in the run folder (`stop.json`)."""
    write_json(join(run.folder, "stop.json"), {"why": why, "round": run.round, "stopped_at": time.time()})
