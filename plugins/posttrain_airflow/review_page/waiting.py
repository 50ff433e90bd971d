"""The task that waits for the review (`review.decide_band`): found in Airflow's database, and answered when nothing is open."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

TASK_ID = "review.decide_band"


@dataclass(frozen=True)
class Waiting:
    """A question that nobody has answered yet, and the library run that it is about."""

    dag_id: str
    dag_run_id: str
    map_index: int
    run_id: str
    options: tuple[str, ...]
    default: str


def waiting_for(run_id: str) -> Waiting | None:
    """The question that waits for the review of a library run."""
    return next((waiting for waiting in _all_waiting() if waiting.run_id == run_id), None)


def _all_waiting() -> list[Waiting]:
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select

    query = select(HITLDetail, TaskInstance).join(TaskInstance, TaskInstance.id == HITLDetail.ti_id).where(
        TaskInstance.task_id == TASK_ID, HITLDetail.responded_at.is_(None),
        TaskInstance.state == TaskInstanceState.AWAITING_INPUT)
    found = []
    with create_session() as session:
        for detail, task in session.execute(query).all():
            run_id = _library_run(session, task.dag_id, task.run_id)
            if run_id:
                options = tuple(detail.options or ())
                found.append(Waiting(task.dag_id, task.run_id, task.map_index, run_id, options,
                                     (detail.defaults or options)[0]))
    return found


def _library_run(session: Any, dag_id: str, dag_run_id: str) -> str | None:
    """What the start task pushed under `run_id`."""
    from airflow.models.xcom import XComModel
    from sqlalchemy import select

    row = session.execute(select(XComModel).where(
        XComModel.dag_id == dag_id, XComModel.run_id == dag_run_id, XComModel.task_id == "start", XComModel.key == "run_id",
    )).scalars().first()
    return XComModel.deserialize_value(row) if row is not None else None


def answer(waiting: Waiting, option: str, user: Any, queue_empty: bool = False) -> bool:
    """Answer a question as this user, by the function behind Airflow's own API; False where somebody was faster.

    `option` is for the rows that are open; `queue_empty` says that there are none, and the page answers by itself.
    """
    from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
    from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
    from airflow.utils.session import create_session
    from fastapi import HTTPException

    from posttrain_airflow.operators import QUEUE_EMPTY

    payload = UpdateHITLDetailPayload(chosen_options=[option], params_input=QUEUE_EMPTY if queue_empty else {})
    try:
        with create_session() as session:
            update_hitl_detail(
                dag_id=waiting.dag_id, dag_run_id=waiting.dag_run_id, task_id=TASK_ID, map_index=waiting.map_index,
                update_hitl_detail_payload=payload, user=user, session=session)
    except HTTPException as error:
        if error.status_code == 409:
            return False
        raise
    log.info("run %s goes on after its review: %s, by %s", waiting.run_id, option, user.get_name())
    return True
