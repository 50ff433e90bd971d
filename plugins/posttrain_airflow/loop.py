"""The loop back: the next round as a run of its own, with a deterministic id and integers that stay integers."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowSkipException

from posttrain_airflow.operators import RUN_ID

if TYPE_CHECKING:
    from airflow.sdk import Context


class NextRound(TriggerDagRunOperator):
    """Triggers the next round where the loop goes on; where it ends, leaves the reason in the run folder and skips.

    `airflow dags test` has no scheduler that could run what is triggered: there the command to continue is printed.
    """

    template_fields = (*TriggerDagRunOperator.template_fields, "library_run_id")
    ui_color = "#f3e3f7"

    def __init__(self, *, library_run_id: str = RUN_ID, **kwargs: Any) -> None:
        super().__init__(skip_when_already_exists=True, **kwargs)
        self.library_run_id = library_run_id

    def execute(self, context: Context) -> None:
        from posttrain.loop import decide, record_stop
        from posttrain.run import load_run

        run = load_run(self.library_run_id)
        decision = decide(run)
        if not decision.go:
            record_stop(run, decision.why)
            raise AirflowSkipException(f"the loop ends: {decision.why}")
        self.log.info("the loop goes on: %s", decision.why)
        if runs_in_process():
            command = continue_command(self.trigger_dag_id, decision.conf)
            self.log.info("no scheduler is running this. To continue:\n\n    %s\n", command)
            raise AirflowSkipException("one round at a time under `airflow dags test`")
        self.trigger_run_id = decision.run_id
        self.conf = decision.conf
        super().execute(context)


def continue_command(dag_id: str, conf: dict[str, Any]) -> str:
    """The shell command that runs a round without a scheduler."""
    return f"airflow dags test {dag_id} --conf {shlex.quote(json.dumps(conf, ensure_ascii=False))}"


def runs_in_process() -> bool:
    """Whether the task runs under `dag.test()` / `airflow dags test`, whose supervisor is an object of this process."""
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

    return isinstance(getattr(task_runner, "SUPERVISOR_COMMS", None), InProcessSupervisorComms)
