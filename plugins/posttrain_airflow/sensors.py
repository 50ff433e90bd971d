"""The gate: waits for the evaluation of the run's checkpoint and compares every score with its threshold."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowSkipException

from posttrain_airflow.operators import RETRY_POLICY, RUN_ID

if TYPE_CHECKING:
    from airflow.sdk import Context


class EvaluationGateSensor(BaseSensorOperator):
    """Waits for the evaluation manifest of the run, then pushes the verdict, the scores and the gaps.

    Between two looks it gives its worker slot back.
    """

    template_fields = ("run_id",)
    ui_color = "#fdf3c8"

    def __init__(self, *, run_id: str = RUN_ID, **kwargs: Any) -> None:
        defaults: dict[str, Any] = {
            "mode": "reschedule", "poke_interval": timedelta(seconds=15), "timeout": timedelta(days=7),
            "retry_policy": RETRY_POLICY,
        }
        super().__init__(**defaults | kwargs)
        self.run_id = run_id

    def poke(self, context: Context) -> PokeReturnValue:
        from posttrain.pipeline import gate
        from posttrain.run import load_run

        run = load_run(self.run_id)
        if not run.wants("gate"):
            raise AirflowSkipException(f"the run goes only until {run.until}")
        if not run.has("evaluate"):
            self.log.info("no evaluation of run %s yet", run.run_id)
            return PokeReturnValue(False)
        result = gate(run)
        facts = result.manifest.facts
        for skill, score in facts["scores"].items():
            threshold = facts["thresholds"].get(skill)
            verdict = "not gated" if threshold is None else "below" if skill in facts["gaps"] else "reached"
            self.log.info("%-24s %.3f  threshold %s  %s", skill, score, "–" if threshold is None else f"{threshold:.3f}", verdict)
        self.log.info("verdict: %s", "pass" if facts["passed"] else f"fail, short of {', '.join(facts['gaps'])}")
        return PokeReturnValue(True, {
            "manifest": result.manifest.path, "passed": facts["passed"], "scores": facts["scores"], "gaps": facts["gaps"],
        })
