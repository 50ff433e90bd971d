"""All rounds of a loop in one process, through `dag.test()`: no scheduler, no service. Started by `drive`.

    python -m posttrain_airflow.rounds '{"recipe": "demo", "root_run_id": "demo-seed0"}'

The exit status is 0 where the loop came to its end, whatever the verdict, and 1 where a stage failed.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from posttrain.loop import decide, round_id
from posttrain.recipe import STAGES
from posttrain.run import load_run

log = logging.getLogger(__name__)


def run_rounds(conf: dict[str, Any]) -> bool:
    """Run round after round until the loop ends; whether every round ran to its end. A verdict is a result, not a failure."""
    from airflow.sdk import DagRunState

    dag = load_dag("tulu3")
    end_open_runs(conf["root_run_id"])
    while True:
        finished = dag.test(run_conf=conf)
        if finished.state != DagRunState.SUCCESS:
            return False
        run = load_run(round_id(conf["root_run_id"], conf.get("round", 0)))
        if run.until != STAGES[-1]:
            return True
        decision = decide(run)
        if not decision.go:
            return True
        conf = decision.conf


def load_dag(dag_id: str) -> Any:
    from airflow.configuration import conf
    from airflow.dag_processing.dagbag import BundleDagBag

    folder = conf.get_mandatory_value("core", "dags_folder")
    bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder")
    if bag.import_errors:
        raise RuntimeError(f"DAG files that cannot be imported: {bag.import_errors}")
    return bag.dags[dag_id]


def end_open_runs(root_run_id: str) -> None:
    """Mark what a killed drive of the same loop left running as failed: a scheduler started later would take it on."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from sqlalchemy import select

    with create_session() as session:
        for run in session.scalars(select(DagRun).where(DagRun.dag_id == "tulu3", DagRun.state == DagRunState.RUNNING)):
            if (run.conf or {}).get("root_run_id") == root_run_id:
                run.state = DagRunState.FAILED


if __name__ == "__main__":
    sys.exit(0 if run_rounds(json.loads(sys.argv[1])) else 1)
