"""Training stages: each starts its own script by `accelerate launch` and turns the result into an artifact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from posttrain.run import Run
from posttrain.storage import ArtifactWriter, Manifest, StageResult, scratch_folder, sha256_file
from posttrain.tokenize.tokenizer import tokenizer_settings
from posttrain.train.job import write_job
from posttrain.train.launch import Launcher, accelerate_arguments, python_arguments

SCRIPTS = {
    "base": "posttrain.train.base", "sft": "posttrain.train.sft", "dpo": "posttrain.train.dpo", "rlvr": "posttrain.train.grpo",
}

SETTINGS = {
    "base": ("model", "seed"), "sft": ("sft", "launch", "seed"), "dpo": ("dpo", "launch", "seed"),
    "rlvr": ("rlvr", "launch", "seed"),
}
"""Which parts of the recipe decide the result of a stage, beside its inputs. `launch` does: precision and number of
processes change the weights."""


def train_stage(run: Run, stage: str, inputs: list[Manifest], launcher: Launcher) -> StageResult:
    """Train in a process of its own. A run that was killed resumes from the trainer's last whole checkpoint.

    The artifact holds `checkpoint/` (model and tokenizer) and `metrics.jsonl`.
    """
    recipe = run.recipe.model_dump(mode="json")

    def work(out: ArtifactWriter) -> None:
        folder = Path(scratch_folder(run.workspace, stage, out.key))
        job = [str(write_job(folder, run.recipe, {m.stage: m.path for m in inputs}))]
        if stage == "base":
            launcher.run(python_arguments(SCRIPTS[stage], job))
        else:
            launcher.run(accelerate_arguments(run.recipe.launch, SCRIPTS[stage], job))
        take_results(folder, out)

    settings: dict[str, Any] = {name: recipe[name] for name in SETTINGS[stage]}
    if "launch" in settings and run.recipe.launch.config_file:
        settings["launch_config"] = sha256_file(run.recipe.launch.config_file)
    if stage == "base":
        settings |= tokenizer_settings(run.recipe.tokenize)
    return run.stage(stage, SCRIPTS[stage], inputs=inputs, settings=settings, work=work)


def take_results(folder: Path, out: ArtifactWriter) -> None:
    """Move checkpoint, metrics and facts from the scratch folder into the artifact."""
    metrics = folder / "metrics.jsonl"
    if metrics.exists():
        out.write_bytes("metrics.jsonl", metrics.read_bytes())
    out.facts.update(json.loads((folder / "facts.json").read_text(encoding="utf-8")))
    out.add_folder("checkpoint", str(folder / "checkpoint"))
