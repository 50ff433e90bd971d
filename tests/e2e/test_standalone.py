"""Airflow as a user starts it: `airflow standalone`, the form's REST request, and a loop that finishes by itself.

One Airflow serves all tests of this file, in their order; the last one stops it.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import psutil
import pytest
import yaml
from tests.e2e.standalone import START_SECONDS, Standalone, with_recipe

from posttrain.recipe import RECIPE_FOLDER
from posttrain.run import Run, load_run
from posttrain.storage import read_json

LOOP_SECONDS = 1200.0


@pytest.fixture(scope="module")
def standalone(many_rows: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    home, workspace = tmp_path_factory.mktemp("airflow"), tmp_path_factory.mktemp("workspace")
    before = os.environ["POSTTRAIN_WORKSPACE"]
    os.environ["POSTTRAIN_WORKSPACE"] = str(workspace)
    settings = {"POSTTRAIN_DATA_ROOT": str(many_rows.data), "POSTTRAIN_WORKERS": "2"}
    airflow = Standalone(home, workspace, settings | with_recipe(many_rows.recipe, home))
    try:
        airflow.wait_until_ready()
        yield airflow
    finally:
        os.environ["POSTTRAIN_WORKSPACE"] = before
        if airflow.process.poll() is None:
            airflow.stop()


def test_a_loop_started_over_the_rest_api_finishes_by_itself(standalone: Standalone) -> None:
    assert standalone.call("GET", "/api/v2/dags/tulu3")["is_paused"] is False
    assert standalone.call("GET", "/api/v2/dags/nightly_rebuild")["is_paused"] is True
    assert standalone.call("GET", "/api/v2/importErrors")["total_entries"] == 0

    with pytest.raises(HTTPError) as refused:
        standalone.call("POST", "/api/v2/dags/tulu3/dagRuns", {"logical_date": None, "conf": {"max_rounds": 99}})
    assert refused.value.code == 400, "the form's limits hold for the API as well"

    request = {"dag_run_id": "e2e", "logical_date": None, "conf": {"recipe": "smoke"}}
    standalone.call("POST", "/api/v2/dags/tulu3/dagRuns", request)

    def finished() -> list[dict[str, Any]] | None:
        runs = standalone.call("GET", "/api/v2/dags/tulu3/dagRuns?order_by=run_after")["dag_runs"]
        done = all(run["state"] in ("success", "failed") for run in runs)
        stopped = any(Path(f"{load_run(run['dag_run_id']).folder}/stop.json").exists() for run in runs if done)
        return runs if done and (stopped or any(run["state"] == "failed" for run in runs)) else None

    runs = standalone.wait("the loop ends", LOOP_SECONDS, finished)
    assert [(run["dag_run_id"], run["state"], run["run_type"]) for run in runs] == [
        ("e2e", "success", "manual"), ("e2e__r1", "success", "operator_triggered")]
    second = load_run("e2e__r1")
    assert (second.round, second.root_run_id) == (1, "e2e")
    assert second.focus == load_run("e2e").manifest("gate").facts["gaps"]
    assert "round 2 of 2 was the last one" in read_json(f"{second.folder}/stop.json")["why"]

    tasks = standalone.call("GET", "/api/v2/dags/tulu3/dagRuns/e2e__r1/taskInstances?limit=100")["task_instances"]
    states = {task["task_id"]: task["state"] for task in tasks}
    assert states["evaluate.evaluate"] == states["gate.gate"] == states["report"] == "success"
    assert states["loop_back"] == states["release.release"] == "skipped"
    assert Path(second.folder, "report.html").is_file()


def test_the_mixture_is_the_one_of_the_command_line(tmp_path: Path) -> None:
    """LocalExecutor's processes, and one process without Airflow: the same bytes."""
    arguments = [sys.executable, "-m", "posttrain", "run", "smoke", "--until", "mix", "--run-id", "alone"]
    subprocess.run(arguments, env=os.environ | {"POSTTRAIN_WORKSPACE": str(tmp_path)}, check=True, capture_output=True)
    alone, airflow = load_run("alone", str(tmp_path)).manifest("mix"), load_run("e2e").manifest("mix")
    assert [(e.name, e.sha256) for e in alone.files] == [(e.name, e.sha256) for e in airflow.files]


def test_two_workers_over_shards_write_the_mixture_of_one_process(standalone: Standalone, alone: Run) -> None:
    """22,000 rows in three shards: LocalExecutor's task starts two worker processes for each stage over them."""
    assert standalone.run_dag("many", {"recipe": "many", "until": "mix"}, LOOP_SECONDS) == "success"
    for stage in ("filter", "decontaminate"):
        assert f"{stage}: redone 3 of 3 shards, in 2 worker processes" in standalone.task_log("many", f"{stage}.{stage}")
    there, here = load_run("many").manifest("mix"), alone.manifest("mix")
    assert [(e.name, e.sha256) for e in there.files] == [(e.name, e.sha256) for e in here.files]
    assert Path(there.path) != Path(here.path) and there.rows == here.rows
    assert load_run("many").manifest("filter").facts == alone.manifest("filter").facts


def test_a_person_is_asked_before_the_release(standalone: Standalone) -> None:
    """Thresholds of 0 let the gate pass; nothing is released until somebody says yes. The stages are all done already."""
    conf = {"recipe": "smoke", "approval": True, "thresholds": {"addition": 0, "korean_division": 0}}
    standalone.call("POST", "/api/v2/dags/tulu3/dagRuns", {"dag_run_id": "asked", "logical_date": None, "conf": conf})
    path, answered = "/api/v2/dags/tulu3/dagRuns/asked", []

    def question() -> dict[str, Any] | None:
        waiting = standalone.call("GET", f"{path}/hitlDetails?response_received=false")["hitl_details"]
        return waiting[0] if waiting else None

    while "release.approve" not in answered:
        asked = standalone.wait("a question", LOOP_SECONDS, question)
        task = asked["task_instance"]["task_id"]
        if task == "release.approve":
            assert "| addition |" in asked["body"] and not load_run("asked").has("release")
        time.sleep(3)  # an answer within a second of the question can cross with the task's own end
        answered.append(task)
        if task == "review.decide_band":
            assert "/dags/tulu3/runs/asked/plugin/posttrain-review-run" in asked["body"]
            decide_the_band(standalone)
        else:
            answer = {"chosen_options": ["Approve"], "params_input": {}}
            standalone.call("PATCH", f"{path}/taskInstances/{task}/-1/hitlDetails", answer)
    standalone.wait("the run ends", LOOP_SECONDS, lambda: standalone.call("GET", path)["state"] in ("success", "failed"))
    assert standalone.call("GET", path)["state"] == "success"
    run = load_run("asked")
    assert run.manifest("gate").facts["passed"] is True
    assert Path(run.manifest("release").path).is_dir()
    assert answered[0] == "review.decide_band", "recipe smoke has a review band"
    facts = run.manifest("review").facts
    assert facts["decided_by"] == {"person": facts["band"]["rows"]} and facts["band"]["deleted"] == facts["band"]["rows"] - 1


def decide_the_band(standalone: Standalone) -> None:
    """By the review page: one row is kept, then the rest is deleted, and with the last row the run goes on by itself."""
    page = standalone.read("GET", "/posttrain-review/queue?run=asked")
    token = page.split('data-token="')[1].split('"')[0]
    item, counts = page.split('data-item="')[1].split('"')[0], re.search(r"0 of (\d+) decided", page)
    assert counts and "The run waits for this review." in page

    def post(path: str, **body: Any) -> dict[str, Any]:
        return standalone.call("POST", f"/posttrain-review/{path}", {"run": "asked"} | body, **{"X-Review-Token": token})

    assert post("decide", item=item, action="keep")["went_on"] is False
    assert post("decide-all", action="delete", expected=int(counts[1]) - 1)["went_on"] is True


def trainers(standalone: Standalone, module: str) -> list[psutil.Process]:
    """The processes under this Airflow that run a trainer's module, `accelerate launch` included."""
    found = []
    for process in standalone.process_info().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if module in process.cmdline():
                found.append(process)
    return found


def test_a_task_that_is_failed_by_hand_takes_its_trainer_along_and_can_be_cleared(standalone: Standalone) -> None:
    """Airflow's supervisor ends the task at its next heartbeat; the trainer is two processes further down."""
    path = "/api/v2/dags/tulu3/dagRuns/killed"
    conf = {"recipe": "smoke", "until": "sft", "seed": 7}
    standalone.call("POST", "/api/v2/dags/tulu3/dagRuns", {"dag_run_id": "killed", "logical_date": None, "conf": conf})
    running = standalone.wait("SFT runs", LOOP_SECONDS, lambda: trainers(standalone, "posttrain.train.sft"))
    standalone.call("PATCH", f"{path}/taskInstances/sft.sft", {"new_state": "failed"})
    assert psutil.wait_procs(running, timeout=60)[1] == [], "the trainer lives on"
    assert not load_run("killed").has("sft")
    standalone.wait("the run ends", LOOP_SECONDS, lambda: standalone.call("GET", path)["state"] in ("success", "failed"))

    standalone.call("POST", "/api/v2/dags/tulu3/clearTaskInstances",
                    {"dag_run_id": "killed", "task_ids": ["sft.sft"], "only_failed": True, "include_downstream": True,
                     "dry_run": False})
    standalone.wait("SFT is done", LOOP_SECONDS, lambda: load_run("killed").has("sft"))
    standalone.wait("the run ends", LOOP_SECONDS, lambda: standalone.call("GET", path)["state"] in ("success", "failed"))
    assert standalone.call("GET", f"{path}/taskInstances/sft.sft")["state"] == "success"


def test_a_new_eval_set_leads_to_a_training_by_two_asset_events(standalone: Standalone, tmp_path: Path) -> None:
    """The newest mixture of recipe smoke was never compared with its eval `addition`: an event, and its rows are out of it."""
    value = yaml.safe_load((RECIPE_FOLDER / "smoke.yaml").read_text(encoding="utf-8"))
    value["evals"] = [spec for spec in value["evals"] if spec["name"] != "addition"]
    value["gate"]["thresholds"].pop("addition")
    (tmp_path / "smoke.yaml").write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")
    arguments = [sys.executable, "-m", "posttrain", "run", str(tmp_path / "smoke.yaml"), "--until", "mix", "--run-id", "before"]
    subprocess.run(arguments, check=True, capture_output=True)
    standalone.wait("the API answers", START_SECONDS, lambda: standalone.log_in() or standalone.token)
    for name in ("refresh_eval_index", "train_on_new_mixture"):
        standalone.wait(f"{name} is loaded", START_SECONDS, lambda name=name: standalone.call("GET", f"/api/v2/dags/{name}"))
        standalone.call("PATCH", f"/api/v2/dags/{name}", {"is_paused": False})
    assets = {asset["name"]: asset["id"] for asset in standalone.call("GET", "/api/v2/assets")["assets"]}
    standalone.call("POST", "/api/v2/assets/events", {"asset_id": assets["eval_sets"], "extra": {"recipe": "smoke"}})

    def training() -> list[dict[str, Any]]:
        return list(standalone.call("GET", "/api/v2/dags/train_on_new_mixture/dagRuns")["dag_runs"])

    run = standalone.wait("a training", LOOP_SECONDS, training)[0]
    standalone.call("PATCH", f"/api/v2/dags/train_on_new_mixture/dagRuns/{run['dag_run_id']}", {"state": "failed"})
    assert run["run_type"] == "asset_triggered"
    path = "/api/v2/assets/events?order_by=timestamp"  # SQLite may be busy for a moment: asked again
    events = standalone.wait("the events", START_SECONDS, lambda: standalone.call("GET", path)["asset_events"])
    assert [(event["name"], event["source_dag_id"]) for event in events] == [
        ("eval_sets", None), ("training_mixture", "refresh_eval_index")]
    before, after = load_run("before").manifest("mix"), load_run(events[1]["extra"]["run_id"]).manifest("mix")
    found = after.facts["refreshed"]
    assert found["from"] == before.path and found["evals"] == ["addition"] and after.content != before.content
    assert sum(found["fell"].values()) + found["rewritten"] > 0, "smoke has its band paraphrased"


def test_ctrl_c_ends_everything(standalone: Standalone) -> None:
    group = os.getpgid(standalone.process.pid)
    assert standalone.stop() == []
    assert [p.pid for p in psutil.process_iter() if _group(p.pid) == group] == []


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1
