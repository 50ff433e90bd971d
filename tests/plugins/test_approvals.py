"""The question about the review band, as the operator asks it. Airflow's own table of questions is the only part replaced."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskAwaitingInput

from posttrain.decontaminate.review.decision_log import DecisionLog
from posttrain.decontaminate.review.desk import Desk, Filter
from posttrain.problems import build_problem
from posttrain.run import Run
from posttrain_airflow.approvals import DecideBand, open_rows
from posttrain_airflow.operators import QUEUE_EMPTY, ReviewOperator

PROBLEM = build_problem("addition", 70, 9, random.Random(0), template=0)
ITEM = PROBLEM.question + " Write one line for each step and say it in full sentences."
CONTEXT = {"ti": SimpleNamespace(dag_id="tulu3", run_id="manual__2026-01-05T00:00:00+00:00"),
           "task_instance": SimpleNamespace(id="0")}


@pytest.fixture
def run(tmp_path: Path, make_review_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("POSTTRAIN_WORKSPACE", str(tmp_path / "workspace"))
    rows = [("row", PROBLEM.question, PROBLEM.solution)]
    return make_review_run(str(tmp_path / "workspace"), tmp_path / "data", rows, [ITEM], "asked",
                           review={"unattended": "delete", "timeout_hours": 1.5})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The questions that reached Airflow."""
    questions: list[dict[str, Any]] = []
    monkeypatch.setattr("airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **fields: questions.append(fields))
    return questions


def test_the_question_links_to_the_page_and_waits_as_long_as_the_recipe_says(run: Run, asked: list[dict[str, Any]]) -> None:
    with pytest.raises(TaskAwaitingInput) as waiting:
        DecideBand(task_id="decide_band", run_id="asked").execute(CONTEXT)
    assert waiting.value.timeout == timedelta(hours=1.5)
    (question,) = asked
    assert question["options"] == ["paraphrase", "delete", "keep"] and question["defaults"] == ["delete"]
    link = "/dags/tulu3/runs/manual__2026-01-05T00%3A00%3A00%2B00%3A00/plugin/posttrain-review-run"
    assert f"]({link})" in question["body"] and "1 of 1 rows" in question["body"]
    assert "Without an answer in 1.5 hours: delete." in question["body"]
    (entry,) = Desk(run, DecisionLog(run.workspace)).entries()
    assert entry.advice.edits, "the teacher's suggestion is there before a person looks"


def test_nobody_is_asked_where_everything_was_decided_before(run: Run, asked: list[dict[str, Any]]) -> None:
    assert open_rows(run) == 1
    Desk(run, DecisionLog(run.workspace)).decide_all(Filter(status="open"), "keep", "rita", expected=1)
    assert open_rows(run) == 0
    answer = DecideBand(task_id="decide_band", run_id="asked").execute(CONTEXT)
    assert (answer["chosen_options"], answer["params_input"], asked) == (["delete"], QUEUE_EMPTY, [])


def after(answer: dict[str, Any], run: Run) -> Run:
    """The run as the review stage gets it, after this answer."""
    ti = SimpleNamespace(xcom_pull=lambda task_ids: {"chosen_options": ["delete"], "params_input": {}} | answer)
    return ReviewOperator(task_id="review", stage="review", run_id="asked").load_run({"ti": ti})


def test_a_persons_answer_for_the_open_rows_is_in_the_log_under_that_persons_name(run: Run) -> None:
    taken = after({"responded_by_user": {"id": "rita", "name": "rita"}}, run)
    assert taken.recipe.review.unattended == "delete"
    assert [(line.who, line.action, line.by_person) for line in DecisionLog(run.workspace).lines()] == [("rita", "delete", True)]


def test_no_answer_in_time_and_an_empty_queue_are_nobodys_decision(run: Run) -> None:
    assert after({"responded_by_user": None}, run).recipe.review.unattended == "delete"
    after({"responded_by_user": {"id": "rita", "name": "rita"}, "params_input": QUEUE_EMPTY}, run)
    assert DecisionLog(run.workspace).lines() == [] and open_rows(run) == 1
