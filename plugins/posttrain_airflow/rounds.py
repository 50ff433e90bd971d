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
from posttrain_airflow.leftovers import end_leftover_runs

log = logging.getLogger(__name__)


def run_rounds(conf: dict[str, Any]) -> bool:
    """Run round after round until the loop ends; whether every round ran to its end. A verdict is a result, not a failure."""
    from airflow.sdk import DagRunState

    dag = load_dag("tulu3")
    end_leftover_runs()
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


if __name__ == "__main__":
    sys.exit(0 if run_rounds(json.loads(sys.argv[1])) else 1)
