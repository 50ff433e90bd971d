"""Two nights of the data half: recipe smoke, and the same with a longer source, a stricter filter and nothing rewritten."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from posttrain.cli.runs import run_stages
from posttrain.recipe import load_recipe
from posttrain.run import Run, load_run, start_run


@pytest.fixture(scope="session")
def nights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """The runs `monday` and `tuesday` of one workspace, as far as the mixture."""
    workspace = str(tmp_path_factory.mktemp("nights"))
    monday = load_recipe("smoke")
    source = monday.sources[0].model_dump(mode="json", exclude_unset=True)
    changed = {"sources": [source | {"load": source["load"] | {"rows": 410}}], "filter": {"min_tokens": 20},
               "improve": {"max_rows": 0}, "mix": {"rlvr": [{"source": "word_problems", "count": 60}]}}
    runs = (start_run(monday, "monday", until="mix", workspace=workspace),
            start_run(load_recipe("smoke", changed), "tuesday", until="mix", workspace=workspace))
    for run in runs:
        run_stages(run)
    return runs


@pytest.fixture
def doctored(nights: tuple[Run, Run], tmp_path: Path) -> Run:
    """A copy of monday whose artifacts a test may spoil."""
    folder = tmp_path / "copy"
    shutil.copytree(nights[0].workspace, folder)
    for path in list(folder.rglob("*.json")):
        path.write_text(path.read_text(encoding="utf-8").replace(nights[0].workspace, str(folder)), encoding="utf-8")
    return load_run("monday", str(folder))
