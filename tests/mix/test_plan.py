"""The plan before a run: published pools, what runs have left in the workspace, and what cannot be met."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from posttrain.cli import app
from posttrain.mix.plan import PlanLine, make_plan
from posttrain.recipe import Recipe, check_recipe, load_recipe
from posttrain.run import Run


def small(**mix: Any) -> Recipe:
    sources = [{"name": name, "family": "messages", "origin": "here", "license": licence, "category": category,
                "load": {"kind": "file", "path": f"{name}.jsonl"}}
               for name, licence, category in (("a", "MIT", "math"), ("b", "none stated", "code"), ("c", "MIT", "math"))]
    training = {stage: {"learning_rate": 1e-3, "batch_size": 1, "max_length": 64} for stage in ("sft", "dpo", "rlvr")}
    recipe = {"name": "small", "description": "d", "sources": sources, "mix": mix, "model": {"kind": "tiny"}}
    return check_recipe(recipe | training, "small.yaml")


def line(recipe: Recipe, folder: Path, source: str) -> PlanLine:
    return next(line for line in make_plan(recipe, str(folder)).lines if line.source == source)


def test_the_published_recipe_against_its_published_pools(tmp_path: Path) -> None:
    plan = make_plan(load_recipe("tulu3-8b"), str(tmp_path))
    assert plan.totals == {"sft": 939_344, "preference": 271_409, "rlvr": 29_946}
    sft = [line for line in plan.lines if line.split == "sft"]
    # T7's pools are 23,327,961 with UltraFeedback's 41,635 and IF-augmented's 65,530, which SFT does not use.
    assert sum(line.available or 0 for line in sft) == 23_327_961 - 41_635 - 65_530
    assert {line.known_from for line in sft} == {"published pool"}
    math = next(c for c in plan.categories if (c.split, c.category) == ("sft", "math"))
    assert (math.planned, math.available) == (334_252, 149_960 + 49_980 + 20_000 + 21_972_791 + 64_312)
    assert plan.warnings == ["sft: tulu_hard_coded_repeated_10: 240 rows of 24: 216 are repeats (× 10)"]


def test_what_runs_have_left_in_the_workspace_counts(nights: tuple[Run, Run]) -> None:
    run = nights[0]
    plan = make_plan(run.recipe, run.workspace)
    planned = {(line.split, line.source): line for line in plan.lines}
    for fact in run.manifest("mix").facts["amounts"]:
        known = planned[fact["split"], fact["source"]]
        if fact["source"] != "gap" and fact["split"] != "preference_prompts":
            assert (known.planned, known.available, known.known_from) == (fact["taken"], fact["available"], "clean rows")
    assert plan.totals["sft"] == run.manifest("mix").written["sft"]
    # With another filter the clean rows are not those of the run any more, but the converted ones are.
    stricter = load_recipe("smoke", {"filter": {"min_tokens": 50}})
    assert line(stricter, Path(run.workspace), "word_problems").known_from == "converted rows"
    longer = load_recipe("smoke", {"sources": [run.recipe.sources[0].model_dump(mode="json") | {
        "load": {"kind": "procedural", "rows": 999, "skills": ["addition"]}}]})
    known = line(longer, Path(run.workspace), "word_problems")
    assert (known.known_from, known.available) == ("recipe", 999)


def test_counts_proportions_caps_and_what_is_unknown(tmp_path: Path) -> None:
    recipe = small(sft=[{"source": "a", "proportion": 0.5, "pool": 100, "at_most": 20}, {"source": "c", "count": 7}])
    a, c = line(recipe, tmp_path, "a"), line(recipe, tmp_path, "c")
    assert (a.planned, a.available, a.asked) == (20, 100, "× 0.5, at most 20")
    assert (c.planned, c.available, c.known_from, c.warning) == (7, None, "unknown", "")


def test_a_licence_that_is_not_allowed_is_said_loudly(tmp_path: Path) -> None:
    recipe = small(sft=[{"source": "b", "count": 5, "pool": 50}])
    b = line(recipe, tmp_path, "b")
    assert (b.planned, b.available) == (0, 0)
    assert b.warning == "licence 'none stated' is not allowed: mix.allow_unstated is false"


def test_a_temperature_over_known_pools_and_a_quota(tmp_path: Path) -> None:
    drawn = {"sources": ["word_problems"], "total": 300, "temperature": 2.0}
    recipe = load_recipe("smoke", {"mix": {"sft": [], "temperature": {"sft": drawn}, "quotas": {"math": 250}}})
    plan = make_plan(recipe, str(tmp_path))
    assert [(line.asked, line.planned) for line in plan.lines if line.split == "sft"] == [("temperature 2 of 300", 300)]
    assert plan.totals["sft"] == 250 and plan.categories[0].quota == 250


def test_a_temperature_over_what_is_not_known_or_not_allowed(tmp_path: Path) -> None:
    drawn = {"sources": ["a", "b"], "total": 10, "temperature": 1.0}
    a, b = make_plan(small(temperature={"sft": drawn}), str(tmp_path)).lines
    assert (a.planned, a.warning) == (None, "no share can be told before every source is known")
    assert b.warning.startswith("licence 'none stated' is not allowed")


def test_the_notes_say_what_the_numbers_leave_out(tmp_path: Path) -> None:
    prompts = [{"source": "a", "count": 5, "prompts": "unused"}]
    notes = make_plan(small(preference_prompts=prompts, language_quotas={"ko": 7}, disjoint=["rlvr", "sft"]), str(tmp_path)).notes
    assert len(notes) == 3 and "at most 7 rows in ko" in notes[0] and "rlvr, sft" in notes[2]


def test_the_command_runs_nothing_and_does_not_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTTRAIN_WORKSPACE", str(tmp_path / "workspace"))
    shown = CliRunner().invoke(app, ["mix", "--plan", "tulu3-70b"])
    assert shown.exit_code == 0 and "preference: 334,302 rows" in shown.stdout and "WARNING: sft: tulu_hard_coded" in shown.stdout
    value = json.loads(CliRunner().invoke(app, ["mix", "--plan", "tulu3-70b", "--json"]).stdout)
    assert value["totals"]["sft"] == 939_344 and len(value["warnings"]) == 1
    assert not (tmp_path / "workspace").exists()
