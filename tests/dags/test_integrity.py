"""All DAGs import, and have the edges, params and assets that their documentation promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from posttrain.recipe import STAGES, recipe_names

DATA_EDGES = {
    "start": ["collect.collect", "convert.convert", "index_evals.index_evals"],
    "collect.collect": ["convert.convert"],
    "convert.convert": ["filter.filter"],
    "filter.filter": ["start_teacher"],
    "start_teacher": ["improve.improve", "stop_teacher", "synthesize.synthesize"],
    "improve.improve": ["decontaminate.decontaminate"],
    "synthesize.synthesize": ["decontaminate.decontaminate"],
    "index_evals.index_evals": ["decontaminate.decontaminate"],
    "decontaminate.decontaminate": ["review.route_review"],
    "review.route_review": ["review.decide_band", "review.review"],
    "review.decide_band": ["review.review"],
    "review.review": ["mix.mix", "stop_teacher"],
    "stop_teacher": [],
}
MODEL_EDGES = {
    "sft.sft": ["preferences.start_teacher"],
    "preferences.start_teacher": ["preferences.preferences", "preferences.stop_teacher"],
    "preferences.preferences": ["dpo.dpo", "preferences.stop_teacher"],
    "preferences.stop_teacher": [],
    "dpo.dpo": ["rlvr.rlvr"],
    "rlvr.rlvr": ["evaluate.evaluate"],
    "evaluate.evaluate": ["gate.gate"],
    "gate.gate": ["gate.route_verdict"],
    "gate.route_verdict": ["loop_back", "release.approve", "release.release"],
    "release.approve": ["release.release"],
    "release.release": ["report"],
    "loop_back": ["report"],
    "report": [],
}


@pytest.fixture(scope="module")
def dags(airflow_db: Path, project: Path) -> dict[str, Any]:
    from airflow.dag_processing.dagbag import BundleDagBag

    folder = str(project / "dags")
    bag = BundleDagBag(dag_folder=folder, bundle_path=Path(folder), bundle_name="dags-folder")
    assert bag.import_errors == {}
    return dict(bag.dags)


def edges(dag: Any) -> dict[str, list[str]]:
    return {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}


def test_the_dags_that_exist(dags: dict[str, Any]) -> None:
    assert sorted(dags) == ["nightly_rebuild", "refresh_eval_index", "train_on_new_mixture", "tulu3", "watch_eval_sets"]


def test_edges_of_tulu3(dags: dict[str, Any]) -> None:
    assert edges(dags["tulu3"]) == DATA_EDGES | {"mix.mix": ["sft.sft"]} | MODEL_EDGES


def test_edges_of_nightly_rebuild(dags: dict[str, Any]) -> None:
    assert edges(dags["nightly_rebuild"]) == DATA_EDGES | {"mix.mix": ["publish_mixture"], "publish_mixture": []}


def test_edges_of_train_on_new_mixture(dags: dict[str, Any]) -> None:
    assert edges(dags["train_on_new_mixture"]) == {
        "start": ["sft.sft"], "others": ["train_on_the_others"], "train_on_the_others": []} | MODEL_EDGES


def test_edges_of_refresh_eval_index(dags: dict[str, Any]) -> None:
    assert edges(dags["refresh_eval_index"]) == {
        "start": ["index_new_evals"], "index_new_evals": ["compare_mixture"], "compare_mixture": ["review_band"],
        "review_band": ["new_mixture"], "new_mixture": ["publish_refreshed", "report_refresh"], "publish_refreshed": [],
        "report_refresh": [],
    }
    assert edges(dags["watch_eval_sets"]) == {"look": []}


def test_one_task_group_per_stage(dags: dict[str, Any]) -> None:
    groups = {group for group in dags["tulu3"].task_group.get_task_group_dict() if group}
    assert groups == set(STAGES)


def test_documentation_owner_and_schedule(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        assert dag.doc_md and dag.doc_md.strip().startswith("###"), dag.dag_id
        assert "posttrain" in dag.tags
        assert dag.catchup is False and dag.max_active_runs == 1
        assert {task.owner for task in dag.tasks} == {"posttrain"}
    assert dags["nightly_rebuild"].timetable.expression == "30 2 * * *"
    assert dags["tulu3"].is_paused_upon_creation is False, "the loop triggers it"
    for name in ("nightly_rebuild", "refresh_eval_index", "watch_eval_sets"):
        assert dags[name].is_paused_upon_creation is True, "nobody wants training to start by itself"


def test_params_of_tulu3(dags: dict[str, Any]) -> None:
    params = dags["tulu3"].params
    assert set(params) == {"recipe", "until", "max_rounds", "approval", "thresholds", "seed", "accept", "root_run_id", "round",
                           "focus"}
    assert params.get_param("recipe").schema["enum"] == recipe_names()
    assert params.get_param("until").schema["enum"] == list(STAGES)
    assert params.get_param("approval").schema["type"] == "boolean"
    params.validate()


def test_params_of_refresh_eval_index(dags: dict[str, Any]) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    params = dags["refresh_eval_index"].params
    assert set(params) == {"recipe", "accept"}
    params.validate()
    assert params.get_param("recipe").schema["enum"] == [None, *recipe_names()]
    for wrong in (["abc"], ["../../x"], "0" * 64):
        with pytest.raises(ParamValidationError):
            params.get_param("accept").resolve(wrong)


@pytest.mark.parametrize(("name", "value"), [
    ("recipe", "no_such_recipe"), ("until", "sftt"), ("max_rounds", 0), ("max_rounds", 21), ("max_rounds", "2"), ("round", "1"),
    ("approval", "yes"), ("thresholds", {"addition": 1.5}), ("thresholds", {"addition": "high"}), ("seed", -1), ("focus", [1]),
])
def test_wrong_values_are_refused(dags: dict[str, Any], name: str, value: object) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        dags["tulu3"].params.get_param(name).resolve(value)


def test_sources_and_the_mixtures_of_other_recipes_are_mapped_and_nothing_else(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        mapped = {task.task_id for task in dag.tasks if task.is_mapped}
        assert mapped <= {"collect.collect", "convert.convert", "train_on_the_others"}
    assert {task.task_id for task in dags["tulu3"].tasks if task.is_mapped} == {"collect.collect", "convert.convert"}


def test_assets(dags: dict[str, Any]) -> None:
    publish = dags["nightly_rebuild"].get_task("publish_mixture")
    assert [asset.name for asset in publish.outlets] == ["training_mixture"]
    assert [asset.name for asset in publish.inlets] == ["training_mixture"]
    assert [asset.name for asset in dags["train_on_new_mixture"].timetable.asset_condition.objects] == ["training_mixture"]
    emits = {task.task_id: [asset.name for asset in task.outlets] for dag in dags.values() for task in dag.tasks if task.outlets}
    assert emits == {"publish_mixture": ["training_mixture"], "publish_refreshed": ["training_mixture"], "look": ["eval_sets"]}
    assert [asset.name for asset in dags["refresh_eval_index"].timetable.asset_condition.objects] == ["eval_sets"]
    assert dags["watch_eval_sets"].timetable.expression == "10 * * * *"


def test_models_run_in_processes_and_are_retried(dags: dict[str, Any]) -> None:
    from posttrain_airflow.operators import TrainOperator

    training = {task.task_id: task for task in dags["tulu3"].tasks if isinstance(task, TrainOperator)}
    assert set(training) == {"sft.sft", "preferences.preferences", "dpo.dpo", "rlvr.rlvr", "evaluate.evaluate"}
    assert {task.retries for task in training.values()} == {2}


def test_the_gate_holds_no_slot_and_the_report_hides_no_failure(dags: dict[str, Any]) -> None:
    dag = dags["tulu3"]
    assert dag.get_task("gate.gate").reschedule is True
    assert dag.get_task("report").is_teardown and not dag.get_task("report").on_failure_fail_dagrun
    assert dag.get_task("stop_teacher").is_teardown and dag.get_task("start_teacher").is_setup


@pytest.mark.parametrize("syntax", ["glob", "regexp"])
def test_the_plugin_scanner_sees_one_file(project: Path, syntax: str) -> None:
    """In both syntaxes of .airflowignore: what it sees it executes under its bare name, a second time."""
    from airflow._shared.module_loading.file_discovery import find_path_from_directory

    found = find_path_from_directory(str(project / "plugins"), ".airflowignore", syntax)
    assert [Path(path).name for path in found if path.endswith(".py")] == ["posttrain_plugin.py"]


def test_dag_files_are_wiring(project: Path) -> None:
    for path in (project / "dags").glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 200, path


PARSE = """
import json, sys, time
import airflow.sdk, airflow.providers.standard.operators.hitl, airflow.providers.standard.operators.trigger_dagrun
started = time.monotonic()
sys.path.append(sys.argv[1])
import tulu3, nightly_rebuild, train_on_new_mixture, refresh_eval_index, watch_eval_sets
heavy = {"torch", "transformers", "datasets", "trl", "lm_eval", "matplotlib", "pandas", "elasticsearch", "openai", "accelerate"}
print(json.dumps({"seconds": time.monotonic() - started, "heavy": sorted(heavy & set(sys.modules))}))
"""


def test_parsing_is_light_and_fast(project: Path) -> None:
    """In a fresh interpreter: nothing heavy is imported, and all DAG files together take less than 3 s beside Airflow itself."""
    done = subprocess.run([sys.executable, "-c", PARSE, str(project / "dags")], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["heavy"] == []
    assert found["seconds"] < 3.0
