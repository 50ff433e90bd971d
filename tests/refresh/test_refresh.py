"""A new eval set against a finished mixture: which rows fall, what stays byte for byte, and that nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from posttrain import pipeline
from posttrain.decontaminate.eval_changes import accepted_changes
from posttrain.decontaminate.eval_sets import EvalFilesChanged
from posttrain.refresh import NoMixture, Refresh, compare, index_new, new_version, review, start_refresh
from posttrain.run import run_ids, start_run
from posttrain.storage import Manifest, StageResult, read_rejected, sha256_file

Ids = Callable[[Manifest], dict[str, list[str]]]


def do(refresh: Refresh) -> tuple[list[StageResult], StageResult | None]:
    """All steps; what the stages gave, and the new version."""
    return [*index_new(refresh), *compare(refresh), *review(refresh)], new_version(refresh)


def test_rows_that_the_new_eval_contains_fall_in_every_split(bench: Any, ids: Ids) -> None:
    before = bench.mixture()
    bench.add_eval("farm", [bench.DUCKS])
    refresh = start_refresh(bench.recipe)
    assert [(state.name, state.status) for state in refresh.states] == [("old", "known"), ("farm", "new")]
    _, made = do(refresh)
    assert made is not None and made.manifest.stage == "mix" and refresh.run.manifest("mix").path == made.manifest.path
    assert ids(made.manifest) == {
        "sft": ["bread", "train", "bread"], "preference_prompts": ["bread"], "preference": ["pair-bread"], "rlvr": ["tower"]}
    assert ids(before)["sft"] == ["bread", "train", "ducks", "bread", "ducks"], "the old version stays as it is"
    assert [(row["id"], row["reason"]) for row in read_rejected(made.manifest)] == [
        ("pair-ducks", "contaminated"), ("ducks", "contaminated"), ("ducks", "contaminated"), ("ducks", "contaminated")]
    assert made.manifest.rows == {"read": 10, "kept": 6, "rejected": 4}
    assert made.manifest.facts["refreshed"]["fell"] == {"preference": 1, "preference_prompts": 1, "sft": 2}


@pytest.mark.parametrize("preset", ["seed", "balanced"])
def test_every_preset_takes_out_a_copy(bench: Any, ids: Ids, preset: str) -> None:
    bench.settings = {"preset": preset}
    bench.mixture()
    bench.add_eval("farm", [bench.DUCKS])
    _, made = do(start_refresh(bench.recipe))
    assert made and ids(made.manifest)["sft"] == ["bread", "train", "bread"]


def test_parts_without_a_row_that_falls_are_the_old_files(bench: Any) -> None:
    before = bench.mixture()
    bench.add_eval("farm", [bench.DUCKS])
    _, made = do(start_refresh(bench.recipe))
    assert made
    old = {entry.name: entry.sha256 for entry in before.files}
    same = {entry.name for entry in made.manifest.files if old.get(entry.name) == entry.sha256}
    assert same == {"part-sft-00000.parquet", "part-rlvr-00000.parquet"}, "the ducks are in every other file"
    assert all(sha256_file(before.file(name)) == digest for name, digest in old.items()), "and no old file was written to"


def test_eval_files_are_not_written(bench: Any) -> None:
    path = bench.add_eval("farm", [bench.DUCKS])
    before = path.read_bytes(), path.stat().st_mtime_ns
    do(start_refresh(bench.recipe))
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before and sorted(p.name for p in bench.root.iterdir()) == [
        "farm.jsonl", "old.jsonl"]


def test_nothing_falls_and_nothing_is_made(bench: Any) -> None:
    bench.add_eval("chess", ["White moves the queen in front of the king and mates in two moves whatever black replies to that"])
    stages, made = do(refresh := start_refresh(bench.recipe))
    assert made is None and not refresh.run.has("mix")
    assert start_refresh(bench.recipe).mixture.path == refresh.mixture.path, "the run without a mixture is not the current one"
    assert [result.skipped for result in stages] == [False, False, False]


def test_a_second_refresh_does_nothing_again(bench: Any) -> None:
    bench.add_eval("chess", ["White moves the queen in front of the king and mates in two moves whatever black replies to that"])
    do(start_refresh(bench.recipe))
    again, made = do(start_refresh(bench.recipe))
    assert [result.skipped for result in again] == [True, True, True] and made is None
    bench.add_eval("farm", [bench.DUCKS])
    stages, _ = do(refresh := start_refresh(bench.recipe))
    assert [state.name for state in refresh.pending] == ["chess", "farm"]
    assert [result.skipped for result in stages] == [True, False, True, False, False], "chess is not compared a second time"
    assert start_refresh(bench.recipe).pending == [], "the new version knows both"
    assert len(run_ids(bench.workspace)) == 3


def test_the_next_eval_set_goes_on_from_the_new_version(bench: Any, ids: Ids) -> None:
    bench.add_eval("farm", [bench.DUCKS])
    _, second = do(start_refresh(bench.recipe))
    bench.add_eval("rails", [bench.TRAIN])
    refresh = start_refresh(bench.recipe)
    assert second and refresh.mixture.path == second.manifest.path and [s.name for s in refresh.pending] == ["rails"]
    _, third = do(refresh)
    assert third and ids(third.manifest)["sft"] == ["bread", "bread"]
    assert third.manifest.facts["refreshed"]["fell_since_mixed"] == {"preference": 1, "preference_prompts": 1, "sft": 3}
    assert third.manifest.facts["refreshed"]["fell"] == {"sft": 1}


def test_a_killed_comparison_goes_on_with_the_shards_that_are_missing(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from posttrain.refresh import comparison as module

    bench.add_eval("farm", [bench.DUCKS])
    index_new(refresh := start_refresh(bench.recipe))
    real, done = module.compare_part, []

    def killed(shard: object, job: object, out: object) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(shard)
        real(shard, job, out)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "compare_part", killed)
    with pytest.raises(KeyboardInterrupt):
        compare(refresh)
    monkeypatch.setattr(module, "compare_part", real)
    result = compare(start_refresh(bench.recipe))[0]
    assert result.manifest.facts["shards"] == {"all": 6, "redone": 4}


# ---------------------------------------------------------------- changed eval sets


def test_a_file_that_changed_under_its_name_stops_with_both_hashes(bench: Any) -> None:
    before = sha256_file(str(bench.root / "old.jsonl"))
    path = bench.add_eval("old", [bench.DUCKS])
    after = sha256_file(str(path))
    with pytest.raises(EvalFilesChanged) as caught:
        start_refresh(bench.recipe)
    assert f"old.jsonl (eval old): sha256 {before} when the mixture was compared with it, now {after}" in str(caught.value)
    assert f"refresh-evals smoke --accept {after[:12]}" in str(caught.value)
    assert run_ids(bench.workspace) == ["base"], "no run was made"


def test_an_accepted_change_is_compared_and_stays_accepted(bench: Any, ids: Ids) -> None:
    after = sha256_file(str(bench.add_eval("old", [bench.DUCKS])))
    refresh = start_refresh(bench.recipe, accept=[after[:12]])
    assert [(state.name, state.status) for state in refresh.pending] == [("old", "changed")]
    _, made = do(refresh)
    assert made and ids(made.manifest)["sft"] == ["bread", "train", "bread"]
    logged = [(line["eval"], line["file"], line["after"]) for line in accepted_changes(bench.workspace)]
    assert logged == [("old", "old.jsonl", after)]
    assert start_refresh(bench.recipe).pending == []


def test_a_change_that_is_accepted_and_takes_no_row_is_not_asked_about_again(bench: Any) -> None:
    after = sha256_file(str(bench.add_eval("old", ["Something else entirely that nobody in the mixture has ever asked about"])))
    _, made = do(start_refresh(bench.recipe, accept=[after]))
    assert made is None
    again, made = do(start_refresh(bench.recipe))
    assert made is None and all(result.skipped for result in again)


@pytest.mark.parametrize(("accept", "complaint"), [
    (["abc"], "'abc' accepts nothing: give at least the first 12 hex digits"),
    (["0" * 12], "no eval file that changed has the sha256 000000000000"),
])
def test_what_is_accepted_must_be_the_new_hash(bench: Any, accept: list[str], complaint: str) -> None:
    bench.add_eval("old", [bench.DUCKS])
    with pytest.raises(ValueError, match=complaint):
        start_refresh(bench.recipe, accept=accept)
    assert accepted_changes(bench.workspace) == []


def test_the_new_version_under_a_name_of_its_own_needs_no_acceptance(bench: Any) -> None:
    bench.add_eval("old-v2", [bench.DUCKS])
    assert [(s.name, s.status) for s in start_refresh(bench.recipe).states] == [("old", "known"), ("old-v2", "new")]


def test_another_path_in_the_recipe_is_a_change_on_purpose(bench: Any) -> None:
    bench.add_eval("old", [bench.DUCKS], file="old-2026.jsonl")
    assert [(s.name, s.status) for s in start_refresh(bench.recipe).pending] == [("old", "changed")]


def test_other_fields_are_compared_again(bench: Any) -> None:
    bench.evals["old"]["fields"] = ["question", "passage"]
    assert [(s.name, s.status) for s in start_refresh(bench.recipe).pending] == [("old", "changed")]


def test_a_renamed_eval_set_is_known_by_its_content(bench: Any) -> None:
    bench.evals["older"] = bench.evals.pop("old") | {"name": "older"}
    assert start_refresh(bench.recipe).pending == []


def test_an_eval_file_that_changes_during_the_comparison_stops_it(bench: Any) -> None:
    path = bench.add_eval("farm", [bench.DUCKS])
    index_new(refresh := start_refresh(bench.recipe))
    before = sha256_file(str(path))
    path.write_text(path.read_text() + "\n")
    with pytest.raises(EvalFilesChanged, match=f"{before} when indexed, now {sha256_file(str(path))}"):
        compare(refresh)


def test_without_a_mixture_there_is_nothing_to_refresh(bench: Any) -> None:
    with pytest.raises(NoMixture, match="no mixture of recipe other"):
        start_refresh(bench.recipe.model_copy(update={"name": "other"}))


# ---------------------------------------------------------------- the review band


@pytest.mark.parametrize(("unattended", "left"), [("delete", []), ("keep", ["half"])])
def test_the_band_goes_by_the_settings_of_the_review(bench: Any, ids: Ids, unattended: str, left: list[str]) -> None:
    bench.settings = {"cut_offs": {"ngram_coverage": {"remove": 0.5, "review": 0.3}}}
    bench.review = {"unattended": unattended}
    half, bread = bench.sft("half", bench.HALF_TOWER), bench.sft("bread", bench.BREAD)
    bench.mixture({"sft": [half, bread, half]}, "later")
    bench.add_eval("harbour", [bench.TOWER])
    stages, made = do(start_refresh(bench.recipe))
    assert [result.manifest.stage for result in stages][:4] == ["index_evals", "refresh", "index_evals", "review"]
    reviewed = stages[3].manifest
    assert reviewed.rows["read"] == 1, "the row stands in the mixture twice, and is decided about once"
    if left:
        assert made is None
    else:
        assert made and ids(made.manifest) == {"sft": ["bread"]}
        assert made.manifest.reasons == {"deleted_by_reviewer": 2}


def test_two_rows_of_one_name_in_the_band_are_not_taken_for_each_other(bench: Any, ids: Ids) -> None:
    bench.settings = {"cut_offs": {"ngram_coverage": {"remove": 0.5, "review": 0.3}}}
    bench.review = {"unattended": "keep"}
    one, other = bench.sft("half", bench.HALF_TOWER), bench.sft("half", bench.HALF_TOWER + " today")
    bench.mixture({"sft": [one, other, bench.sft("bread", bench.BREAD)]}, "later")
    bench.add_eval("harbour", [bench.TOWER])
    _, made = do(start_refresh(bench.recipe))
    assert made and ids(made.manifest) == {"sft": ["half", "bread"]}
    assert made.manifest.reasons == {"still_in_review_band": 1}


KEYS = "Ian found 11 keys, then 6 more. Total?"
NOTE = f"{KEYS} She wrote the answer down on a small yellow note for Ben"
"""Eight of its twenty words are those of KEYS."""


def keys_row(bench: Any) -> Any:
    from dataclasses import replace

    from posttrain.schema import Message

    row = bench.sft("keys", KEYS)
    return replace(row, messages=(Message("user", KEYS), Message("assistant", "11 + 6 = 17\n#### 17")))


def test_a_paraphrased_row_takes_the_place_of_the_old_one_in_every_repeat(bench: Any, ids: Ids) -> None:
    """The built-in teacher writes another word problem; its answer is verified, and it is compared with all evals."""
    from posttrain.storage import read_rows

    bench.settings = {"cut_offs": {"ngram_coverage": {"remove": 0.5, "review": 0.3}}}
    bench.review = {"unattended": "paraphrase"}
    row, bread = keys_row(bench), bench.sft("bread", bench.BREAD)
    bench.mixture({"sft": [row, bread, row]}, "later")
    bench.add_eval("notes", [NOTE])
    stages, made = do(start_refresh(bench.recipe))
    assert [result.manifest.stage for result in stages] == ["index_evals", "refresh", "index_evals", "review", "refresh_check"]
    assert made and ids(made.manifest) == {"sft": ["keys_paraphrased", "bread", "keys_paraphrased"]}
    assert made.manifest.rows == {"read": 3, "kept": 3, "rejected": 0} and made.manifest.facts["refreshed"]["rewritten"] == 2
    first = next(iter(read_rows(made.manifest, "sft")))
    assert first["parent_id"] == "keys" and first["messages"][0]["content"] != KEYS and "####" in first["messages"][1]["content"]


def test_a_paraphrase_that_another_eval_contains_does_not_get_in(bench: Any, ids: Ids) -> None:
    """What the teacher writes follows from the row: the second time there is an eval of it."""
    from posttrain.storage import read_rows

    bench.settings = {"cut_offs": {"ngram_coverage": {"remove": 0.5, "review": 0.3}}}
    bench.review = {"unattended": "paraphrase"}
    row, bread = keys_row(bench), bench.sft("bread", bench.BREAD)
    bench.mixture({"sft": [row, bread]}, "later")
    bench.add_eval("notes", [NOTE])
    _, made = do(start_refresh(bench.recipe))
    assert made
    question = next(iter(read_rows(made.manifest, "sft")))["messages"][0]["content"]
    notes = bench.evals.pop("notes")
    bench.add_eval("taken", [question])
    bench.mixture({"sft": [row, bread]}, "latest")
    bench.evals["notes"] = notes
    _, made = do(start_refresh(bench.recipe))
    assert made and ids(made.manifest) == {"sft": ["bread"]}
    assert [row["detail"] for row in read_rejected(made.manifest)] == ["the paraphrase overlaps another eval set of the recipe"]


# ---------------------------------------------------------------- the runs of a workspace


def test_a_run_stops_at_a_file_that_changed_since_the_run_before(bench: Any) -> None:
    before, content = sha256_file(str(bench.root / "old.jsonl")), (bench.root / "old.jsonl").read_bytes()
    after = sha256_file(str(bench.add_eval("old", [bench.DUCKS])))
    with pytest.raises(EvalFilesChanged) as caught:
        pipeline.check_evals(bench.recipe, bench.workspace)
    assert f"old.jsonl (eval old): sha256 {before} when recipe smoke was run last, now {after}" in str(caught.value)
    assert f"python -m posttrain run smoke --accept {after[:12]}" in str(caught.value)
    run = start_run(bench.recipe, "second", workspace=bench.workspace)
    with pytest.raises(EvalFilesChanged):
        pipeline.index_evals(run)
    assert not run.has("index_evals"), "nothing was read, and the next run is stopped as well"
    (bench.root / "old.jsonl").write_bytes(content)
    assert pipeline.index_evals(run).skipped, "the old file is back"


def test_an_accepted_change_is_known_to_every_later_run(bench: Any) -> None:
    content = (bench.root / "old.jsonl").read_bytes()
    after = sha256_file(str(bench.add_eval("old", [bench.DUCKS])))
    pipeline.check_evals(bench.recipe, bench.workspace, [after[:12]])
    pipeline.index_evals(start_run(bench.recipe, "second", workspace=bench.workspace))
    pipeline.check_evals(bench.recipe, bench.workspace, [after[:12]])  # as the next round of a loop does, with the same form
    assert len(accepted_changes(bench.workspace)) == 1
    assert [state.status for state in start_refresh(bench.recipe).states] == ["changed"], "a refresh does not ask again"
    (bench.root / "old.jsonl").write_bytes(content)
    pipeline.check_evals(bench.recipe, bench.workspace)  # what an earlier run was compared with is known


def test_another_recipe_and_an_edited_one_are_not_asked(bench: Any) -> None:
    bench.add_eval("old", [bench.DUCKS])
    pipeline.check_evals(bench.recipe.model_copy(update={"name": "other"}), bench.workspace)
    bench.add_eval("old", [bench.TRAIN], file="old-2026.jsonl")  # the recipe names another file: the change is meant
    pipeline.check_evals(bench.recipe, bench.workspace)


def test_a_hash_that_no_changed_file_has_is_refused(bench: Any) -> None:
    for accept, complaint in (("abc", "'abc' accepts nothing"), ("0" * 12, "no eval file that changed has the sha256 0000")):
        with pytest.raises(ValueError, match=complaint):
            pipeline.check_evals(bench.recipe, bench.workspace, [accept])
