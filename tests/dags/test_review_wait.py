"""Nobody answers in time: the wait of `review.decide_band` in Airflow's own database, ended by Airflow's own scheduler sweep.

`dag.test()` runs the tasks and has no scheduler; the sweep that a scheduler does every few seconds is done beside it.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from posttrain.decontaminate.review.decision_log import DecisionLog
from posttrain.problems import build_problem
from posttrain.run import Run
from posttrain.storage import read_examples

TAIL = " Write one line for each step and say it in full sentences."
PROBLEMS = [build_problem("addition", 31 + n, 8 + n, random.Random(n), template=0) for n in range(2)]
TIMEOUT_SECONDS = 2.0


@pytest.fixture(scope="module")
def waiting_dag(airflow_db: Path) -> Any:
    """The two tasks of the group `review`, registered with Airflow though they are in no file."""
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.sdk import DAG, TaskGroup
    from airflow.utils.session import create_session

    from posttrain_airflow.approvals import DecideBand
    from posttrain_airflow.operators import ReviewOperator

    with DAG("wait_for_a_reviewer", schedule=None, params={"run": ""}) as dag, TaskGroup("review"):
        run_id = "{{ params.run }}"
        DecideBand(task_id="decide_band", run_id=run_id) >> ReviewOperator(task_id="review", stage="review", run_id=run_id)
    with create_session() as session:
        session.merge(DagBundleModel(name="testing"))
    bag = DagBag(dag_folder=os.devnull, collect_dags=False)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "testing", None)
    return dag


@pytest.fixture
def states(airflow_db: Path) -> Iterator[set[str]]:
    """The states of the waiting task, as a scheduler's sweep beside the run sees them."""
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    scheduler, seen, done = SchedulerJobRunner(job=Job()), set[str](), threading.Event()

    def sweep() -> None:
        while not done.wait(0.5):
            with create_session() as session:
                seen.update(map(str, session.scalars(select(TaskInstance.state).where(
                    TaskInstance.task_id == "review.decide_band", TaskInstance.dag_id == "wait_for_a_reviewer"))))
            scheduler.check_awaiting_input_timeouts()

    thread = threading.Thread(target=sweep)
    thread.start()
    yield seen
    done.set()
    thread.join()


@pytest.mark.parametrize(("default", "band"), [
    ("paraphrase", {"kept": 0, "paraphrased": 2, "deleted": 0}), ("delete", {"kept": 0, "paraphrased": 0, "deleted": 2}),
    ("keep", {"kept": 2, "paraphrased": 0, "deleted": 0}),
])
def test_after_the_time_out_the_recipes_default_holds(
    waiting_dag: Any, states: set[str], tmp_path: Path, make_review_run: Callable[..., Run], default: str, band: dict[str, int],
) -> None:
    rows = [(f"row-{n}", problem.question, problem.solution) for n, problem in enumerate(PROBLEMS)]
    run = make_review_run(os.environ["POSTTRAIN_WORKSPACE"], tmp_path, rows, [p.question + TAIL for p in PROBLEMS],
                          f"wait-{default}", review={"unattended": default, "timeout_hours": TIMEOUT_SECONDS / 3600})
    started = time.monotonic()
    finished = waiting_dag.test(run_conf={"run": run.run_id})
    assert finished.state == "success" and time.monotonic() - started > TIMEOUT_SECONDS
    assert "awaiting_input" in states, "the task waited in the state that holds no worker slot"
    answer = finished.get_task_instance("review.decide_band").xcom_pull(task_ids="review.decide_band")
    assert (answer["chosen_options"], answer["responded_by_user"]) == ([default], None)
    done = run.manifest("review")
    assert done.facts["band"] == {"rows": 2} | band and done.facts["decided_by"] == {"unattended": 2}
    assert len(list(read_examples(done))) == 2 - band["deleted"]
    mine = [line for line in DecisionLog(run.workspace).lines() if line.run_id == run.run_id]
    assert [(line.action, line.who, line.by_person) for line in mine] == [(default, f"unattended: {default}", False)] * 2
