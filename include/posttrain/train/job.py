"""What a trainer's process is told, and where it writes: one JSON file, one scratch folder.

    <scratch>/job.json        recipe, inputs (manifest folders by stage)
              steps/          the trainer's own checkpoints, from which a retry resumes
              metrics.jsonl   one object a logged step
              checkpoint/     the result: model and tokenizer
              facts.json      what the artifact's manifest will say
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.recipe import Recipe, check_recipe


@dataclass(frozen=True)
class Job:
    recipe: Recipe
    inputs: dict[str, str]
    folder: Path

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint"

    @property
    def steps(self) -> Path:
        return self.folder / "steps"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    def log(self, text: str) -> None:
        """One line on standard output, which the launcher passes on to the task's log."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def write_facts(self, facts: dict[str, Any]) -> None:
        (self.folder / "facts.json").write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")


def write_job(folder: Path, recipe: Recipe, inputs: dict[str, str]) -> Path:
    path = folder / "job.json"
    value = {"recipe": recipe.model_dump(mode="json"), "inputs": inputs}
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


def read_job(path: str) -> Job:
    value = json.loads(Path(path).read_text(encoding="utf-8"))
    return Job(check_recipe(value["recipe"], path), value["inputs"], Path(path).parent)


def last_complete_checkpoint(steps: Path) -> str | None:
    """The newest checkpoint folder of a trainer that is whole: `trainer_state.json` is written last, and all of it."""
    whole = [path.parent for path in steps.glob("checkpoint-*/trainer_state.json") if _is_json(path)]
    return str(max(whole, key=lambda folder: int(folder.name.rsplit("-", 1)[1]))) if whole else None


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # cut off by a kill: in the middle of a value, or of a character
        return False
    return True
