"""The DAGs run, in this process, through `dag.test()`: refusals, the data half, the assets, and a whole round."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from posttrain.loop import decide
from posttrain.run import load_run
from posttrain.storage import read_json


@pytest.fixture(scope="module")
def dags(airflow_db: Path) -> Any:
    from posttrain_airflow.rounds import load_dag

    return load_dag


def states(run: Any) -> dict[str, str]:
    return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}


def xcom(run: Any, task_id: str, key: str = "return_value") -> Any:
    return run.get_task_instance(task_id).xcom_pull(task_ids=task_id, key=key)


@pytest.mark.parametrize(("conf", "complaint"), [
    ({"recipe": "smoke", "max_round": 2}, "unknown conf key 'max_round', did you mean 'max_rounds'?"),
    ({"recipe": "smoke", "approval": True}, "approval is on, but nobody could answer"),
    ({"recipe": "smoke", "thresholds": {"juggling": 0.5}}, "no eval with a task measures skill 'juggling'"),
])
def test_a_wrong_request_stops_before_the_first_stage(
    dags: Any, conf: dict[str, Any], complaint: str, capfd: pytest.CaptureFixture[str],
) -> None:
    run = dags("tulu3").test(run_conf=conf)
    assert run.state == "failed"
    found = states(run)
    assert found["start"] == "failed"
    assert found["collect.collect"] == "upstream_failed" and found["release.release"] == "upstream_failed"
    assert complaint in capfd.readouterr().out


def test_until_ends_the_run_and_skips_the_rest(dags: Any) -> None:
    run = dags("tulu3").test(run_conf={"recipe": "smoke", "until": "mix", "root_run_id": "until-mix", "seed": 3})
    assert run.state == "success"
    found = states(run)
    assert found["mix.mix"] == found["stop_teacher"] == found["report"] == "success"
    assert found["review.decide_band"] == "skipped", "approval is off"
    assert {found[name] for name in ("sft.sft", "dpo.dpo", "gate.gate", "release.release", "loop_back")} == {"skipped"}
    assert load_run("until-mix").recipe.seed == 3
    result = xcom(run, "mix.mix")
    assert set(result) == {"manifest", "rows", "skipped", "why"} and result["rows"]["sft"] > 0
    from posttrain.teacher.server import is_alive

    assert not is_alive(read_json(f"{load_run('until-mix').folder}/teacher.json")["url"]), "the teardown stopped the teacher"


def test_the_mixture_is_published_once_and_trained_on(dags: Any) -> None:
    """A second rebuild with nothing changed emits nothing; a training started by hand takes the latest mixture."""
    first = dags("nightly_rebuild").test(run_conf={"recipe": "smoke"})
    assert first.state == "success" and states(first)["publish_mixture"] == "success"
    published = xcom(first, "publish_mixture")
    mixture = load_run(first.run_id).manifest("mix")
    assert published["content"] == mixture.content and published["manifest"] == mixture.path

    second = dags("nightly_rebuild").test(run_conf={"recipe": "smoke"})
    assert second.state == "success" and states(second)["publish_mixture"] == "skipped"
    assert xcom(second, "mix.mix")["skipped"] is True

    training = dags("train_on_new_mixture").test(run_conf={"until": "sft"})
    assert training.state == "success"
    run = load_run(training.run_id)
    assert run.manifest("mix").path == mixture.path
    assert run.manifest("tokenize").parents[-1]["path"] == mixture.path
    assert run.manifest("sft").parents[-1]["path"] == run.manifest("tokenize").path
    assert states(training)["dpo.dpo"] == states(training)["train_on_the_others"] == "skipped"


def test_a_mixture_that_is_named_is_trained_on(dags: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """A run without a mixture, and one that is not there, fail before anything is trained."""
    published = dags("nightly_rebuild").test(run_conf={"recipe": "smoke", "seed": 5})
    dags("nightly_rebuild").test(run_conf={"recipe": "smoke", "seed": 6})
    training = dags("train_on_new_mixture").test(run_conf={"until": "sft", "mixture_run": published.run_id})
    assert training.state == "success"
    assert load_run(training.run_id).manifest("mix").path == load_run(published.run_id).manifest("mix").path
    wrong = dags("train_on_new_mixture").test(run_conf={"until": "sft", "mixture_run": "nobody"})
    assert wrong.state == "failed" and states(wrong)["sft.sft"] == "upstream_failed"
    assert "there is no mixture to train on: no run 'nobody'" in capfd.readouterr().out


def test_mixtures_of_several_recipes_that_came_together() -> None:
    """Five events while a training ran: the run takes the last one, the newest of the two other recipes get runs of their own."""
    from posttrain_airflow.assets import TRAINING_MIXTURE
    from posttrain_airflow.starting import other_mixtures

    names = [("a", "a1"), ("b", "b1"), ("a", "a2"), ("c", "c1"), ("b", "b2")]
    events = [SimpleNamespace(extra={"recipe": recipe, "run_id": run_id}) for recipe, run_id in names]
    context: Any = {"triggering_asset_events": {TRAINING_MIXTURE: events}, "run_id": "now",
                    "params": {"until": "sft", "approval": False, "mixture_run": None}}
    assert other_mixtures(context) == [
        {"conf": {"until": "sft", "approval": False, "mixture_run": "a2"}, "trigger_run_id": "now__a"},
        {"conf": {"until": "sft", "approval": False, "mixture_run": "c1"}, "trigger_run_id": "now__c"}]
    assert other_mixtures(context | {"triggering_asset_events": {TRAINING_MIXTURE: events[:1]}}) == []
    assert other_mixtures(context | {"triggering_asset_events": {}}) == []


def test_a_whole_round_and_the_command_to_continue(dags: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """Recipe `smoke` trains too little to pass: the round ends at loop_back, which prints how to go on."""
    run = dags("tulu3").test(run_conf={"recipe": "smoke", "root_run_id": "whole"})
    assert run.state == "success", states(run)
    found = states(run)
    assert found["gate.gate"] == "success" and found["release.release"] == "skipped" and found["loop_back"] == "skipped"
    library_run = load_run("whole")
    decision = decide(library_run)
    assert decision.go and decision.run_id == "whole__r1"
    verdict = xcom(run, "gate.gate")
    assert verdict["passed"] is False and verdict["gaps"] == decision.conf["focus"]
    assert Path(xcom(run, "report")).is_file()
    out = capfd.readouterr().out
    assert "airflow dags test tulu3 --conf '{\"recipe\": \"smoke\"" in out and '"root_run_id": "whole", "round": 1' in out
