"""`python -m posttrain_airflow.leftovers`: end the runs that a stopped `airflow dags test` or `make demo` left behind.

Both write their runs into Airflow's metadata database and have no chance to finish them when they are killed. A run that stays
"running" there for ever would keep a scheduler from starting any other, because `tulu3` allows one run at a time.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

QUIET = timedelta(minutes=2)
"""A run between two tasks has no process that could be asked; one that did nothing for so long is not between two tasks."""


def end_leftover_runs() -> list[str]:
    """Mark as failed every run of `dag.test` whose process has gone; the ids of these runs."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState, TaskInstanceState
    from airflow.utils.types import DagRunTriggeredByType
    from sqlalchemy import select

    ended = []
    with create_session() as session:
        runs = select(DagRun).where(DagRun.state == DagRunState.RUNNING, DagRun.triggered_by == DagRunTriggeredByType.TEST)
        for run in session.scalars(runs):
            tasks = run.get_task_instances(session=session)
            running = [task for task in tasks if task.state == TaskInstanceState.RUNNING]
            if any(_is_alive(task.pid) for task in running) or (not running and _is_recent(run, tasks)):
                continue
            for task in running:
                task.set_state(TaskInstanceState.FAILED, session=session)
            run.state = DagRunState.FAILED
            ended.append(run.run_id)
    return ended


def _is_alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_recent(run: Any, tasks: list[Any]) -> bool:
    times = [time for time in (run.start_date, *(task.end_date for task in tasks)) if time is not None]
    return bool(times) and datetime.now(UTC) - max(times) < QUIET


if __name__ == "__main__":
    for run_id in end_leftover_runs():
        print(f"run {run_id} was stopped before its end: marked as failed")
