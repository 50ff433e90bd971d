"""Recipes by name, overrides, and where relative paths start."""

from __future__ import annotations

from pathlib import Path

import pytest

from posttrain.recipe import RECIPE_FOLDER, STAGES, RecipeError, check_recipe, data_root, load_recipe, recipe_names


def test_overrides_merge_key_by_key_and_are_checked_too():
    recipe = load_recipe("smoke", {"gate": {"thresholds": {"addition": 0.1}, "max_rounds": 3}, "seed": 7})
    assert recipe.gate.thresholds == {"addition": 0.1, "korean_division": 0.8}
    assert recipe.gate.max_rounds == 3 and recipe.seed == 7
    assert recipe.sft == load_recipe("smoke").sft
    with pytest.raises(RecipeError, match=r"gate\.max_rouns: unknown key; did you mean 'max_rounds'"):
        load_recipe("smoke", {"gate": {"max_rouns": 3}})


def test_an_override_replaces_a_list_whole():
    recipe = load_recipe("smoke", {"mix": {"rlvr": [{"source": "word_problems", "count": 5}]}})
    assert [amount.count for amount in recipe.mix.rlvr] == [5]


def test_the_recipes_that_exist():
    assert set(recipe_names()) >= {"demo", "smoke", "real", "tulu3-8b"}


@pytest.mark.parametrize("name", [path.stem for path in sorted(RECIPE_FOLDER.glob("*.yaml"))])
def test_every_recipe_loads_and_survives_json(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert check_recipe(recipe.model_dump(mode="json"), "run.json") == recipe


def test_the_stages_stand_in_the_order_of_the_design():
    assert STAGES[0] == "collect" and STAGES[-1] == "release" and len(STAGES) == 16
    assert STAGES.index("decontaminate") < STAGES.index("mix") < STAGES.index("sft") < STAGES.index("dpo") < STAGES.index("rlvr")


def test_the_data_root_is_a_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("POSTTRAIN_DATA_ROOT", str(tmp_path))
    assert data_root() == tmp_path
    monkeypatch.delenv("POSTTRAIN_DATA_ROOT")
    assert data_root() == Path.cwd()
