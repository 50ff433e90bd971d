"""Runs that a killed `airflow dags test` leaves behind, with a real one and a real metadata database."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from posttrain_airflow.leftovers import end_leftover_runs

SLEEPER = """
from airflow.sdk import DAG, task
with DAG("sleeper", schedule=None):
    @task
    def sleep():
        import time
        time.sleep(300)
    sleep()
"""


def states(home: Path, dag_id: str) -> list[str]:
    with sqlite3.connect(home / "airflow.db") as database:
        return [state for (state,) in database.execute("select state from dag_run where dag_id = ? order by run_id", [dag_id])]


def running_pid(home: Path) -> int | None:
    with sqlite3.connect(home / "airflow.db") as database:
        row = database.execute("select pid from task_instance where dag_id = 'sleeper' and state = 'running'").fetchone()
    return row and row[0]


def test_a_run_is_ended_when_its_process_has_gone_and_not_before(airflow_db: Path, tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    process = subprocess.Popen([sys.executable, "-m", "airflow", "dags", "test", "sleeper"], start_new_session=True,
                               env=os.environ | {"AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path)},
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while running_pid(airflow_db) is None and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.2)
        assert states(airflow_db, "sleeper") == ["running"]
        end_leftover_runs()
        assert states(airflow_db, "sleeper") == ["running"]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert len(end_leftover_runs()) == 1
    assert states(airflow_db, "sleeper") == ["failed"] and running_pid(airflow_db) is None


def add_run(run_id: str, triggered_by: str, age: timedelta) -> None:
    """A running run between two tasks."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    with create_session() as session:
        session.add(DagRun(dag_id="between", run_id=run_id, run_type=DagRunType.MANUAL, state=DagRunState.RUNNING,
                           start_date=datetime.now(UTC) - age, triggered_by=DagRunTriggeredByType[triggered_by]))


def test_a_run_between_two_tasks_is_given_two_minutes_and_a_schedulers_run_is_left_alone(airflow_db: Path) -> None:
    add_run("1-killed", "TEST", timedelta(hours=1))
    add_run("2-just-started", "TEST", timedelta(0))
    add_run("3-of-a-scheduler", "REST_API", timedelta(hours=1))
    assert end_leftover_runs() == ["1-killed"]
    assert states(airflow_db, "between") == ["failed", "running", "running"]
