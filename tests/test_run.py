"""A run folder: safe names, records in pipeline order, and errors that say what exists."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.recipe import STAGES, RecipeError, load_recipe
from posttrain.run import Run, load_run, readable_runs, rounds_of, run_ids, run_slug, start_run
from posttrain.storage import ArtifactWriter, StorageError, read_json


@pytest.fixture(scope="module")
def recipe():
    return load_recipe("smoke")


def write_text(text: str):
    def work(out: ArtifactWriter) -> None:
        out.write_bytes("text.txt", text.encode())

    return work


def do(run: Run, stage: str, text: str = "one", part: str = ""):
    return run.stage(stage, "posttrain.storage", inputs=[], settings={"text": text}, part=part, work=write_text(text))


# ---------------------------------------------------------------- names


@given(st.text(max_size=200))
def test_a_run_id_never_leaves_its_folder(run_id):
    if not any(c.isalnum() for c in run_id):
        with pytest.raises(ValueError, match="has no letter or digit"):
            run_slug(run_id)
        return
    slug = run_slug(run_id)
    assert ".." not in slug and "/" not in slug and "\\" not in slug and "\0" not in slug
    assert slug.isascii() and 0 < len(slug) <= 120
    assert not slug.startswith((".", "-"))
    assert (Path("/runs") / slug).resolve().parent == Path("/runs")
    assert run_slug(slug) == slug


names = st.text("aA./- _:+한é", min_size=1, max_size=8).filter(lambda name: any(c.isalnum() for c in name))


@given(st.lists(names, unique=True, max_size=8))
def test_two_run_ids_never_share_a_folder(run_ids):
    assert len({run_slug(run_id) for run_id in run_ids}) == len(run_ids)


@pytest.mark.parametrize(("run_id", "start"), [
    ("nightly-3", "nightly-3"),
    ("manual__2026-01-05T00:00:00+00:00", "manual__2026-01-05T00-00-00-00-00-"),
    ("../../etc/passwd", "etc-passwd-"),
    ("a..b", "a-b-"),
    ("한국어 실행", "run-"),
    ("x" * 300, "x" * 100 + "-"),
])
def test_a_clean_run_id_stays_and_another_gets_its_hash(run_id, start):
    slug = run_slug(run_id)
    assert slug.startswith(start)
    assert len(slug) == len(start) + (0 if slug == run_id else 8)


def test_long_ids_with_the_same_beginning_have_two_folders():
    assert run_slug("x" * 300 + "1") != run_slug("x" * 300 + "2")


# ---------------------------------------------------------------- starting and loading


def test_a_run_is_loaded_as_it_was_started(recipe, tmp_path):
    run = start_run(recipe, "r/1", round=1, root_run_id="r", focus={"b": 0.2, "a": 0.1}, until="mix", max_rounds=4,
                    approval=True, workspace=str(tmp_path))
    loaded = load_run("r/1", str(tmp_path))
    assert loaded == run
    assert list(loaded.focus) == ["a", "b"]
    assert load_run(run_slug("r/1"), str(tmp_path)) == run


def test_the_first_round_is_its_own_root_and_takes_the_recipes_round_limit(recipe, tmp_path):
    run = start_run(recipe, "one", workspace=str(tmp_path))
    assert (run.root_run_id, run.round, run.max_rounds, run.until) == ("one", 0, recipe.gate.max_rounds, "release")


@pytest.mark.parametrize("wanted", ["tow", "", "..", "../one"])
def test_a_run_that_does_not_exist_is_refused_with_the_ids_that_do(recipe, tmp_path, wanted):
    with pytest.raises(StorageError, match="runs there: none"):
        load_run(wanted, str(tmp_path))
    for run_id in ("one", "two"):
        start_run(recipe, run_id, workspace=str(tmp_path))
    with pytest.raises(StorageError, match="runs there: one, two"):
        load_run(wanted, str(tmp_path))


def test_runs_are_listed_oldest_first_and_a_restart_does_not_reorder_them(recipe, tmp_path):
    for run_id in ("zeta", "alpha", "mid"):
        start_run(recipe, run_id, workspace=str(tmp_path))
    start_run(recipe, "zeta", workspace=str(tmp_path))
    assert run_ids(str(tmp_path)) == ["zeta", "alpha", "mid"]


def test_a_restart_with_the_same_recipe_keeps_what_was_done(recipe, tmp_path):
    run = start_run(recipe, "one", until="filter", workspace=str(tmp_path))
    do(run, "filter")
    again = start_run(recipe, "one", until="release", workspace=str(tmp_path))
    assert again.has("filter") and again.until == "release"
    assert do(again, "filter").skipped


def test_a_restart_with_another_recipe_forgets_which_artifacts_were_its_own(recipe, tmp_path):
    run = start_run(recipe, "one", workspace=str(tmp_path))
    path = do(run, "filter").manifest.path
    changed = start_run(load_recipe("smoke", {"seed": 1}), "one", workspace=str(tmp_path))
    assert not changed.has("filter")
    assert (Path(path) / "manifest.json").exists()


def test_the_rounds_of_a_loop_in_order(recipe, tmp_path):
    other = start_run(recipe, "other", workspace=str(tmp_path))
    second = start_run(recipe, "one.round2", root_run_id="one", round=1, workspace=str(tmp_path))
    first = start_run(recipe, "one", workspace=str(tmp_path))
    assert [run.run_id for run in rounds_of(second)] == ["one", "one.round2"] == [run.run_id for run in rounds_of(first)]
    assert rounds_of(other) == [other]


def test_a_run_whose_recipe_is_none_any_more_does_not_stand_in_the_way(recipe, tmp_path, caplog):
    """As after a family was renamed: other runs of the workspace go on, are listed and have their report."""
    old, new = (start_run(recipe, name, workspace=str(tmp_path)) for name in ("old", "new"))
    path = Path(old.folder) / "run.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"gsm8k"', '"gsm9k"'), encoding="utf-8")
    assert rounds_of(new) == [new]
    assert list(readable_runs(str(tmp_path))) == [new]
    assert "run old is left out" in caplog.text and "gsm9k" in caplog.text
    with pytest.raises(RecipeError, match="gsm9k"):
        load_run("old", str(tmp_path))


# ---------------------------------------------------------------- records


def test_records_stand_in_pipeline_order_whatever_the_order_of_work(recipe, tmp_path):
    run = start_run(recipe, "one", workspace=str(tmp_path))
    for stage, part in [("mix", ""), ("convert", "b"), ("collect", "b"), ("convert", "a"), ("filter", ""), ("collect", "a")]:
        do(run, stage, part, part)
    found = [(record["stage"], record["part"]) for record in run.stage_records()]
    assert found == [("collect", "a"), ("collect", "b"), ("convert", "a"), ("convert", "b"), ("filter", ""), ("mix", "")]


def test_the_base_model_and_the_tokenised_mixture_stand_before_sft(recipe, tmp_path):
    run = start_run(recipe, "one", workspace=str(tmp_path))
    for stage in ("tokenize", "sft", "base", "mix"):
        do(run, stage)
    assert [record["stage"] for record in run.stage_records()] == ["mix", "base", "tokenize", "sft"]


def test_a_record_says_whether_a_stage_was_skipped_and_why(recipe, tmp_path):
    first = start_run(recipe, "one", workspace=str(tmp_path))
    second = start_run(recipe, "two", workspace=str(tmp_path))
    do(first, "filter")
    do(second, "filter")
    records = [run.stage_records()[0] for run in (first, second)]
    assert [record["skipped"] for record in records] == [False, True]
    assert records[0]["why"].startswith("done: no artifact filter/")
    assert records[1]["why"].startswith("unchanged: same settings, code and inputs as filter/")
    assert records[0]["manifest"] == records[1]["manifest"]


def test_a_stage_that_has_not_run_is_named(recipe, tmp_path):
    run = start_run(recipe, "one", workspace=str(tmp_path))
    with pytest.raises(StorageError, match="run one: stage convert of a has not finished; run it first"):
        run.manifest("convert", "a")
    assert not run.has("mix")
    do(run, "mix", "words")
    assert run.has("mix") and run.manifest("mix").settings == {"text": "words"}


def test_a_run_goes_as_far_as_it_was_told(recipe, tmp_path):
    run = start_run(recipe, "one", until="mix", workspace=str(tmp_path))
    assert [stage for stage in STAGES if run.wants(stage)] == list(STAGES[: STAGES.index("mix") + 1])


def test_a_run_in_memory(recipe):
    workspace = f"memory://{uuid.uuid4().hex}"
    run = start_run(recipe, "one", workspace=workspace)
    do(run, "filter")
    assert load_run("one", workspace) == run
    assert run_ids(workspace) == ["one"]
    assert [record["stage"] for record in run.stage_records()] == ["filter"]
    assert read_json(f"{run.folder}/run.json")["recipe"]["name"] == "smoke"
