"""`evals`: the sets that no training row may come close to, and that checkpoints are evaluated on."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from posttrain.recipe.sources import Load
from posttrain.section import Section

EVAL_FOLDER = Path(__file__).parents[2] / "evals"


def eval_tasks() -> list[str]:
    """The tasks that an eval may name: the folders of include/evals with a task.yaml."""
    return sorted(path.parent.name for path in EVAL_FOLDER.glob("*/task.yaml"))


class EvalSet(Section):
    """One eval set: always a decontamination target; run by the harness where `task` names a folder of include/evals."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*$")
    load: Load
    fields: tuple[str, ...] = Field(default=(), description="text that counts; the prompt field unless said")
    skill: str | None = None
    task: str | None = Field(default=None, description="folder under include/evals with a task.yaml")
    limit: int | None = Field(default=None, gt=0, description="evaluate on the first n items")
