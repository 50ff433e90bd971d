"""A recipe over files that a test has written, done stage by stage to the mixture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from posttrain import pipeline
from posttrain.recipe import RECIPE_FOLDER, Recipe, check_recipe
from posttrain.run import Run, start_run

DATA_STAGES = ("filter", "improve", "synthesize", "index_evals", "decontaminate", "review", "mix")

MakeRecipe = Callable[..., Recipe]


def recipe_of(families: dict[str, tuple[str, str]], **sections: Any) -> dict[str, Any]:
    """Recipe smoke with sources {name: (family, file)}, all of their rows in the mixture; `sections` replace its own."""
    value = yaml.safe_load((RECIPE_FOLDER / "smoke.yaml").read_text())
    value["sources"] = [
        {"name": name, "family": family, "load": {"kind": "file", "path": path}, "origin": "a test", "license": "CC0-1.0"}
        for name, (family, path) in families.items()
    ]
    everything = [{"source": name, "proportion": 1.0} for name in families]
    value["mix"] = {"sft": everything, "preference": everything, "rlvr": everything}
    value |= {"name": "faults", "improve": {"max_rows": 0}, "synthesize": {}} | sections
    return value


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data root of a test."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("POSTTRAIN_DATA_ROOT", str(folder))
    return folder


@pytest.fixture
def run_to_mix(tmp_path: Path, data_folder: Path) -> Callable[..., Run]:
    """Does the data half, or the stages up to `until`: `run_to_mix({name: (family, file)}, filter={…})`."""

    def run(families: dict[str, tuple[str, str]], until: str = "mix", **sections: Any) -> Run:
        recipe = check_recipe(recipe_of(families, **sections), "test")
        started = start_run(recipe, "faults", until=until, workspace=str(tmp_path / "workspace"))
        for stage, do in pipeline.MAPPED_STAGES.items():
            for name in families if started.wants(stage) else ():
                do(started, name)
        for stage in filter(started.wants, DATA_STAGES):
            pipeline.LIBRARY_STAGES[stage](started)
        return started

    return run


@pytest.fixture
def recipe_file(tmp_path: Path) -> Callable[..., Path]:
    """The same recipe as a file, for the command line."""

    def write(families: dict[str, tuple[str, str]], **sections: Any) -> Path:
        path = tmp_path / "faults.yaml"
        path.write_text(yaml.safe_dump(recipe_of(families, **sections), allow_unicode=True))
        return path

    return write
