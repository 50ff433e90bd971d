"""The evaluate stage: every checkpoint on every eval with a task, in a process of its own; every generation is saved."""

from __future__ import annotations

import json
from pathlib import Path

from posttrain.recipe.evals import EVAL_FOLDER, eval_tasks
from posttrain.run import Run
from posttrain.storage import ArtifactWriter, Manifest, StageResult, scratch_folder, sha256_file
from posttrain.train.job import write_job
from posttrain.train.launch import Launcher, python_arguments


def task_file(task: str) -> Path:
    """The harness configuration of an eval: include/evals/<task>/task.yaml. Raises FileNotFoundError naming what exists."""
    path = EVAL_FOLDER / task / "task.yaml"
    if not path.is_file():
        raise FileNotFoundError(f"no eval task {task!r} under include/evals; there are: {', '.join(eval_tasks())}")
    return path


def evaluate_checkpoints(
    run: Run, checkpoints: dict[str, Manifest], index: Manifest, launcher: Launcher,
) -> StageResult:
    """Scores per checkpoint, task and skill in `facts`; `generations.parquet` holds every prompt and completion.

    A skill's score is the plain mean of its evals' scores, from 0 to 1.
    """
    tasks = {e.name: e for e in run.recipe.evals if e.task}
    settings = {
        "evaluate": run.recipe.evaluate.model_dump(mode="json"),
        "evals": [e.model_dump(mode="json", include={"name", "skill", "task", "limit"}) for e in tasks.values()],
        "tasks": {e.task: sha256_file(str(task_file(e.task))) for e in tasks.values() if e.task},
    }

    def work(out: ArtifactWriter) -> None:
        folder = Path(scratch_folder(run.workspace, "evaluate", out.key))
        inputs = {"index_evals": index.path, **{name: m.file("checkpoint") for name, m in checkpoints.items()}}
        launcher.run(python_arguments("posttrain.evaluate.harness", [str(write_job(folder, run.recipe, inputs))]))
        out.facts.update(json.loads((folder / "facts.json").read_text(encoding="utf-8")))
        out.write_bytes("generations.parquet", (folder / "generations.parquet").read_bytes())

    inputs = [index, *checkpoints.values()]
    return run.stage("evaluate", "posttrain.evaluate.harness", inputs=inputs, settings=settings, work=work)
