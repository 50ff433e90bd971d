"""Every stage of the pipeline as a command with --in and --out, each fed with what the one before wrote, to a release."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from posttrain.recipe import RECIPE_FOLDER


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Recipe `smoke` with thresholds of 0, so that its model is released."""
    value = yaml.safe_load((RECIPE_FOLDER / "smoke.yaml").read_text())
    path = tmp_path / "chain.yaml"
    path.write_text(yaml.safe_dump(value | {"gate": {"thresholds": {"addition": 0.0}}, "name": "chain"}, allow_unicode=True))
    return path


def stage(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a command with --json; the counts that it prints."""
    done = subprocess.run([sys.executable, "-m", "posttrain", *arguments, "--json"], capture_output=True, text=True, cwd=folder,
                          env=os.environ | {"POSTTRAIN_WORKSPACE": str(folder / "workspace")}, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


def test_every_stage_is_a_command_up_to_a_release(tmp_path: Path, recipe: Path) -> None:
    def run(name: str, *arguments: str, out: str | None = None) -> dict[str, int]:
        counts = stage(tmp_path, name, *arguments, "--out", out or name)
        rows = counts["rows"]
        assert rows["kept"] + rows["rejected"] == rows["read"]
        assert (tmp_path / (out or name) / "manifest.json").is_file()
        return dict(counts["written"])

    given = ("--recipe", str(recipe))
    assert run("collect", "--source", "word_problems", *given) == {"raw": 400}
    assert set(run("convert", "--family", "gsm8k", "--in", "collect")) == {"sft", "rlvr"}
    assert set(run("filter", "--in", "convert", *given)) == {"sft", "rlvr"}
    assert run("improve", "--in", "filter", *given)["sft"] > 0
    assert run("synthesize", "--in", "filter", *given)["sft"] > 0
    run("index_evals", *given)
    clean = run("decontaminate", "--train", "filter", "improve", "synthesize", "--evals", "index_evals", *given)
    assert clean["sft"] > 0
    run("review", "--in", "decontaminate", "--evals", "index_evals", *given)
    assert set(run("mix", "--in", "decontaminate", "review", *given)) == {"sft", "preference_prompts", "rlvr"}
    run("sft", "--in", "mix", *given)
    assert set(run("preferences", "--in", "sft", *given)) <= {"preference"}
    run("dpo", "--in", "preferences", *given)
    run("rlvr", "--in", "dpo", *given)
    run("evaluate", "--in", "sft", "dpo", "rlvr", "--evals", "index_evals", *given)
    run("gate", "--in", "evaluate", *given)
    run("release", "--in", "gate", *given)
    assert (tmp_path / "release" / "model" / "config.json").is_file()
