"""The published numbers of tulu3-70b and tulu3-405b."""

from __future__ import annotations

import re

import pytest
import yaml
from tests.recipe.test_tulu3_8b import numbers_without_source

from posttrain.recipe import RECIPE_FOLDER, load_recipe

BIGGER = ("tulu3-70b", "tulu3-405b")


def test_published_totals_of_the_70b(tulu):
    recipe = load_recipe("tulu3-70b")
    assert recipe.mix.sft == tulu.mix.sft and recipe.mix.rlvr == tulu.mix.rlvr
    counts = [amount.count for amount in recipe.mix.preference]
    assert counts == [19_444, 96_911, 65_530, 10_792, 17_207, 82_783, 41_635] and sum(counts) == 334_302 == 354_192 - 19_890
    ids = {recipe.source(amount.source).load.id for amount in recipe.mix.preference}
    assert sum(id_.endswith("-70b") for id_ in ids) == 5 and not any(id_.endswith("-8b") for id_ in ids)
    assert {"allenai/tulu-3-sft-reused-off-policy", "allenai/tulu-3-wildchat-unused"} < ids


def test_published_totals_of_the_405b(tulu):
    recipe = load_recipe("tulu3-405b")
    assert recipe.mix.sft == tulu.mix.sft and sum(amount.count for amount in recipe.mix.sft) == 939_344
    assert [(amount.source, amount.count) for amount in recipe.mix.rlvr] == [("rlvr_math", 7_500)]
    [pairs] = recipe.mix.preference  # its number of rows is not published: the served mixture, whole
    assert pairs.proportion == 1.0 and recipe.source(pairs.source).load.id == "allenai/llama-3.1-tulu-3-405b-preference-mixture"


@pytest.mark.parametrize(("name", "sft", "dpo", "rlvr", "steps", "warmup"), [
    ("tulu3-70b", (2e-6, 128), (2e-7, 128), (1e-7, 640, 0.07), 400_000 // 640, 0.07),
    ("tulu3-405b", (2e-6, 256), (2e-7, 256), (1e-7, 1_856, 0.05), 139_200 // 1_856, 0.0),
])
def test_published_training_numbers_of_the_bigger_models(tulu, name, sft, dpo, rlvr, steps, warmup):
    recipe = load_recipe(name)
    assert (recipe.sft.learning_rate, recipe.sft.batch_size) == sft and (recipe.dpo.learning_rate, recipe.dpo.batch_size) == dpo
    assert (recipe.rlvr.learning_rate, recipe.rlvr.batch_size, recipe.rlvr.beta) == rlvr
    assert (recipe.rlvr.max_steps, recipe.rlvr.warmup_ratio) == (steps, warmup)
    for stage in ("sft", "dpo"):  # T11 and T20 give the rest once for all sizes
        same = {"epochs", "max_length", "warmup_ratio", "schedule", "weight_decay"}
        assert getattr(recipe, stage).model_dump(include=same) == getattr(tulu, stage).model_dump(include=same)
    assert recipe.rlvr.batch_size % recipe.rlvr.samples_per_prompt == 0
    for stage in (recipe.sft, recipe.dpo, recipe.rlvr):
        assert stage.batch_size % (stage.per_device_batch_size * recipe.launch.processes) == 0


@pytest.mark.parametrize("name", BIGGER)
def test_every_number_of_the_bigger_recipes_stands_beside_its_source(name):
    assert numbers_without_source(name) == []
    values = yaml.safe_load((RECIPE_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    for split in ("preference", "rlvr"):
        for amount in values["mix"].get(split, []):
            assert re.search(r"\bT\d+\b", amount["cite"]), amount


@pytest.mark.parametrize("name", BIGGER)
def test_the_bigger_recipes_load_nothing_that_they_do_not_mix(name):
    recipe = load_recipe(name)
    mixed = {amount.source for split in ("sft", "preference", "rlvr") for amount in getattr(recipe.mix, split)}
    assert {source.name for source in recipe.sources} == mixed
    assert recipe.evals == load_recipe("tulu3-8b").evals and (
        recipe.decontaminate.model_dump() == load_recipe("tulu3-8b").decontaminate.model_dump())
