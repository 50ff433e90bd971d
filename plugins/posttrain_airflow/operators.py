"""Operators that do a stage: in the task's process (library code), or in a process of its own (models)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowSkipException

if TYPE_CHECKING:
    from airflow.sdk import Context

    from posttrain.run import Run
    from posttrain.storage import StageResult
    from posttrain.train.launch import Launcher

RUN_ID = "{{ ti.xcom_pull(task_ids='start', key='run_id') }}"
"""The id of the run folder, as the start task pushed it."""


QUEUE_EMPTY = {"queue": "empty"}
"""Comes with the answer to the question about the review band where the page gave it because no row was open any more."""


class OutOfMemory(RuntimeError):
    """A stage's process ran out of memory: the same settings would end the same way again."""


class WrongInput(ValueError):
    """A stage's process refused its settings or its data."""


RETRY_POLICY = ExceptionRetryPolicy(rules=[
    RetryRule(exception="posttrain_airflow.operators.OutOfMemory", action=RetryAction.FAIL, reason="out of memory"),
    RetryRule(exception="posttrain.decontaminate.eval_sets.EvalFilesChanged", action=RetryAction.FAIL,
              reason="a person has to say whether the change is meant"),
    RetryRule(exception="builtins.ValueError", action=RetryAction.FAIL, reason="the recipe or the data is wrong"),
])
"""What a second try cannot mend fails at once; everything else follows the task's `retries`."""


class StageOperator(BaseOperator):
    """Does one library stage of the run and returns where its manifest is; skips what the run does not reach.

    `source` names the source of a mapped stage.
    """

    template_fields = ("run_id", "source")
    ui_color = "#e3f0fb"

    def __init__(self, *, stage: str, source: str | None = None, run_id: str = RUN_ID, **kwargs: Any) -> None:
        super().__init__(**{"retry_policy": RETRY_POLICY} | kwargs)
        self.stage, self.source, self.run_id = stage, source, run_id

    def execute(self, context: Context) -> dict[str, Any]:
        from posttrain_airflow.services import stage_environment

        run = self.load_run(context)
        if not run.wants(self.stage):
            raise AirflowSkipException(f"the run goes only until {run.until}")
        with stage_environment(run, self.stage):
            return report_result(self.do_stage(run), self.log)

    def load_run(self, context: Context) -> Run:
        from posttrain.run import load_run

        return load_run(self.run_id)

    def do_stage(self, run: Run) -> StageResult:
        from posttrain.pipeline import LIBRARY_STAGES, MAPPED_STAGES

        if self.source is not None:
            return MAPPED_STAGES[self.stage](run, self.source)
        return LIBRARY_STAGES[self.stage](run)


class ReviewOperator(StageOperator):
    """The review stage, with a person's answer for the open rows of the band in place of the recipe's where there is one."""

    def load_run(self, context: Context) -> Run:
        run = super().load_run(context)
        answer = context["ti"].xcom_pull(task_ids="review.decide_band")
        if not answer:
            return run
        choice, person = answer["chosen_options"][0], answer.get("responded_by_user")
        if answer.get("params_input") == QUEUE_EMPTY:
            self.log.info("the review band: every row was decided on the review page")
        else:
            self.log.info("rows of the review band that are open: %s, decided by %s", choice, person or "nobody in time")
            if person:
                _decide_rest(run, choice, person["name"])
        review = run.recipe.review.model_copy(update={"unattended": choice})
        return replace(run, recipe=run.recipe.model_copy(update={"review": review}))


def _decide_rest(run: Run, choice: Any, who: str) -> None:
    """A person's answer for the rows that are open is that person's decision about each of them, in the log as any other."""
    from posttrain.decontaminate.review.decision_log import DecisionLog
    from posttrain.decontaminate.review.desk import Desk, Filter

    desk = Desk(run, DecisionLog(run.workspace))
    if rows := desk.progress()["open"]:
        desk.decide_all(Filter(status="open"), choice, who, expected=rows)


class TrainOperator(StageOperator):
    """Does a model stage in a process of its own: `accelerate launch` (or Python) with an argument list.

    The process's output comes line by line into the task's log. A killed task ends the whole process group. A retry
    starts the stage again, which resumes from the last whole checkpoint in the trainer's scratch folder.
    """

    ui_color = "#fbe9d9"

    def __init__(self, *, stage: str, **kwargs: Any) -> None:
        defaults = {"retries": 2, "retry_delay": timedelta(seconds=15), "retry_exponential_backoff": True}
        super().__init__(stage=stage, **defaults | kwargs)
        self.launcher: Launcher | None = None

    def do_stage(self, run: Run) -> StageResult:
        from posttrain.pipeline import PROCESS_STAGES
        from posttrain.train.launch import Launcher, ProcessFailed

        self.launcher = Launcher(self.log.info)
        try:
            return PROCESS_STAGES[self.stage](run, self.launcher)
        except ProcessFailed as error:
            raise diagnose(str(error)) from error

    def on_kill(self) -> None:
        if self.launcher is not None:
            self.log.warning("killing the process group of stage %s", self.stage)
            self.launcher.kill()


def diagnose(failure: str) -> Exception:
    """The exception that says whether a process that printed `failure` at its end is worth another try."""
    from posttrain.recipe import RecipeError

    if any(sign in failure for sign in ("out of memory", "OutOfMemoryError", "\nMemoryError", "can't allocate memory")):
        return OutOfMemory(failure)
    if any(line.startswith(("ValueError:", f"{RecipeError.__module__}.RecipeError:")) for line in failure.splitlines()):
        return WrongInput(failure)
    return RuntimeError(failure)


def report_result(result: StageResult, log: Any) -> dict[str, Any]:
    """Log what a stage did, and give what passes to other tasks: a path and counts, never rows."""
    log.info("%s: %s", "skipped" if result.skipped else "finished", result.why)
    log.info("rows %s, written %s, reasons %s, %.1f s", result.manifest.rows, result.manifest.written,
             result.manifest.reasons, result.manifest.seconds)
    return {
        "manifest": result.manifest.path, "rows": result.manifest.rows | result.manifest.written,
        "skipped": result.skipped, "why": result.why,
    }


def unknown_keys(conf: dict[str, Any] | None, allowed: Iterable[str]) -> str:
    """A complaint about keys of `conf` that no param is called by; empty where there is none. Airflow lets them pass."""
    names = sorted(allowed)
    complaints = []
    for key in sorted(set(conf or {}) - set(names)):
        close = difflib.get_close_matches(key, names, n=1)
        complaints.append(f"unknown conf key {key!r}{f', did you mean {close[0]!r}?' if close else ''}")
    return f"{'; '.join(complaints)}; allowed: {', '.join(names)}" if complaints else ""
