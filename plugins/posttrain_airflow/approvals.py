"""Questions to a person: what to do with the review band, and whether to release. Asked only where approval is on."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLOperator

from posttrain_airflow.operators import QUEUE_EMPTY, RUN_ID, report_result

if TYPE_CHECKING:
    from airflow.sdk import Context

    from posttrain.run import Run


class DecideBand(HITLOperator):
    """Waits for a person to decide about the rows of the review band, on the review page, row by row.

    The rows are no tasks: one question links to the page and holds no worker slot. It is answered by the page when no row
    is open any more, or by a reviewer who says what becomes of the rest. Without an answer in `review.timeout_hours` the
    recipe's `review.unattended` holds for what is open. Where everything was decided in an earlier run nobody is asked.
    """

    template_fields = (*HITLOperator.template_fields, "run_id")

    def __init__(self, *, run_id: str = RUN_ID, **kwargs: Any) -> None:
        super().__init__(subject="Rows between the review and the removal cut-off", options=["paraphrase", "delete", "keep"],
                         retries=1, **kwargs)
        self.run_id = run_id

    def execute(self, context: Context) -> dict[str, Any] | None:
        from posttrain.run import load_run
        from posttrain_airflow.review_page.mount import link_to_review

        run = load_run(self.run_id)
        default = run.recipe.review.unattended
        self.defaults = [default]
        self.response_timeout = timedelta(hours=run.recipe.review.timeout_hours)
        progress = self.prepare(run)
        if progress["open"] == 0:
            self.log.info("all %d rows of the band were decided before; nobody is asked", progress["rows"])
            return {"chosen_options": [default], "params_input": QUEUE_EMPTY, "responded_by_user": None}
        page = link_to_review(context["ti"].dag_id, context["ti"].run_id)
        self.body = (
            f"{progress['open']} of {progress['rows']} rows in the review band of preset `{run.recipe.decontaminate.preset}` are "
            f"open.\n\n**[Open the review page]({page})**: the run goes on by itself when every row there is decided.\n\n"
            "Or go on now. An answer here is for the rows that are still open:\n\n- **paraphrase**: the teacher rewrites them, "
            "each is compared with the evals again, and what is still too close is deleted\n- **delete**: they leave the "
            "training data\n- **keep**: they stay as they are\n\n"
            f"Without an answer in {run.recipe.review.timeout_hours:g} hours: {default}."
        )
        super().execute(context)
        return None

    def prepare(self, run: Run) -> dict[str, int]:
        """Have the teacher's suggestions and the judge's opinions made, as far as the teacher goes; the queue's counts."""
        from posttrain.decontaminate.review.decision_log import DecisionLog
        from posttrain.decontaminate.review.desk import Desk
        from posttrain.pipeline import review_advice
        from posttrain.teacher.errors import TeacherError
        from posttrain_airflow.services import stage_environment

        progress = Desk(run, DecisionLog(run.workspace)).progress()
        if progress["open"]:
            with stage_environment(run, "review"):
                try:
                    report_result(review_advice(run), self.log)
                except TeacherError as error:
                    self.log.warning("the reviewer goes without suggestions and opinions: %s", error)
        return progress


class ApproveRelease(ApprovalOperator):
    """The question before a release, with the scores. No answer in time means no."""

    template_fields = (*ApprovalOperator.template_fields, "run_id")

    def __init__(self, *, run_id: str = RUN_ID, **kwargs: Any) -> None:
        super().__init__(subject="Release this model?", defaults=ApprovalOperator.REJECT, retries=1, **kwargs)
        self.run_id = run_id

    def execute(self, context: Context) -> None:
        from posttrain.run import load_run

        run = load_run(self.run_id)
        facts = run.manifest("gate").facts
        thresholds, table = facts["thresholds"], ["| skill | score | threshold |", "|---|---|---|"]
        table += [f"| {skill} | {score:.3f} | {thresholds.get(skill, '–')} |" for skill, score in facts["scores"].items()]
        self.body = "\n".join([f"Run `{run.run_id}`, round {run.round + 1}", "", *table])
        self.response_timeout = timedelta(hours=run.recipe.review.timeout_hours)
        super().execute(context)


def open_rows(run: Run) -> int:
    """How many rows of the review band no person has decided yet, in this run or an earlier one."""
    from posttrain.decontaminate.review.decision_log import DecisionLog
    from posttrain.decontaminate.review.desk import Desk
    from posttrain.decontaminate.review.queue import has_band

    if not has_band(run.manifest("decontaminate")):
        return 0
    return Desk(run, DecisionLog(run.workspace)).progress()["open"]
