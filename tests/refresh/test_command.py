"""`refresh-evals` as a user calls it."""

from __future__ import annotations

import io
import json
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml

from posttrain.cli import main
from posttrain.run import load_run, run_ids
from posttrain.storage import load_manifest, sha256_file


class Ended(tuple[int, str, str]):
    """Exit status, standard output, standard error."""


def posttrain(*arguments: str) -> Ended:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return Ended((int(ended.value.code or 0), out.getvalue(), err.getvalue()))


@pytest.fixture
def recipe(bench: Any) -> str:
    """A file with the bench's recipe: the command takes names and files."""
    return write_recipe(bench)


def write_recipe(bench: Any) -> str:
    path = Path(bench.root).parent / "smoke.yaml"
    path.write_text(yaml.safe_dump(bench.recipe.model_dump(mode="json", exclude_unset=True)), encoding="utf-8")
    return str(path)


def test_it_says_what_was_compared_and_where_the_new_version_is(bench: Any) -> None:
    bench.add_eval("farm", [bench.DUCKS])
    recipe = write_recipe(bench)
    status, out, _ = posttrain("refresh-evals", recipe, "--json")
    found = json.loads(out)
    assert status == 0 and found["evals"] == [
        {"eval": "old", "status": "known"}, {"eval": "farm", "status": "new", "items": 1, "removed": 4, "band": 0}]
    assert load_manifest(found["new"]).rows["rejected"] == 4
    assert load_run(found["run_id"]).manifest("mix").path == found["new"] and Path(found["report"]).is_file()
    status, out, _ = posttrain("refresh-evals", recipe)
    assert status == 0 and "stays as it is: it was compared with all of these evals before" in out
    status, out, _ = posttrain("diff", found["mixture"], found["new"])
    assert status == 0 and "mix: contaminated in B" in out


def test_a_workspace_and_a_mixture_can_be_named(bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bench.add_eval("farm", [bench.DUCKS])
    recipe = write_recipe(bench)
    monkeypatch.setenv("POSTTRAIN_WORKSPACE", str(tmp_path / "empty"))
    status, _, err = posttrain("refresh-evals", recipe)
    assert status == 1 and "has no mixture of recipe smoke that could be compared with new evals" in err
    status, out, _ = posttrain("refresh-evals", recipe, "--workspace", bench.workspace, "--mixture", "base")
    assert status == 0 and "4 of 10 rows fell" in out
    assert os.environ["POSTTRAIN_WORKSPACE"] == bench.workspace


def test_a_changed_file_is_an_error_with_both_hashes(bench: Any, recipe: str) -> None:
    before = sha256_file(str(bench.root / "old.jsonl"))
    after = sha256_file(str(bench.add_eval("old", [bench.DUCKS])))
    status, out, err = posttrain("refresh-evals", recipe)
    assert status == 1 and out == "" and before in err and after in err and "Traceback" not in err
    status, out, _ = posttrain("refresh-evals", recipe, "--accept", after[:12])
    assert status == 0 and "4 of 10 rows fell" in out


def test_a_run_stops_at_a_changed_file_too(bench: Any, recipe: str) -> None:
    before = sha256_file(str(bench.root / "old.jsonl"))
    after = sha256_file(str(bench.add_eval("old", [bench.DUCKS])))
    status, _, err = posttrain("run", recipe, "--until", "collect", "--run-id", "second")
    assert status == 1 and before in err and after in err and "Traceback" not in err and run_ids(bench.workspace) == ["base"]
    assert posttrain("run", recipe, "--until", "collect", "--run-id", "second", "--accept", after[:12])[0] == 0
    assert posttrain("run", recipe, "--until", "collect", "--run-id", "third")[0] == 0, "that was asked once"


def test_the_pages_and_books_of_a_run_know_the_new_version(bench: Any) -> None:
    """`report`, `show` and `books` of the run; a row that fell says so in its lineage."""
    bench.add_eval("farm", [bench.DUCKS])
    run_id = json.loads(posttrain("refresh-evals", write_recipe(bench), "--json")[1])["run_id"]
    page = Path(posttrain("report", run_id)[1].strip()).read_text(encoding="utf-8")
    assert "preference_prompts" in page
    assert posttrain("show", run_id)[0] == 0
    status, out, _ = posttrain("lineage", "pair-ducks", "--run", run_id)
    assert status == 0 and "dropped: contaminated (farm farm.jsonl:0: score 1 in turn 0" in out
