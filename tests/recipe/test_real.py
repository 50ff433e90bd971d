"""The recipe `real`, over public files."""

from __future__ import annotations

from posttrain.collect import source_files
from posttrain.recipe import load_recipe


def test_every_file_of_the_real_recipe_exists(test_data):
    recipe = load_recipe("real")
    for source in recipe.sources:
        files = source_files(source.load, test_data)
        assert files and all(file.relative_to(test_data).parts[0] == "train" for file in files), source.name
    for item in recipe.evals:
        files = source_files(item.load, test_data)
        assert files and all(file.relative_to(test_data).parts[0] == "eval" for file in files), item.name


def test_the_real_recipe_leaves_out_only_what_it_says(test_data):
    recipe = load_recipe("real")
    used = {file for part in (*recipe.sources, *recipe.evals) for file in source_files(part.load, test_data)}
    there = {file for part in ("train", "eval") for file in (test_data / part).rglob("*") if file.is_file()}
    rest = {file.relative_to(test_data).as_posix() for file in there - used}
    prompts_only = ("coconot.dev", "question.jsonl", "prompt_lottery", "if_constraint", "synth_pref_example", "acecode")
    judge_files = ("judge_prompts", "xstest_v2_completions", "alpaca_eval_vicuna-13b_annotations")
    assert {name for name in rest if not any(part in name for part in (*prompts_only, *judge_files))} == set()


def test_the_real_recipe_gates_non_commercial_sources_and_evaluates_two_sets():
    recipe = load_recipe("real")
    assert not recipe.mix.allow_non_commercial
    gated = {source.name for source in recipe.sources if source.non_commercial}
    assert {"stanford_alpaca", "lima", "code_alpaca", "persona_hub_tools", "safety_tuned_llamas"} <= gated
    assert gated <= {amount.source for amount in recipe.mix.sft}
    assert {item.task: item.limit for item in recipe.evals if item.task} == {"gsm8k": 100, "ifeval": 100}
    assert set(recipe.gate.thresholds) == {"gsm8k", "ifeval"}
