"""A real SFT run through `accelerate launch`, killed in the middle and started again."""

import json
import threading
import time
from pathlib import Path

import pytest

from posttrain import pipeline
from posttrain.problems import make_problem
from posttrain.recipe import load_recipe
from posttrain.run import start_run
from posttrain.schema import Message, SFTExample
from posttrain.storage import ArtifactWriter, StageResult, join
from posttrain.train import train_stage
from posttrain.train.launch import Launcher, ProcessFailed

SAVE, STEPS = 40, 160


def prepared_run(workspace: Path):
    """A run whose mixture is 64 problems and whose base model is made; SFT takes 160 steps and saves every 40."""
    import random

    overrides = {"sft": {"max_steps": STEPS, "save_steps": SAVE, "batch_size": 16, "epochs": 100}}
    run = start_run(load_recipe("smoke", overrides), "resume", workspace=str(workspace))
    out = ArtifactWriter(join(str(workspace), "artifacts", "mix", "m"), stage="mix", key="m")
    rng = random.Random(0)
    for n in range(64):
        problem = make_problem("addition", rng)
        out.read("wp")
        out.keep(SFTExample(
            id=f"wp_{n}", source="wp", category="math", skill="addition", language="en", license="MIT",
            messages=(Message("user", problem.question), Message("assistant", problem.solution)),
        ))
    run.record("mix", StageResult(out.finish(), False, ""))
    train_stage(run, "base", [run.manifest("mix")], Launcher(lambda line: None))
    return run


def train(run, launcher: Launcher):
    return pipeline.sft(run, launcher).manifest


def weights(manifest) -> str:
    return next(entry.sha256 for entry in manifest.files if entry.name.endswith("model.safetensors"))


def test_a_killed_training_goes_on_from_its_checkpoint_and_ends_with_the_same_weights(tmp_path):
    quiet = train(prepared_run(tmp_path / "quiet"), Launcher(lambda line: None))

    run = prepared_run(tmp_path / "killed")
    launcher = Launcher(lambda line: None)
    steps = tmp_path / "killed" / "scratch" / "sft"

    def kill_after_a_checkpoint() -> None:
        while not list(steps.glob(f"*/steps/checkpoint-{SAVE}/trainer_state.json")):
            time.sleep(0.01)
        launcher.kill()

    killer = threading.Thread(target=kill_after_a_checkpoint)
    killer.start()
    with pytest.raises(ProcessFailed):
        train(run, launcher)
    killer.join()

    manifest = train(run, Launcher(lambda line: None))
    logged = [json.loads(line) for line in Path(manifest.file("metrics.jsonl")).read_text().splitlines()]
    assert sorted(row["step"] for row in logged if "loss" in row) == list(range(1, STEPS + 1))
    assert weights(manifest) == weights(quiet)
