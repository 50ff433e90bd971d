"""When the loop goes on, when it ends, and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from posttrain.loop import decide, next_round, record_stop, round_id
from posttrain.recipe import load_recipe
from posttrain.run import Run, start_run
from posttrain.storage import StorageError, read_json

FAILED = {"passed": False, "gaps": {"division": 0.30}}


def run_of(round: int = 0, max_rounds: int = 3, min_progress: float = 0.0, **settings: object) -> Run:
    recipe = load_recipe("smoke", {"gate": {"min_progress": min_progress}})
    root = "nightly"
    return Run(round_id(root, round), root, round, recipe, max_rounds=max_rounds, **settings)  # type: ignore[arg-type]


def test_the_first_failure_goes_on_aimed_at_its_gaps() -> None:
    decision = next_round(run_of(), FAILED, [])
    assert decision.go and decision.run_id == "nightly__r1"
    assert decision.conf == {
        "recipe": "smoke", "until": "release", "max_rounds": 3, "approval": False,
        "thresholds": {"addition": 0.8, "korean_division": 0.8}, "seed": 0,
        "root_run_id": "nightly", "round": 1, "focus": {"division": 0.30},
    }
    assert type(decision.conf["round"]) is int, "a templated conf would give '1'"
    assert "division (0.300 short)" in decision.why


def test_a_passed_gate_ends_it() -> None:
    decision = next_round(run_of(), {"passed": True, "gaps": {}}, [])
    assert (decision.go, decision.why) == (False, "the gate passed")


def test_the_round_limit_ends_it() -> None:
    """Rounds count from 0: with max_rounds = 3, round 2 is the last one."""
    assert next_round(run_of(round=1), FAILED, [{"gaps": {"division": 0.5}}]).go
    last = next_round(run_of(round=2), FAILED, [{"gaps": {"division": 0.5}}])
    assert (last.go, last.why) == (False, "round 3 of 3 was the last one (max_rounds)")


@pytest.mark.parametrize(("before", "now", "min_progress", "goes_on"), [
    ({"a": 0.40}, {"a": 0.30}, 0.0, True),
    ({"a": 0.30}, {"a": 0.30}, 0.0, False),             # stood still
    ({"a": 0.25}, {"a": 0.30}, 0.0, False),             # grew
    ({"a": 0.30, "b": 0.10}, {"a": 0.35, "b": 0.05}, 0.0, True),   # one of two shrank
    ({"a": 0.30}, {"b": 0.10}, 0.0, True),              # a closed, b opened
    ({"a": 0.40}, {"a": 0.35}, 0.05, True),             # exactly enough
    ({"a": 0.40}, {"a": 0.36}, 0.05, False),            # not enough
])
def test_no_progress_ends_it(before: dict[str, float], now: dict[str, float], min_progress: float, goes_on: bool) -> None:
    run = run_of(round=1, max_rounds=9, min_progress=min_progress)
    decision = next_round(run, {"passed": False, "gaps": now}, [{"gaps": before}])
    assert decision.go is goes_on
    assert goes_on or "no gap shrank" in decision.why


def test_only_the_round_before_counts() -> None:
    earlier = [{"gaps": {"a": 0.9}}, {"gaps": {"a": 0.2}}]
    assert not next_round(run_of(round=2, max_rounds=9), {"passed": False, "gaps": {"a": 0.3}}, earlier).go


def test_a_run_that_stops_early_starts_no_round() -> None:
    assert "only until gate" in next_round(run_of(until="gate"), FAILED, []).why


def test_every_loop_ends() -> None:
    """Gaps that shrink for ever still meet the round limit."""
    run, verdicts, rounds = run_of(max_rounds=5), [], 0
    while True:
        rounds += 1
        verdict = {"passed": False, "gaps": {"a": 1.0 / rounds}}
        decision = next_round(run, verdict, verdicts)
        if not decision.go:
            break
        verdicts.append(verdict)
        run = replace(run, round=decision.conf["round"], run_id=decision.run_id)
    assert rounds == 5


def test_decide_reads_run_folders(tmp_path: Path) -> None:
    """Verdicts of both rounds come from the run folders; a round without one is an error, not a pass."""
    recipe = load_recipe("smoke")
    runs = [start_run(recipe, round_id("r", n), root_run_id="r", round=n, max_rounds=9, workspace=str(tmp_path)) for n in (0, 1)]
    with pytest.raises(StorageError, match="gate"):
        decide(runs[0])
    for run, gap in zip(runs, (0.25, 0.5), strict=True):
        run.stage("gate", "posttrain.gate", inputs=[], settings={"gap": gap},
                  work=lambda out, gap=gap: out.facts.update(passed=False, gaps={"addition": gap}))  # type: ignore[misc]
    assert decide(runs[0]).go
    decision = decide(runs[1])
    assert not decision.go and "addition 0.250 → 0.500" in decision.why
    record_stop(runs[1], decision.why)
    assert read_json(f"{runs[1].folder}/stop.json")["why"] == decision.why
