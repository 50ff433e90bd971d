"""Questions to a person: what to do with the review band, and whether to release. Asked only where approval is on."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLOperator

from posttrain_airflow.operators import RUN_ID

if TYPE_CHECKING:
    from airflow.sdk import Context


class DecideBand(HITLOperator):
    """One decision for the whole review band: rows are a table to look at, never a task each.

    Without an answer in `review.timeout_hours` the recipe's `review.unattended` holds.
    """

    template_fields = (*HITLOperator.template_fields, "run_id")

    def __init__(self, *, run_id: str = RUN_ID, **kwargs: Any) -> None:
        super().__init__(subject="Rows between the review and the removal threshold", options=["paraphrase", "delete", "keep"],
                         retries=1, **kwargs)
        self.run_id = run_id

    def execute(self, context: Context) -> None:
        from posttrain.run import load_run

        run = load_run(self.run_id)
        found = run.manifest("decontaminate")
        self.defaults = [run.recipe.review.unattended]
        self.response_timeout = timedelta(hours=run.recipe.review.timeout_hours)
        self.body = (
            f"{band_rows(found)} rows lie in the review band of preset `{run.recipe.decontaminate.preset}`. "
            f"They are in `{found.path}`.\n\n- **paraphrase**: the teacher rewrites them, and each is "
            "checked again\n- **delete**: they leave the training data\n- **keep**: they stay as they are"
        )
        super().execute(context)


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


def band_rows(decontaminated: Any) -> int:
    """How many rows the decontaminate stage left in its review band."""
    from posttrain.decontaminate.shard import REVIEW

    return sum(entry.rows for entry in decontaminated.files if entry.split.startswith(REVIEW))
